"""What a folder holds, and what a pattern matches below one: linear in the entries looked at, which are counted.

Each folder is opened from its parent's descriptor and no link to a folder is followed, so a walk goes through every folder at
most once and never leaves the one that it began in.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from server.core.config import Settings
from server.core.errors import InvalidRequestError
from server.core.reasons import Reason

# Hidden files, and what an office puts beside a file that is open in it.
HIDDEN: Final = (".", "~$")
FOLDER_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECTORY
# Each level holds a descriptor while what is below it is looked at.
_LEVELS_MAX: Final = 32


@dataclass(frozen=True, slots=True)
class FolderLimits:
    """What one request on a folder or a pattern may look at and read."""

    files_max: int
    entries_max: int

    @classmethod
    def from_settings(cls, settings: Settings) -> FolderLimits:
        """The limits that the settings state."""
        return cls(settings.csv_files_max, settings.csv_folder_entries_max)


class EntryBudget:
    """How many entries of folders one request may look at.

    Args:
        entries_max: of all its folders together.
    """

    def __init__(self, entries_max: int) -> None:
        self._entries_max = entries_max
        self._seen = 0

    def take(self) -> None:
        """Count one more.

        Raises:
            InvalidRequestError: SOURCE_UNSUPPORTED, that is one too many.
        """
        self._seen += 1
        if self._seen > self._entries_max:
            raise _refused(
                f"the folders hold more than {self._entries_max} entries (TECHAURA_SYNC_CSV_FOLDER_ENTRIES_MAX); name one with "
                "fewer, or a pattern that begins deeper"
            )


def names_in(folder: Path, budget: EntryBudget) -> list[str]:
    """The names in a folder, in order, without hidden ones.

    Raises:
        OSError: it may not be read, or is none.
        InvalidRequestError: SOURCE_UNSUPPORTED, it has too many entries.
    """
    descriptor = os.open(folder, FOLDER_FLAGS)
    try:
        return sorted(name for name, _ in _entries(descriptor, budget))
    finally:
        os.close(descriptor)


def matches_below(folder: Path, pattern: Sequence[str], budget: EntryBudget) -> list[Path]:
    """What stands below a folder where each part of the path matches its part of a pattern, in order, as relative paths.

    Args:
        pattern: at least one part, with `*`, `?`, `[...]` as for fnmatch; `**` is no more than `*`.

    Raises:
        InvalidRequestError: SOURCE_UNSUPPORTED, the pattern has too many levels, or the folders too many entries.
    """
    if len(pattern) > _LEVELS_MAX:
        raise _refused(f"the pattern has {len(pattern)} levels of folders; at most {_LEVELS_MAX} are gone through")
    rules = [re.compile(fnmatch.translate(re.sub(r"\*{2,}", "*", part))) for part in pattern]
    try:
        descriptor = os.open(folder, FOLDER_FLAGS)
    except OSError:
        return []
    return sorted(Path(*parts) for parts in _matches(descriptor, rules, budget))


def _matches(descriptor: int, rules: Sequence[re.Pattern[str]], budget: EntryBudget) -> Iterator[tuple[str, ...]]:
    """The same below an opened folder, which is closed at the end."""
    try:
        for name, may_be_folder in _entries(descriptor, budget):
            if not rules[0].match(name):
                continue
            if len(rules) == 1:
                yield (name,)
            elif may_be_folder:
                try:
                    inner = os.open(name, FOLDER_FLAGS, dir_fd=descriptor)
                except OSError:
                    # Gone, changed into a link, or not to be read.
                    continue
                for below in _matches(inner, rules[1:], budget):
                    yield (name, *below)
    finally:
        os.close(descriptor)


def _entries(descriptor: int, budget: EntryBudget) -> Iterator[tuple[str, bool]]:
    """Names that are not hidden, and whether each is a folder and no link to one."""
    with os.scandir(descriptor) as found:
        for entry in found:
            budget.take()
            if not entry.name.startswith(HIDDEN):
                yield entry.name, entry.is_dir(follow_symlinks=False)


def _refused(message: str) -> InvalidRequestError:
    return InvalidRequestError(Reason.SOURCE_UNSUPPORTED, message, field="sourceIdentifier")
