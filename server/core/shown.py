"""Names and values from outside in a text for a person: nothing in them acts on a terminal, and each stands apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_CHARS_MAX: Final = 64
_NAMES_MAX: Final = 20


def quoted(text: str) -> str:
    """A text in quotes, its control and invisible characters escaped, cut at 64 characters."""
    return repr(text if len(text) <= _CHARS_MAX else text[:_CHARS_MAX] + "…")


def listed(names: Iterable[str]) -> str:
    """Names in quotes, divided by commas; of more than 20 the others are counted. `none` when there are none."""
    every = list(names)
    shown = ", ".join(map(quoted, every[:_NAMES_MAX])) or "none"
    rest = len(every) - _NAMES_MAX
    return f"{shown} and {rest} more" if rest > 0 else shown
