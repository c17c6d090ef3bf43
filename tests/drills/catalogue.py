"""A music catalogue that changes from version to version, and what must come of each version, row by row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_HEADER: Final = "external_id,title,artist,genre\n"
_ARTISTS: Final = ("Joe Arroyo", "Shakira", "Grupo Niche", 'Los "Corraleros", de Majagual', "Ñ\\N")


@dataclass(frozen=True, slots=True)
class Expected:
    """What a version must leave behind.

    Args:
        rows: (title, artist, genre) by external id.
        read: records of the file.
        rejected_lines, skipped_lines: lines of rows without a title, and of rows that a later one supersedes.
    """

    rows: dict[str, tuple[str, str, str]]
    read: int
    rejected_lines: frozenset[int]
    skipped_lines: frozenset[int]


@dataclass
class Catalogue:
    """One source and its present version.

    Args:
        name: of the file.
        row_count: rows of the first version; each later one has a fiftieth more and changes a third.
    """

    name: str
    row_count: int
    version: int = 0
    before: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    def advance(self) -> None:
        """Make the next version the present one."""
        self.before = self.expected().rows
        self.version += 1

    def _title(self, number: int) -> str:
        changes = sum(1 for version in range(1, self.version + 1) if version % 3 == number % 3)
        return f"Canción {number} toma {changes}"

    def records(self) -> list[tuple[str, str, str, str]]:
        """The rows of the file."""
        records = []
        for number in range(self.row_count + self.version * (self.row_count // 50)):
            repeats = number % 211 == 7 and number % 101 != 50 and (number - 5) % 101 != 50
            key = number - 5 if repeats and number > 5 else number
            title = "" if number % 101 == 50 else self._title(number)
            records.append((f"c{key}", title, _ARTISTS[number % 5], f"género {number % 17}"))
        return records

    def content(self) -> bytes:
        """The file."""
        lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in record) for record in self.records()]
        return (_HEADER + "\n".join(lines) + "\n").encode()

    def expected(self) -> Expected:
        """What must come of it."""
        lines: dict[str, int] = {}
        rows: dict[str, tuple[str, str, str]] = {}
        rejected, skipped = set(), set()
        records = self.records()
        for line, (key, title, artist, genre) in enumerate(records, start=2):
            if not title:
                rejected.add(line)
                continue
            if key in lines:
                skipped.add(lines[key])
            lines[key] = line
            rows[key] = (title, artist, genre)
        return Expected(rows, len(records), frozenset(rejected), frozenset(skipped))
