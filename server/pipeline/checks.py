"""Shapes of a cast: how a column becomes canonical text, and the ways in which a row can be faulty.

Casts are expressions over a frame with one cleaned String column per target column; nothing runs here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from server.core.reject_kinds import RejectKind


@dataclass(frozen=True, slots=True)
class Check:
    """One way in which a row can be faulty.

    Args:
        kind: the kind of the reject.
        column: the target column at fault.
        message: what is wrong, in a sentence, without the value.
        mask: true for a faulty row; null counts as false.
        explain: the sentence for a faulty value in place of `message`; it sees the cleaned text of `column`, and tells
            what of it is at fault without repeating it.
    """

    kind: RejectKind
    column: str
    message: str
    mask: pl.Expr
    explain: Callable[[str], str] | None = None


@dataclass(frozen=True, slots=True)
class Cast:
    """How one column becomes canonical.

    Args:
        value: canonical text, or null where there is no value; anything where a check fails.
        checks: in the order in which they are reported; each may rely on those before it.
        steps: named intermediate columns, each in terms of the cleaned column and of the steps before it; `value`,
            `checks` and `number` read them. Their names begin with the column's name and a colon.
        number: the value as a whole number in units of its last digit, to compare with others of the same scale.
        scale: digits after the point in `number`.
    """

    value: pl.Expr
    checks: tuple[Check, ...] = ()
    steps: tuple[pl.Expr, ...] = ()
    number: pl.Expr | None = None
    scale: int = 0
