"""From a sourceIdentifier to opened files, and nothing outside the data roots.

A path is resolved first and checked against the roots; then the resolved path is walked component by component from its
root's descriptor, following no symbolic link. A folder or link that is swapped in between makes the walk fail; it never
leads out. The last component must be a regular file before and after it is opened, and is opened without blocking.
Nothing outside the roots is opened, and whether it exists is not told.
"""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from server.core.errors import InvalidRequestError
from server.core.reasons import Reason
from server.sources.storage.folders import FOLDER_FLAGS, EntryBudget, FolderLimits, matches_below, names_in
from server.sources.storage.opened_file import OpenedFile, state_of

# Longest suffix first.
_CSV_ENDINGS: Final = ((".csv.gz", "gzip"), (".csv.zst", "zstd"), (".csv", "none"), (".zip", "zip"))
_OTHER_ENDINGS: Final = (
    (".ndjson.gz", "gzip"),
    (".ndjson.zst", "zstd"),
    (".ndjson", "none"),
    (".jsonl.gz", "gzip"),
    (".jsonl.zst", "zstd"),
    (".jsonl", "none"),
    (".xlsx", "none"),
    (".xlsm", "none"),
    (".ods", "none"),
    (".parquet", "none"),
)
_IDENTIFIER_CHARS_MAX: Final = 4096
_FIELD: Final = "sourceIdentifier"
_FILE_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


def compression_of(name: str) -> str | None:
    """How a file of that name is compressed; None when no such file is read."""
    return _by_ending(name, (*_CSV_ENDINGS, *_OTHER_ENDINGS))


def _by_ending(name: str, endings: Sequence[tuple[str, str]]) -> str | None:
    lower = name.lower()
    return next((found for suffix, found in endings if lower.endswith(suffix) and len(lower) > len(suffix)), None)


def find_paths(identifier: str, roots: Sequence[Path], limits: FolderLimits) -> list[Path]:
    """The files that an identifier stands for, resolved and inside the roots; nothing is opened.

    Args:
        identifier: a file, a folder (its CSV files, and no others), or a pattern with `*`, `?`, `[...]`; absolute, or relative to
            the current folder (when that leads into a root) or else to each root in order.
        roots: folders that files may be read from.
        limits: of a folder or a pattern.

    Returns:
        One path for a file; for a folder or a pattern those that match, in name order, at least one.

    Raises:
        InvalidRequestError: SOURCE_NOT_FOUND; there is no such file, or none in the folder.
        InvalidRequestError: SOURCE_FORBIDDEN (outside the roots), SOURCE_UNSUPPORTED (no CSV file).
    """
    _check_identifier(identifier)
    real_roots = [Path(os.path.realpath(root)) for root in roots]
    is_pattern = glob.has_magic(identifier)
    leads_out = False
    budget = EntryBudget(limits.entries_max)
    for candidate, from_root in _candidates(identifier, roots):
        real = _resolved(candidate)
        inside = real is not None and _root_of(real, real_roots) is not None
        if real is not None and inside and _is_kind(real, stat.S_ISDIR):
            return _in_folder(real, limits.files_max, budget)
        if real is not None and inside and os.path.lexists(real):
            _check_name(candidate.name, real.name)
            return [real]
        if is_pattern:
            matches = _matching(candidate, real_roots, limits.files_max, budget)
            if matches is None:
                raise _link_leads_out(identifier)
            if matches:
                return matches
        # What lies outside is refused alike whether it exists or not. The current folder is no root: it only misses.
        leads_out = leads_out or (from_root and not inside)
    if leads_out:
        raise _forbidden(identifier)
    if not is_pattern:
        _check_name(Path(identifier).name, Path(identifier).name)
    raise InvalidRequestError(Reason.SOURCE_NOT_FOUND, f"{_shown(identifier)} is not in the data folders", field=_FIELD)


def check_place(identifier: str, roots: Sequence[Path], limits: FolderLimits) -> None:
    """Refuse an identifier by which no file can ever be read; one that is not there yet may come.

    Raises:
        InvalidRequestError: SOURCE_FORBIDDEN (outside the roots), SOURCE_UNSUPPORTED (no name of a file that is read).
    """
    _check_identifier(identifier)
    # A name without an ending may become a folder.
    later = (
        (Reason.SOURCE_NOT_FOUND,) if Path(identifier).suffix else (Reason.SOURCE_NOT_FOUND, Reason.SOURCE_UNSUPPORTED)
    )
    try:
        find_paths(identifier, roots, limits)
    except InvalidRequestError as error:
        if error.reason not in later:
            raise


def open_file(path: Path, roots: Sequence[Path]) -> OpenedFile:
    """Open a path that `find_paths` gave.

    Raises:
        InvalidRequestError: SOURCE_NOT_FOUND; it is gone, or may not be read.
        InvalidRequestError: SOURCE_FORBIDDEN (a link was put in its way), SOURCE_UNSUPPORTED (no regular file).
    """
    root = _root_of(path, [Path(os.path.realpath(root)) for root in roots])
    if root is None:
        raise _forbidden(str(path))
    try:
        descriptor = _walk(root, path.relative_to(root).parts)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
            raise _forbidden(str(path)) from error
        raise InvalidRequestError(
            Reason.SOURCE_NOT_FOUND, f"{_shown(path.name)} does not exist or may not be read", field=_FIELD
        ) from error
    compression = compression_of(path.name)
    if compression is None:
        os.close(descriptor)
        raise _unsupported(path.name)
    return OpenedFile(shown_name(path), path, descriptor, compression, state_of(descriptor))


def _walk(root: Path, parts: Sequence[str]) -> int:
    """Open the regular file that `parts` lead to from `root`, following no link."""
    if not parts:
        raise _unsupported(root.name)
    folder = os.open(root, FOLDER_FLAGS)
    try:
        for part in parts[:-1]:
            inner = os.open(part, FOLDER_FLAGS, dir_fd=folder)
            os.close(folder)
            folder = inner
        # Looked at before it is opened, because opening a device can already do something.
        mode = os.stat(parts[-1], dir_fd=folder, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            raise _forbidden(parts[-1])
        if not stat.S_ISREG(mode):
            raise _unsupported(parts[-1])
        descriptor = os.open(parts[-1], _FILE_FLAGS, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _unsupported(parts[-1])
    return descriptor


def _check_identifier(identifier: str) -> None:
    if not isinstance(identifier, str) or not identifier.strip():
        raise InvalidRequestError(Reason.SOURCE_UNSUPPORTED, "sourceIdentifier is empty; name a CSV file", field=_FIELD)
    if len(identifier) > _IDENTIFIER_CHARS_MAX:
        raise InvalidRequestError(Reason.SOURCE_UNSUPPORTED, "sourceIdentifier is too long for a path", field=_FIELD)
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in identifier):
        raise InvalidRequestError(Reason.SOURCE_UNSUPPORTED, "sourceIdentifier holds a control character", field=_FIELD)
    try:
        os.fsencode(identifier)
    except UnicodeEncodeError as error:
        raise InvalidRequestError(Reason.SOURCE_UNSUPPORTED, "sourceIdentifier is not a path", field=_FIELD) from error
    if ".." in Path(identifier).parts:
        raise _forbidden(identifier)


def _candidates(identifier: str, roots: Sequence[Path]) -> list[tuple[Path, bool]]:
    """Where the identifier may be meant to lead, and whether that is a claim to lie inside a root."""
    path = Path(identifier)
    if path.is_absolute():
        return [(path, True)]
    return [(Path.cwd() / path, False), *((root / path, True) for root in roots)]


def _resolved(path: Path) -> Path | None:
    """The path without links; None when it cannot be resolved (a loop, a name that is too long)."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):
        return None


def _root_of(path: Path, roots: Sequence[Path]) -> Path | None:
    return next((root for root in roots if path == root or root in path.parents), None)


def _is_kind(path: Path, kind: Callable[[int], bool]) -> bool:
    try:
        return kind(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _check_name(*names: str) -> None:
    """The name asked for and the one that a link leads to must both be those of CSV files."""
    for name in names:
        if compression_of(name) is None:
            raise _unsupported(name)


def _in_folder(folder: Path, files_max: int, budget: EntryBudget) -> list[Path]:
    """The CSV files of a folder; hidden ones, an office's lock files and those of its folders are left out."""
    try:
        names = names_in(folder, budget)
    except OSError as error:
        raise InvalidRequestError(
            Reason.SOURCE_NOT_FOUND, f"{_shown(folder.name)} may not be read", field=_FIELD
        ) from error
    paths = _files_of(
        [folder / name for name in names if _by_ending(name, _CSV_ENDINGS) is not None], folder, files_max
    )
    if paths is None:
        raise _link_leads_out(folder.name)
    if not paths:
        raise InvalidRequestError(
            Reason.SOURCE_NOT_FOUND, f"the folder {_shown(folder.name)} holds no CSV file", field=_FIELD
        )
    return paths


def _matching(pattern: Path, roots: Sequence[Path], files_max: int, budget: EntryBudget) -> list[Path] | None:
    """The CSV files that a pattern matches, None when one leads out of its fixed beginning.

    Its fixed beginning must lie inside a root, so nothing else is listed.
    """
    fixed = pattern
    while glob.has_magic(str(fixed)):
        fixed = fixed.parent
    real = _resolved(fixed)
    if real is None or _root_of(real, roots) is None:
        return []
    matches = matches_below(real, pattern.relative_to(fixed).parts, budget)
    return _files_of([real / match for match in matches if compression_of(match.name) is not None], real, files_max)


def _files_of(paths: Sequence[Path], folder: Path, files_max: int) -> list[Path] | None:
    """Those of a folder's or a pattern's paths that are files, resolved; None when one leads out of the folder.

    Whoever may read a folder may read what is in it, and not whatever a link in it names.

    Args:
        folder: resolved.
    """
    if len(paths) > files_max:
        raise InvalidRequestError(
            Reason.SOURCE_UNSUPPORTED,
            f"names {len(paths)} files; at most {files_max} are read in one run (TECHAURA_SYNC_CSV_FILES_MAX)",
            field=_FIELD,
        )
    found: list[Path] = []
    for path in paths:
        real = _resolved(path)
        if real is None:
            # A link that leads nowhere, or to itself.
            continue
        if not real.is_relative_to(folder):
            return None
        if _is_kind(real, stat.S_ISREG) and compression_of(real.name) is not None:
            found.append(real)
    return found


def shown_name(path: Path) -> str:
    """A file's name as text for people, messages and the database, which take no more than that.

    On Linux a name is bytes: those that are no UTF-8 are escaped, and so is what would act on a terminal.
    """
    text = os.fsencode(path.name).decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def _shown(text: str) -> str:
    """A name in a message: without characters that a terminal or a log would act on, and not endless."""
    return repr(text[:200] + ("..." if len(text) > 200 else ""))


def _forbidden(identifier: str) -> InvalidRequestError:
    return InvalidRequestError(
        Reason.SOURCE_FORBIDDEN,
        f"{_shown(identifier)} lies outside the folders that files may be read from (TECHAURA_SYNC_DATA_ROOTS)",
        field=_FIELD,
    )


def _link_leads_out(identifier: str) -> InvalidRequestError:
    return InvalidRequestError(
        Reason.SOURCE_FORBIDDEN,
        f"{_shown(identifier)} holds a link that leads out of that folder; put the file itself there, or name it",
        field=_FIELD,
    )


def _unsupported(name: str) -> InvalidRequestError:
    return InvalidRequestError(
        Reason.SOURCE_UNSUPPORTED,
        f"{_shown(name)} is not a regular file that ends in .csv, .ndjson, .jsonl (each also with .gz or .zst behind it), .xlsx, .xlsm, .ods, .parquet or .zip",
        field=_FIELD,
    )
