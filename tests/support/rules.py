"""Rules that people have on their tables, put there by the hand of an administrator, on each kind of database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import text

from db.engine import Database
from tests.support.database_server import DatabaseServer


@dataclass(frozen=True, slots=True)
class Administrator:
    """Changes tables as root does.

    Args:
        server: None for SQLite.
    """

    database: Database
    server: DatabaseServer | None

    async def execute(self, *statements: str) -> None:
        """Run statements."""
        if self.server is not None:
            self.server.execute(*statements, database=str(self.database.url.database))
            return
        async with self.database.write() as connection:
            for statement in statements:
                await connection.exec_driver_sql(statement)

    async def add_constraint(self, table: str, constraint: str) -> None:
        """Add a table constraint; SQLite needs the (empty) table to be made anew."""
        if self.server is not None:
            await self.execute(f"ALTER TABLE {table} ADD {constraint}")
        else:
            await self._make_anew(table, lambda made: f"{made.removesuffix(')')}, {constraint})")

    async def add_column(self, table: str, column: str) -> None:
        """Add a column; SQLite needs the (empty) table to be made anew."""
        if self.server is not None:
            await self.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
        else:
            await self._make_anew(table, lambda made: made.replace("(", f"({column}, ", 1))

    async def _make_anew(self, table: str, changed: Callable[[str], str]) -> None:
        async with self.database.read() as connection:
            query = text("SELECT sql FROM sqlite_master WHERE name = :name AND type = 'table'")
            made = str((await connection.execute(query, {"name": table})).scalar_one())
        await self.execute(f"DROP TABLE {table}", changed(made.rstrip()))

    async def add_trigger(self, event: str, table: str, condition: str, words: str, *, name: str = "guard") -> None:
        """Add a trigger that refuses a row, such as `BEFORE INSERT`, where a condition over NEW holds."""
        if self.server is None:
            body = f"SELECT RAISE(ABORT, '{words}') WHERE {condition};"
        else:
            body = f"IF {condition} THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{words}'; END IF;"
        await self.execute(f"CREATE TRIGGER {name} {event} ON {table} FOR EACH ROW BEGIN {body} END")
