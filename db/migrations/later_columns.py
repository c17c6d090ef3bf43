"""Columns that revisions after 0007 add to tables of the bot, each written down once.

The revision of a column adds it. Where 0001 adopts a table of the bot, it adds all of them with its own, so that such a
table is altered once however many revisions come; the revisions then find theirs done. Entries are added, never changed.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Integer, text

SYNC_RUNS_0008: Final[tuple[Column[Any], ...]] = (
    Column("counted_as", Integer, nullable=False, server_default=text("0")),
)
SYNC_RUNS_0009: Final[tuple[Column[Any], ...]] = (
    Column("waited_ms", BigInteger, nullable=False, server_default=text("0")),
)

BY_TABLE: Final = {"sync_runs": (*SYNC_RUNS_0008, *SYNC_RUNS_0009)}
