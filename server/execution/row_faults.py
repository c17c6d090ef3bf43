"""What was wrong with the rows of a run, in words: for the failure of a run and for the notices of one that is completed.

The commonest kinds come first, each with its count and its first line; then what was said of the first row of the
commonest one, and the option that helps where that sentence names none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from db.records import Ledger
from server.core.reject_kinds import RejectKind
from server.core.tally import Kind, Tally
from server.execution.odd_notices import odd_notices

# Kinds that a sentence names, and those of which it repeats what was said of the first row.
_KINDS_NAMED_MAX: Final = 5
MESSAGES_MAX: Final = 3
_MESSAGE_CHARS_MAX: Final = 600

_OPTION_PREFIX: Final = "options."
# For rejects of CSV files whose own text names no option.
_HINTS: Final[Mapping[str, str]] = {
    "missing_columns": "check options.delimiter; if fields without a value are left out at the end of lines, set "
    "options.missingFields to empty",
    "too_many_columns": "check options.delimiter and options.quote",
    "unclosed_quote": "if the file puts no fields into quotes, set options.quote to an empty text",
}


@dataclass(frozen=True, slots=True)
class RowFaults:
    """What was wrong with the rows of one reading.

    Args:
        tally: the counts.
        messages: what was said of the first row of some kinds.
        source_type: whose options may be named.
        is_encoding_doubted: whether the source's reader has told that it may have another encoding.
    """

    tally: Tally
    messages: Mapping[Kind, str] = field(default_factory=dict)
    source_type: str = ""
    is_encoding_doubted: bool = False

    def why_rejected(self) -> str:
        """The rest of a sentence that says how many rows were rejected; empty when it is not known why."""
        return self._why([kind for kind in self.tally.by_code() if kind.is_rejected])

    def notices(self, ledger: Ledger, ratio_max: float) -> tuple[str, ...]:
        """What a person should know of a run that goes on with fewer rows than it read.

        Args:
            ratio_max: the share of rows that may be missing without a word.
        """
        found = odd_notices(self.tally.kinds, self.source_type, is_encoding_doubted=self.is_encoding_doubted)
        if ledger.skipped + ledger.rejected > ratio_max * ledger.read:
            kinds = [
                kind
                for kind in self.tally.by_code()
                if (kind.is_skipped and ledger.skipped) or (kind.is_rejected and ledger.rejected)
            ]
            counts = [f"{ledger.skipped} skipped"] * (ledger.skipped > 0)
            counts += [f"{ledger.rejected} rejected"] * (ledger.rejected > 0)
            found.insert(0, f"{' and '.join(counts)} of {ledger.read} rows{self._why(kinds)}")
        return tuple(found)

    def _why(self, kinds: Sequence[Kind]) -> str:
        if not kinds:
            return ""
        named = [_counted(kind) for kind in kinds[:_KINDS_NAMED_MAX]]
        rest = sum(kind.count for kind in kinds[_KINDS_NAMED_MAX:])
        named += [f"{rest} of other kinds"] * (rest > 0)
        said = [text for kind in kinds[:MESSAGES_MAX] if (text := self._said(kind))]
        return f": {', '.join(named)}" + "".join(f"; {text}" for text in said)

    def _said(self, kind: Kind) -> str:
        message = self.messages.get(kind, "")
        if len(message) > _MESSAGE_CHARS_MAX:
            message = message[:_MESSAGE_CHARS_MAX] + "…"
        parts = [f"line {kind.first_line}: {message}"] if message else []
        hint = _HINTS.get(kind.code) if self.source_type == "csv" else None
        if hint and _OPTION_PREFIX not in message:
            parts.append(hint)
        if kind.code == RejectKind.DUPLICATE_KEY:
            parts.append("if these are different things, their key has to tell them apart: map another column to it")
        return ", ".join(parts)


NO_FAULTS: Final = RowFaults(Tally())


def _counted(kind: Kind) -> str:
    line = f", first on line {kind.first_line}" if kind.first_line else ""
    return f"{kind.count} {kind.code}{line}"
