"""What is told of a source's files on the run that reads them: bounded, whatever there is of files and column names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_FORMATS_MAX: Final = 8
_FILES_MAX: Final = 100
_NOTICES_MAX: Final = 100
_HEADER_NAMES_MAX: Final = 1000
_HEADER_CHARS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One file: how it is called, what tells that it changed, its size, and `Beginning.detected` with its compression."""

    name: str
    fingerprint: str
    size_bytes: int
    found: Mapping[str, Any]


def describe(files: Sequence[FileFacts]) -> dict[str, Any]:
    """What is stored as detected, JSON-able.

    Returns:
        What was found out about the first file; `formats`: each way in which files are read, at most 8, with the first
        file's name and the number of files; of several files also `fileCount`, and `files`, the first 100.
    """
    kinds: dict[str, dict[str, Any]] = {}
    for file in files:
        kind = _without_header(file.found)
        known = kinds.setdefault(repr(kind), {"name": file.name, "fileCount": 0, **kind})
        known["fileCount"] += 1
    whole = {**_with_short_header(files[0].found), "formats": list(kinds.values())[:_FORMATS_MAX]}
    if len(files) == 1:
        return whole
    listed = [
        {"name": file.name, "fingerprint": file.fingerprint, "bytes": file.size_bytes, **_without_header(file.found)}
        for file in files[:_FILES_MAX]
    ]
    return {**whole, "fileCount": len(files), "files": listed}


def few_notices(notices: Sequence[str]) -> tuple[str, ...]:
    """As many notices as a person reads, and how many more there are."""
    more = len(notices) - _NOTICES_MAX
    return (*notices[:_NOTICES_MAX], *((f"{more} more notices about files were left out",) if more > 0 else ()))


def _without_header(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name != "header"}


def _with_short_header(found: Mapping[str, Any]) -> dict[str, Any]:
    if "header" not in found:
        return dict(found)
    return {**found, "header": [name[:_HEADER_CHARS_MAX] for name in found["header"][:_HEADER_NAMES_MAX]]}
