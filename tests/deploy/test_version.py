"""The project has one version: packages, clients, image and programs say the same."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[2]


def project_version() -> str:
    """The version that pyproject.toml states; every other place follows it."""
    return str(tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"])


@pytest.mark.parametrize("program", ["techaura-syncd", "techaura-sync"])
def test_a_program_says_the_projects_version(program: str) -> None:
    command = [Path(sys.executable).with_name(program), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{program} {project_version()}\n"


def test_both_clients_have_the_projects_version() -> None:
    python = tomllib.loads((PROJECT / "clients/python/pyproject.toml").read_text())["project"]
    typescript = json.loads((PROJECT / "clients/typescript/package.json").read_text())
    assert {python["version"], typescript["version"]} == {project_version()}


def test_the_image_is_tagged_with_the_projects_version() -> None:
    compose = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
    assert compose["x-service"]["image"] == f"techaura-sync:{project_version()}"


def test_ci_on_github_runs_what_ci_runs_here() -> None:
    workflow = yaml.safe_load((PROJECT / ".github/workflows/ci.yml").read_text())
    assert {"run": "bash .ci/run"} in workflow["jobs"]["ci"]["steps"]
