"""The wheel holds what the program serves and migrates with, not only its modules."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_the_wheel_has_every_file_of_the_packages(tmp_path: Path) -> None:
    for folder in ("server", "gateway", "db"):
        shutil.copytree(PROJECT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / file, tmp_path)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        "wheels",
        ".",
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    (wheel,) = tmp_path.glob("wheels/*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    served = {"gateway/openapi.json", *(f"gateway/docs/{file.name}" for file in (PROJECT / "gateway/docs").iterdir())}
    modules = {str(file.relative_to(PROJECT)) for file in (PROJECT / "server").rglob("*.py")}
    assert len(served) > 5
    assert served | modules <= packed
