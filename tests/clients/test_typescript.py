"""The TypeScript client against the real service: its own test suite, run by Node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.service import Service

PACKAGE = Path(__file__).resolve().parents[2] / "clients" / "typescript"
CSV = "title,artist,genre\nAlfonsina y el mar,Mercedes Sosa,folklore\nGracias a la vida,Violeta Parra,folklore\n"


def npm(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run npm in the package; its output comes back as text."""
    command = ["npm", "--prefix", str(PACKAGE), "--no-audit", "--no-fund", *arguments]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.timeout(360)
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed; the TypeScript client needs Node 20")
def test_the_typescript_client_passes_its_suite_against_the_real_service(live_server: Service) -> None:
    if not (PACKAGE / "node_modules").exists():
        installed = npm("ci")
        assert installed.returncode == 0, installed.stderr
    source = live_server.data_root / "typescript_client.csv"
    source.write_text(CSV, encoding="utf-8")

    result = npm("test", TECHAURA_SYNC_TARGET=live_server.grpc_target, TECHAURA_SYNC_TEST_CSV=str(source))

    assert result.returncode == 0, result.stdout + result.stderr
    assert "# fail 0" in result.stdout
    # A suite that was skipped passes too.
    assert "# SKIP" not in result.stdout


def test_the_lock_file_has_every_package_of_every_platform_and_no_address() -> None:
    lock = json.loads((PACKAGE / "package-lock.json").read_text(encoding="utf-8"))
    manifest = json.loads((PACKAGE / "package.json").read_text(encoding="utf-8"))

    packages = lock["packages"]
    # npm ci refuses a lock that lacks an optional package, also one that is for another system.
    optional = {name for package in packages.values() for name in package.get("optionalDependencies", {})}
    assert {f"node_modules/{name}" for name in optional} <= set(packages)
    assert "resolved" not in json.dumps(lock)
    for name, version in (manifest["dependencies"] | manifest["devDependencies"]).items():
        assert packages[f"node_modules/{name}"]["version"] == version
