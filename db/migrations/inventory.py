"""What a database has: as it is, and, where steps are only planned, as they would leave it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, inspect


class Inventory:
    """Tables, columns and indexes of a database.

    Args:
        connection: looked through at each question, since another replica may migrate too.
        is_plan: whether nothing is really done, so that what is planned counts as there.
    """

    def __init__(self, connection: Connection, *, is_plan: bool) -> None:
        self._connection = connection
        self._is_plan = is_plan
        self._planned_columns: dict[str, set[str]] = {}
        self._planned_indexes: dict[str, list[list[str]]] = defaultdict(list)

    def has_table(self, table_name: str) -> bool:
        """Whether the table is there."""
        return table_name in self._planned_columns or table_name in self.table_names()

    def table_names(self) -> set[str]:
        """Names of all tables that are really there."""
        return set(inspect(self._connection).get_table_names())

    def columns(self, table_name: str) -> set[str]:
        """Its columns, in lower case."""
        planned = self._planned_columns.get(table_name, set())
        if planned and table_name not in self.table_names():
            return planned
        return planned | {str(column["name"]).lower() for column in inspect(self._connection).get_columns(table_name)}

    def has_index(self, table_name: str, columns: Sequence[str]) -> bool:
        """Whether one of its indexes begins with these columns."""
        present: list[Sequence[str | None]] = [*self._planned_indexes[table_name]]
        inspector = inspect(self._connection)
        if table_name in inspector.get_table_names():
            present += [index["column_names"] for index in inspector.get_indexes(table_name)]
            present += [unique["column_names"] for unique in inspector.get_unique_constraints(table_name)]
        return any(list(found[: len(columns)]) == list(columns) for found in present)

    def plan_columns(self, table_name: str, names: Iterable[str]) -> None:
        """Count columns, and with them their table, as there."""
        if self._is_plan:
            self._planned_columns.setdefault(table_name, set()).update(name.lower() for name in names)

    def plan_index(self, table_name: str, columns: Sequence[str]) -> None:
        """Count an index as there."""
        if self._is_plan:
            self._planned_indexes[table_name].append(list(columns))
