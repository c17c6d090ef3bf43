"""What file an identifier means, however it is spelled: `./a.csv`, `a.csv` and its absolute path are one source."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def file_identity(identifier: str, roots: Sequence[Path]) -> str:
    """The real path of the file or folder inside the roots; where there is none (yet), the path that it would have.

    Never raises: an identifier that is wrong stays as it is, and is refused where it is opened.
    """
    try:
        inside = _inside(identifier, roots)
        found = next((real for real in inside if os.path.lexists(real)), None)
        return str(found or (inside[0] if inside else Path(os.path.normpath(identifier))))
    except (OSError, ValueError):
        return identifier


def file_places(identifier: str, roots: Sequence[Path]) -> tuple[str, ...]:
    """Every real path inside the roots that an identifier may mean, whether anything is there or not.

    Never raises: an identifier that is wrong stays as it is, and is refused where it is opened.
    """
    try:
        return tuple(map(str, _inside(identifier, roots))) or (os.path.normpath(identifier),)
    except (OSError, ValueError):
        return (identifier,)


def _inside(identifier: str, roots: Sequence[Path]) -> list[Path]:
    """What an identifier may mean inside the roots, in the order in which it is looked for.

    Raises:
        OSError, ValueError: it is no path.
    """
    path = Path(identifier)
    candidates = [path] if path.is_absolute() else [Path.cwd() / path, *(root / path for root in roots)]
    real_roots = [Path(os.path.realpath(root)) for root in roots]
    return [real for real in map(_real, candidates) if any(real.is_relative_to(root) for root in real_roots)]


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
