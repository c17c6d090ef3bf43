"""The few expressions that SQLite and MySQL spell differently."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, DateTime, String, cast, func, literal_column
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class now_ms(FunctionElement[int]):  # noqa: N801 - a SQL function, named like one
    """Milliseconds since 1970, by the database's own clock."""

    type = BigInteger()
    inherit_cache = True


class minutes_ago(FunctionElement[Any]):  # noqa: N801 - a SQL function, named like one
    """A UTC time some minutes before now, by the database's own clock, in the form of CURRENT_TIMESTAMP."""

    inherit_cache = True


class time_of_day(FunctionElement[Any]):  # noqa: N801 - a SQL function, named like one
    """The present UTC time, by the database's own clock."""

    type = DateTime()
    inherit_cache = True


@compiles(time_of_day)
def _time_of_day_mysql(_element: time_of_day, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "CURRENT_TIMESTAMP"


@compiles(time_of_day, "sqlite")
def _time_of_day_sqlite(_element: time_of_day, _compiler: SQLCompiler, **_kw: Any) -> str:
    # Not CURRENT_TIMESTAMP: like the others, this is a function that a simulation can replace.
    return "datetime('now')"


@compiles(now_ms)
def _now_ms_mysql(_element: now_ms, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)"


@compiles(now_ms, "sqlite")
def _now_ms_sqlite(_element: now_ms, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(minutes_ago)
def _minutes_ago_mysql(element: minutes_ago, compiler: SQLCompiler, **kw: Any) -> str:
    return f"(CURRENT_TIMESTAMP - INTERVAL {compiler.process(element.clauses, **kw)} MINUTE)"


@compiles(minutes_ago, "sqlite")
def _minutes_ago_sqlite(element: minutes_ago, compiler: SQLCompiler, **kw: Any) -> str:
    return f"datetime('now', '-' || {compiler.process(element.clauses, **kw)} || ' minutes')"


class exact_text(FunctionElement[str]):  # noqa: N801 - a SQL function, named like one
    """The text of a column as it compares byte for byte, whatever its character set and collation."""

    type = String()
    inherit_cache = True


@compiles(exact_text)
def _exact_text_mysql(element: exact_text, compiler: SQLCompiler, **kw: Any) -> str:
    return f"(CONVERT({compiler.process(element.clauses, **kw)} USING utf8mb4) COLLATE utf8mb4_bin)"


@compiles(exact_text, "sqlite")
def _exact_text_sqlite(element: exact_text, compiler: SQLCompiler, **kw: Any) -> str:
    return compiler.process(element.clauses, **kw)


def matches(connection: AsyncConnection, column: ColumnElement[str], wanted: str) -> ColumnElement[bool]:
    """Whether a column has a value, by its collation; blanks at its end count.

    With `=` MariaDB walks the index from its newest entry down to the page that was asked for, which is linear in the
    depth of the page. With LIKE, and nothing in the pattern that stands for other characters, it begins at the page.
    """
    if connection.dialect.name == "sqlite":
        return column == wanted
    return column.like(re.sub(r"([|%_])", r"|\1", wanted), escape="|")


def minutes_before_now(minutes: int) -> ColumnElement[Any]:
    """A UTC time `minutes` before now, by the database's own clock."""
    return minutes_ago(literal_column(str(int(minutes))))


def now() -> ColumnElement[Any]:
    """The database's time of day, UTC (sessions are pinned to it)."""
    return time_of_day()


def as_integer(column: ColumnElement[Any]) -> ColumnElement[int]:
    """A sum or count as a whole number (MySQL sums are decimals)."""
    return cast(func.coalesce(column, 0), BigInteger)


def as_text(value: Any) -> str:
    """A value of a text column; SQLite may hold anything there."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
