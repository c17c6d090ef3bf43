"""Counts of what was wrong with rows, by code and column, each with the line on which it was first seen.

A run keeps one for its reading; each checkpoint holds it as it stands behind the batch, so that it survives a takeover
and the end of a run needs no look at the errors. It is bounded: rejects beyond `KINDS_MAX` kinds go into one. What is
skipped has a kind of its own always, so that the kinds of either sum to the run's ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from server.core.reject_kinds import RejectKind

KINDS_MAX: Final = 32
# The code of all that found no place.
OTHER_CODE: Final = "other"
# Codes of values that a person should look at. They are no fault by themselves, and no row is counted out: keys that look
# as if a spreadsheet had shortened them, words for no value, damaged texts (server/pipeline/text_damage.py), texts in single
# quotes, and rows that are probably no records.
SHORTENED_CODE: Final = "shortened_key"
NULL_WORD_CODE: Final = "null_word"
TWICE_DECODED_CODE: Final = "twice_decoded"
HTML_ENTITY_CODE: Final = "html_entity"
LOST_CHARACTER_CODE: Final = "lost_character"
UNSEEN_CHARACTER_CODE: Final = "unseen_character"
SINGLE_QUOTED_CODE: Final = "single_quoted"
NO_RECORD_CODE: Final = "no_record"
# Before a currency beside amounts, of several that are declared.
CURRENCY_PREFIX: Final = "currency:"
# Of these, those by which a row is no longer found under its key.
DAMAGE_CODES: Final = frozenset(
    {NULL_WORD_CODE, TWICE_DECODED_CODE, HTML_ENTITY_CODE, LOST_CHARACTER_CODE, UNSEEN_CHARACTER_CODE}
)
ODD_CODES: Final = DAMAGE_CODES | {SHORTENED_CODE, SINGLE_QUOTED_CODE, NO_RECORD_CODE}

_SKIPPED: Final = frozenset({RejectKind.DUPLICATE_KEY, RejectKind.CONFLICT})

# As much of a code and of a column as an error keeps too, so that those of a kind find its errors.
CODE_CHARS_MAX: Final = 50
COLUMN_CHARS_MAX: Final = 255


@dataclass(frozen=True, slots=True)
class Kind:
    """One way in which rows were wrong.

    Args:
        code: the code of the rejects, such as bad_cast.
        column: the source column at fault; empty when it is the whole record.
        count: rows.
        first_line: the line of the first of them; 0 when it is not known.
    """

    code: str
    column: str
    count: int
    first_line: int

    @property
    def is_rejected(self) -> bool:
        """Whether its rows count as rejected."""
        return not self.is_skipped and not self.is_odd

    @property
    def is_odd(self) -> bool:
        """Whether its rows are loaded as they stand, and a person may have to look at them."""
        return self.code in ODD_CODES or self.code.startswith(CURRENCY_PREFIX)

    @property
    def is_skipped(self) -> bool:
        """Whether its rows count as skipped."""
        return self.code in _SKIPPED

    def with_more(self, other: Kind) -> Kind:
        """This kind with the rows of another added."""
        lines = [line for line in (self.first_line, other.first_line) if line]
        return Kind(self.code, self.column, self.count + other.count, min(lines, default=0))


@dataclass(frozen=True, slots=True)
class Tally:
    """The kinds so far, in the order in which they were first seen."""

    kinds: tuple[Kind, ...] = field(default=())

    def plus(self, found: Iterable[Kind]) -> Tally:
        """This tally with more of what is wrong added to it."""
        kinds = {(kind.code, kind.column): kind for kind in self.kinds}
        rejected_count = sum(kind.is_rejected for kind in self.kinds)
        for one in found:
            # Rows are skipped for few reasons, and as a whole.
            key = (one.code[:CODE_CHARS_MAX], "" if one.is_skipped else one.column[:COLUMN_CHARS_MAX])
            if key not in kinds and one.is_rejected:
                if rejected_count >= KINDS_MAX - 1:
                    key = (OTHER_CODE, "")
                rejected_count += key not in kinds
            kinds[key] = kinds.get(key, Kind(*key, 0, 0)).with_more(one)
        return Tally(tuple(kinds.values()))

    def by_code(self) -> list[Kind]:
        """One kind for each code, whatever the column; those of most rows first."""
        codes: dict[str, Kind] = {}
        for kind in self.kinds:
            known = codes.get(kind.code, Kind(kind.code, "", 0, 0))
            codes[kind.code] = known.with_more(kind)
        return sorted(codes.values(), key=lambda kind: (-kind.count, kind.first_line))

    def groups(self) -> list[Kind]:
        """What a run tells of its rows: the kinds of rejected and skipped ones, those of most rows first."""
        told = [kind for kind in self.kinds if kind.is_rejected or kind.is_skipped]
        return sorted(told, key=lambda kind: (-kind.count, kind.first_line, kind.code, kind.column))

    def count(self, code: str) -> int:
        """Rows of one code."""
        return sum(kind.count for kind in self.kinds if kind.code == code)

    def to_json(self) -> list[list[Any]]:
        """The form in which a checkpoint holds it."""
        return [[kind.code, kind.column, kind.count, kind.first_line] for kind in self.kinds]

    @classmethod
    def from_json(cls, document: Sequence[Sequence[Any]]) -> Tally:
        """The tally of a checkpoint."""
        return cls(tuple(Kind(str(code), str(column), int(count), int(line)) for code, column, count, line in document))
