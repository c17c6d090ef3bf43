"""The README's commands do what it says, for a stranger."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

from tests.support.service import environment, service_running

PROJECT = Path(__file__).parents[2]


def curl_commands() -> list[str]:
    """The curl commands of the README's first call, continued lines joined."""
    section = (PROJECT / "README.md").read_text().split("## A first call")[1].split("\n\n")[1]
    joined = section.replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip().startswith("curl")]


def test_the_first_calls_work(tmp_path: Path) -> None:
    commands = curl_commands()
    assert len(commands) == 2
    environ = environment(f"sqlite+aiosqlite:///{tmp_path / 'sync.db'}", PROJECT / "data")
    with service_running(tmp_path, environ) as service:
        outputs = []
        for command in commands:
            words = shlex.split(command.replace("localhost:3006", service.http_url.removeprefix("http://")))
            done = subprocess.run([*words, "-sS", "--fail-with-body"], capture_output=True, text=True, check=True)
            outputs.append(done.stdout)
        assert '"syncRunId":1' in outputs[0]
        assert service.finished(1)["itemsProcessed"] == 12


def test_the_mysql_lines_name_settings_that_exist() -> None:
    from server.core.config import Settings

    named = re.findall(r"TECHAURA_SYNC_(\w+)=", (PROJECT / "README.md").read_text())
    assert {"DATABASE_URL", "SECRET_KEY", "ALLOW_PRIVATE_ADDRESSES"} <= set(named)
    assert {name.lower() for name in named} <= set(Settings.model_fields)
