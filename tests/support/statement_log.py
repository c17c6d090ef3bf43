"""A pytest plugin that notes which statements the code sends to its tables, for the release after this one.

usage: TECHAURA_STATEMENT_LOG=FOLDER pytest -n 0 -p tests.support.statement_log tests/db tests/execution tests/schedules

Each distinct statement is a line of `FOLDER/<sqlite|server>.sql`, with `?` for its values. The files of a revision stay
under tests/db/statements; test_previous_release.py lets the newest schema take them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from db.schema import metadata

_TABLE = re.compile(r"\b(" + "|".join(metadata.tables) + r")\b")
_MANIPULATES = re.compile(r"(SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH)\b")
# Tables of one session, made before the statement; probes of privileges; and rows that are text of the statement.
_LEFT_OUT = re.compile(
    r"\bsync_(staging|changes|rows|batch)\b|information_schema|WHERE FALSE|VALUES\s*\('", re.IGNORECASE
)


def shape(statement: str) -> str:
    """One line, `?` for each value, and one value for a list of any length."""
    text = re.sub(r"\s+", " ", statement).strip().replace("%s", "?").replace("%%", "%")
    text = re.sub(r"\(\?(?:, \?)+\)", lambda list_: "(?)" if _is_after_in(text, list_.start()) else list_.group(), text)
    return re.sub(r"(VALUES \([^()]*\))(?:, \([^()]*\))+", r"\1", text)


def _is_after_in(text: str, start: int) -> bool:
    return text[:start].rstrip().endswith(" IN")


@pytest.fixture(scope="session", autouse=True)
def statements_noted() -> Iterator[None]:
    """Write them when the session ends."""
    seen: dict[str, set[str]] = {"sqlite": set(), "server": set()}

    def note(connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        kind = "sqlite" if connection.dialect.name == "sqlite" else "server"
        if _MANIPULATES.match(statement) and _TABLE.search(statement) and not _LEFT_OUT.search(statement):
            seen[kind].add(shape(statement))

    event.listen(Engine, "before_cursor_execute", note)
    yield
    event.remove(Engine, "before_cursor_execute", note)
    folder = Path(os.environ["TECHAURA_STATEMENT_LOG"])
    folder.mkdir(parents=True, exist_ok=True)
    for kind, statements in seen.items():
        (folder / f"{kind}.sql").write_text("".join(f"{statement}\n" for statement in sorted(statements)))
