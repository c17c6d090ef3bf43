"""Writes docs/licences.md, the licence of each package that the service needs to run; --check compares instead.

Names and versions are those of requirements/runtime.txt, licences those that the installed packages state. One that states none, or another
than those below, ends the command: a person looks at it first. Run by scripts/generate.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Final

_PROJECT: Final = Path(__file__).parents[1]
_PAGE: Final = _PROJECT / "docs/licences.md"
_REQUIREMENT: Final = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
# SPDX identifiers. All of them let a program use the package as it is; MPL and LGPL ask for changes to the package itself.
_ALLOWED: Final = frozenset(
    {
        "MIT",
        "MIT-0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "Apache-2.0",
        "ISC",
        "PSF-2.0",
        "MPL-2.0",
        "Python-2.0",
        "0BSD",
        "Zlib",
        "CC0-1.0",
        "MIT-CMU",
    }
)
# What packages state in words of their own, by the text or by the classifier.
_SPDX_BY_WORDS: Final = {
    "mit": "MIT",
    "mit license": "MIT",
    "the mit license": "MIT",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "bsd-3-clause license": "BSD-3-Clause",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "isc license (iscl)": "ISC",
    "python software foundation license": "PSF-2.0",
}
# Looked at by hand: their metadata state none, or they are installed on Windows alone.
_STATED_ELSEWHERE: Final = {"polars-hash": "MIT", "colorama": "BSD-3-Clause"}
_HEAD: Final = """# Licences

What the service needs to run, as requirements/runtime.txt pins it, each with the licence that the package states (SPDX). Made by
scripts/generate, which stops at a licence that is not on its list. `./scripts/sbom` writes the same as CycloneDX.

| package | version | licence |
|---|---|---|
"""


def page() -> str:
    """The page.

    Raises:
        ValueError: a package states no licence, or one that is not allowed.
    """
    pinned = _REQUIREMENT.findall((_PROJECT / "requirements/runtime.txt").read_text())
    rows = [f"| {name} | {version} | {_licence(name)} |" for name, version in pinned]
    return _HEAD + "\n".join(rows) + "\n"


def _licence(name: str) -> str:
    found = _STATED_ELSEWHERE.get(name) or _stated(distribution(name))
    parts = set(re.split(r"\s+(?:AND|OR|WITH)\s+|[()]", found)) - {""}
    if not parts or not parts <= _ALLOWED:
        raise ValueError(f"{name} states the licence {found!r}, which is not on the list of scripts/licences.py")
    return found


def _stated(package: Distribution) -> str:
    expression, own = (_field(package, name) for name in ("License-Expression", "License"))
    if expression:
        return expression
    classifiers: list[str] = package.metadata.get_all("Classifier") or []
    kinds = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License ::")]
    for words in (*map(str, kinds), own.partition("\n")[0]):
        known = _SPDX_BY_WORDS.get(words.strip().lower(), words.strip())
        if known in _ALLOWED:
            return known
    return "; ".join(kinds) or own[:60]


def _field(package: Distribution, name: str) -> str:
    """A field of the metadata; empty where it is not there."""
    return str(package.metadata[name]) if name in package.metadata else ""


def main() -> int:
    """Write the page, or with --check say whether it is stale."""
    wanted = page()
    if _PAGE.exists() and _PAGE.read_text() == wanted:
        return 0
    if "--check" in sys.argv:
        print(f"{_PAGE.name}: stale, run scripts/generate", file=sys.stderr)
        return 1
    _PAGE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
