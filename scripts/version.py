"""Spreads the version of pyproject.toml to where it has to stand in a file of its own; --check compares instead.

Run by scripts/generate. Programs read it from the installed package.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).parents[1]
_NODE_PACKAGE: Final = r'("name": "@techaura/sync-client",\s*"version": ")([^"]*)(")'
# File -> a pattern whose second group is the version.
PLACES: Final = {
    "clients/python/pyproject.toml": r'(?m)(^version = ")([^"]*)(")',
    "clients/typescript/package.json": _NODE_PACKAGE,
    "clients/typescript/package-lock.json": _NODE_PACKAGE,
    "docker-compose.yml": r"(?m)(^\s*image: techaura-sync:)(\S*)()",
}


def main() -> int:
    """Write the version, or with --check say where another one stands."""
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    status = 0
    for name, pattern in PLACES.items():
        path = PROJECT / name
        before = path.read_text()
        after, count = re.subn(pattern, rf"\g<1>{version}\g<3>", before)
        if not count:
            raise SystemExit(f"version: {name} has no version where one is looked for; mend scripts/version.py")
        if after == before:
            continue
        if "--check" in sys.argv:
            print(f"{name} has another version than pyproject.toml: run scripts/generate", file=sys.stderr)
            status = 1
        else:
            path.write_text(after)
    return status


if __name__ == "__main__":
    sys.exit(main())
