"""What the documents say is what the code has."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from server.core.reasons import REASONS
from server.service.method_scopes import SCOPES

PROJECT = Path(__file__).parents[2]


def dependency_names() -> set[str]:
    server = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    client = tomllib.loads((PROJECT / "clients/python/pyproject.toml").read_text())["project"]
    listed = server + client["dependencies"] + client["optional-dependencies"]["cli"]
    names = {re.split(r"[\[<>=~; ]", entry)[0] for entry in listed}
    return names - {"techaura-sync-client"}


def test_every_dependency_has_its_line_and_no_line_is_left_over() -> None:
    table = (PROJECT / "docs/dependencies.md").read_text()
    documented = set(re.findall(r"^\| ([A-Za-z0-9-]+) \|", table, re.MULTILINE)) - {"package"}
    assert documented == dependency_names()


def test_the_reference_and_the_example_settings_are_fresh() -> None:
    command: list[Path | str] = [PROJECT / ".venv/bin/python", "-m", "scripts.reference", "--check"]
    assert subprocess.run(command, cwd=PROJECT, check=False).returncode == 0


DOCUMENTS = [str(page.relative_to(PROJECT)) for page in sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])]


def test_each_reason_has_its_section_and_no_section_is_left_over() -> None:
    page = (PROJECT / "docs/troubleshooting.md").read_text()
    assert sorted(re.findall(r"^### ([A-Z_]+)$", page, re.MULTILINE)) == sorted(REASONS)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_of_a_document_leads_to_a_file(name: str) -> None:
    page = PROJECT / name
    linked = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in linked if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_setting_that_a_document_names_exists(name: str) -> None:
    named = set(re.findall(r"TECHAURA_SYNC_[A-Z0-9_]*[A-Z0-9]\b", (PROJECT / name).read_text()))
    reference = (PROJECT / "docs/reference.md").read_text()
    known = set(re.findall(r"^\| `(TECHAURA_SYNC_\w+)` \|", reference, re.MULTILINE)) | {
        "TECHAURA_SYNC_TARGET",
        "TECHAURA_SYNC_TOKEN",
    }
    assert named <= known | {"TECHAURA_SYNC_HTTP"}


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_file_that_a_document_names_exists(name: str) -> None:
    text = (PROJECT / name).read_text()
    linked = set(re.findall(r"\]\(([^)#:]+)\)", text))
    named = set(re.findall(r"`((?:scripts|server|gateway|db|clients|protos|docs|tests)/[\w./-]+)`", text))
    missing = {path for path in linked | named if not (PROJECT / path).exists()}
    assert missing == set()


def test_the_scopes_of_the_security_page_are_those_of_the_service() -> None:
    page = (PROJECT / "docs/security.md").read_text()
    rows = dict(re.findall(r"^\| (`\w+`|any key) \| ([^|]*) \|$", page, re.MULTILINE))
    documented = {
        scope.strip("`"): set(re.findall(r"\b[A-Z]\w*[a-z]\b", calls.partition(";")[0]))
        for scope, calls in rows.items()
    }
    served: dict[str, set[str]] = {}
    for method, scope in SCOPES.items():
        served.setdefault(scope or "any key", set()).add(method)
    assert {scope: calls for scope, calls in documented.items() if calls} == served


def test_every_script_has_a_help_line() -> None:
    for script in sorted((PROJECT / "scripts").iterdir()):
        if script.suffix in (".py", ".sh") or not script.is_file():
            continue
        done = subprocess.run([script, "--help"], capture_output=True, text=True, check=False)
        assert (done.returncode, "usage:" in done.stdout) == (0, True), script.name


@pytest.mark.parametrize("folder", ["clients/typescript", "scripts/swagger-ui", "tests/servers"])
def test_no_lock_file_says_where_a_package_is_downloaded(folder: str) -> None:
    lock = (PROJECT / folder / "package-lock.json").read_text()
    assert "integrity" in lock
    assert "resolved" not in lock


def test_every_option_has_a_meaning() -> None:
    reference = (PROJECT / "docs/reference.md").read_text()
    rows = re.findall(
        r"^\| `([\w.]+)` \|[^|]*\|(.*)\|$", reference.partition("## Options of source type csv")[2], re.MULTILINE
    )
    assert len(rows) > 50
    assert [name for name, meaning in rows if not meaning.strip()] == []
