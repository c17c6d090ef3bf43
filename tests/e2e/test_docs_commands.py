"""Every `sh` block of the documentation runs as it stands, page by page, against one running service."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.service import Service, environment, service_running

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if BLOCK.search(page.read_text()))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose data folder is a copy of the samples; curl fails on an answer that is no success."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(DOCS.parent / "data", folder / "data")
    (folder / ".curlrc").write_text("silent\nshow-error\nfail-with-body\nmax-time = 20\n")
    with service_running(folder, environment(f"sqlite+aiosqlite:///{folder / 'sync.db'}", folder / "data")) as running:
        yield running


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_work_in_their_order(page: str, service: Service) -> None:
    script = "\n".join(BLOCK.findall((DOCS / page).read_text()))
    script = script.replace("localhost:3006", service.http_url.removeprefix("http://"))
    folder = service.data_root.parent
    environ = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TECHAURA_SYNC_TARGET": service.grpc_target,
        "CURL_HOME": str(folder),
    }
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def test_there_are_pages_with_commands() -> None:
    assert "quickstart.md" in PAGES


def test_each_route_has_its_section_and_no_section_is_left_over(service: Service) -> None:
    _status, document = service.get("/openapi.json")
    served = {f"{verb.upper()} {path}" for path, verbs in document["paths"].items() for verb in verbs}
    assert set(re.findall(r"^### `(\w+ /[^`]*)`$", (DOCS / "rest.md").read_text(), re.MULTILINE)) == served
