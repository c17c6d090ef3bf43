"""What is met in files that is neither a row nor a reject, with its number and where it stands first: for the notices.

It is counted block by block and goes into the checkpoint with the position, so that a run that goes on tells the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from server.core.errors import FatalError
from server.core.reasons import Reason

# Kind -> the notice, of one and of several. `where` names the line of the first, and with several files its file.
_TEXTS: Final = {
    "blank": (
        "a record of nothing but delimiters and blanks was left out ({where})",
        "{count} records of nothing but delimiters and blanks were left out (first: {where})",
    ),
    "comment": (
        "a line was left out as a comment ({where}), by options.commentPrefix",
        "{count} lines were left out as comments (first: {where}), by options.commentPrefix",
    ),
    "comment_behind_header": (
        (
            "one of the lines left out as comments stands behind the header ({where}): if it is a record, leave out "
            "options.commentPrefix"
        ),
        (
            "{count} of the lines left out as comments stand behind the header (first: {where}): if they are records, leave out "
            "options.commentPrefix"
        ),
    ),
    "hidden_row": (
        "a row that the sheet hides, by hand or by a filter, was loaded ({where})",
        "{count} rows that the sheet hides, by hand or by a filter, were loaded (first: {where})",
    ),
    "mark": (
        "a byte order mark inside the file was left out ({where}): files were put together",
        "{count} byte order marks inside the file were left out (first: {where}): files were put together",
    ),
    "inner_mark": (
        (
            "a byte order mark inside a record is kept ({where}): if files were put together without a line break between "
            "them, a record of each is in it"
        ),
        (
            "{count} byte order marks inside records are kept (first: {where}): if files were put together without a line break "
            "between them, a record of each is in them"
        ),
    ),
    "padding": (
        "a byte of Ctrl-Z or zero behind the last line was left out ({where})",
        "{count} bytes of Ctrl-Z or zero behind the last line were left out (first: {where})",
    ),
    "several_lines": (
        (
            "a quoted value goes over several lines, of which {example} would be a record by itself ({where}): is a quote missing "
            "there?"
        ),
        (
            "{count} quoted values go over several lines, of which some would be records by themselves (first: {where}, with "
            "{example} such lines): is a quote missing there?"
        ),
    ),
    "escape": (
        (
            "a sequence such as {example} is kept as the two characters that it is ({where}): other programs read it as a tab or "
            "a line break"
        ),
        (
            "{count} sequences such as {example} are kept as the two characters that they are (first: {where}): other programs "
            "read them as tabs or line breaks"
        ),
    ),
    "filled": (
        "a record ends early; the fields that it lacks were taken as empty ({where}), by options.missingFields",
        "{count} records end early; the fields that they lack were taken as empty (first: {where}), by options.missingFields",
    ),
    "cut_end": (
        "the last record ends early and without a line break ({where}): the file was probably cut off",
        "{count} files end with a record that ends early and without a line break (first: {where}): they were probably cut off",
    ),
    "long_number": (
        "a whole number has more than 15 digits ({where}: {example}): a workbook keeps 15; store such ids as text",
        "{count} whole numbers have more than 15 digits (first: {where}: {example}): a workbook keeps 15; store such ids as text",
    ),
    "respelled_key": (
        "a line writes a key otherwise than the first lines do, in case, accents or spacing ({where}: {example}); it is the same column",
        (
            "{count} lines write a key otherwise than the first lines do, in case, accents or spacing (first: {where}: {example}); it "
            "is the same column"
        ),
    ),
    "unknown_key": (
        (
            "a line has keys that none of the first lines has ({where}: {example}); their values were left out: put a line with "
            "every key first"
        ),
        (
            "{count} lines have keys that none of the first lines has (first: {where}: {example}); their values were left out: "
            "put a line with every key first"
        ),
    ),
}
# What makes it doubtful that the records were read as they are meant.
_DOUBTS: Final = frozenset({"several_lines", "inner_mark", "comment_behind_header", "cut_end"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of it.

    Args:
        count: how often.
        file: index of the file in which it stands first.
        line: the line there, from 1.
        example: what stands there, where the notice shows it.
    """

    count: int
    file: int
    line: int
    example: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """All of it, by kind."""

    by_kind: Mapping[str, Finding] = field(default_factory=dict)

    @classmethod
    def of(cls, lines: Mapping[str, Sequence[int]], examples: Mapping[str, str] | None = None) -> Findings:
        """What a piece of one file holds: kind to the lines where it stands, in order."""
        found = {
            kind: Finding(len(numbers), 0, int(numbers[0]), (examples or {}).get(kind, ""))
            for kind, numbers in lines.items()
            if len(numbers)
        }
        return cls(found)

    @classmethod
    def from_json(cls, document: Any) -> Findings:
        """As `to_json` wrote it; a checkpoint of an earlier version has none.

        Raises:
            FatalError: INTERNAL; it is none.
        """
        try:
            found = {
                kind: Finding(int(count), int(file), int(line), str(example))
                for kind, (count, file, line, example) in (document or {}).items()
                if kind in _TEXTS
            }
        except (TypeError, ValueError, AttributeError) as error:
            raise FatalError(Reason.INTERNAL, "the checkpoint of this run is not one of a csv source") from error
        return cls(found)

    def to_json(self) -> dict[str, list[Any]]:
        """For the checkpoint."""
        return {kind: [one.count, one.file, one.line, one.example] for kind, one in self.by_kind.items()}

    def plus(self, later: Findings, file: int) -> Findings:
        """With those of a later piece, of the file with that index."""
        if not later.by_kind:
            return self
        found = dict(self.by_kind)
        for kind, one in later.by_kind.items():
            before = found.get(kind)
            if before is None:
                found[kind] = Finding(one.count, file, one.line, one.example)
            else:
                found[kind] = Finding(before.count + one.count, before.file, before.line, before.example)
        return Findings(found)

    def notices(self, file_names: Sequence[str]) -> tuple[str, ...]:
        """Sentences for a person."""
        return tuple(
            _TEXTS[kind][one.count > 1].format(count=one.count, where=_where(one, file_names), example=one.example)
            for kind, one in sorted(self.by_kind.items(), key=lambda item: list(_TEXTS).index(item[0]))
        )

    def doubts(self, file_names: Sequence[str]) -> tuple[str, ...]:
        """Those of the notices that put the reading in doubt."""
        return Findings({kind: one for kind, one in self.by_kind.items() if kind in _DOUBTS}).notices(file_names)


def _where(one: Finding, file_names: Sequence[str]) -> str:
    name = f"{file_names[one.file]}, " if len(file_names) > 1 else ""
    return f"{name}line {one.line}"


NOTHING_FOUND: Final = Findings()
