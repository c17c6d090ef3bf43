"""The steps of a revision: each looks first, and treats «exists already» as done.

DDL is not undone by a rollback on MySQL, and replicas may migrate at once: whatever a step finds done, by a try that was
cut short or by another replica, it leaves as it is. Tables and columns are needed. Indexes and foreign keys are not:
where the server refuses one, for whatever reason, the table does without, and that is said.

The columns of a table are added by one statement, so that the table is locked for a moment once; the server's default
algorithm is the least that does (instant, then in place).

With Alembic's `as_sql` nothing is done: the statements are printed, and later steps see the database as it would be then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Connection, Executable, ForeignKeyConstraint, Index, Table, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import AddConstraint, CreateColumn, CreateIndex, CreateTable

from db.errors import TransientDatabaseError, translate
from db.migrations.inventory import Inventory

# Table, column and key «exists already»: a replica that migrates at the same time was faster.
_EXISTS_CODES: Final = frozenset({1050, 1060, 1061, 1826, 1022})
_LOOKS_MAX: Final = 10


class Steps:
    """What a revision does to the database of its context.

    Args:
        context: of the migration; its options name `live`, the connection to look through, `say`, which is told what the
            database has to do without, and `inventory`.
    """

    def __init__(self, context: MigrationContext) -> None:
        self._context = context
        self._is_plan = context.as_sql
        self._connection: Connection = context.opts["live"]
        self._inventory: Inventory = context.opts["inventory"]
        self._say: Callable[[str], None] = context.opts["say"]

    @property
    def inventory(self) -> Inventory:
        """What the database has, as far as the steps have come."""
        return self._inventory

    def create_table(self, table: Table) -> None:
        """Make a table; of one that is there, the indexes that it lacks.

        On MySQL indexes and foreign keys follow the table: one without them is worth more than none.

        Raises:
            DBAPIError: the server refuses for any other reason than that it is there.
        """
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        if self._inventory.has_table(table.name):
            for index in indexes:
                self.add_index(index)
            return
        foreign_keys = [c for c in table.constraints if isinstance(c, ForeignKeyConstraint)]
        is_sqlite = self._connection.dialect.name == "sqlite"
        self._done(CreateTable(table, include_foreign_key_constraints=foreign_keys if is_sqlite else []))
        self._inventory.plan_columns(table.name, table.columns.keys())
        for index in indexes:
            self._try_index(index)
        if not is_sqlite:
            for key in foreign_keys:
                statement = AddConstraint(key, isolate_from_table=False)
                self._try(statement, f"foreign key from {table.name} to {key.referred_table.name}")

    def add_columns(self, table_name: str, columns: Iterable[Column[object]]) -> None:
        """Add those that are missing, by one statement; after another replica has added some, by one for the rest.

        Raises:
            DBAPIError: the server refuses for any other reason than that one is there.
        """
        wanted = list(columns)
        for _look in range(_LOOKS_MAX):
            present = self._inventory.columns(table_name)
            missing = [column for column in wanted if column.name.lower() not in present]
            if not missing:
                return
            # SQLite adds one column by a statement.
            at_once = missing[:1] if self._connection.dialect.name == "sqlite" else missing
            quote = self._connection.dialect.identifier_preparer.quote
            added = ", ".join(f"ADD COLUMN {self._definition(column)}" for column in at_once)
            self._done(text(f"ALTER TABLE {quote(table_name)} {added}"))
            self._inventory.plan_columns(table_name, [column.name for column in at_once])

    def add_index(self, index: Index) -> None:
        """Add an index, unless one of the table's begins with the same columns.

        Raises:
            DBAPIError: a passing fault, such as a lock.
        """
        if not self._inventory.has_index(_table_name(index), index.columns.keys()):
            self._try_index(index)

    def _definition(self, column: Column[object]) -> str:
        return str(CreateColumn(column).compile(dialect=self._connection.dialect))

    def _done(self, statement: Executable) -> None:
        try:
            self._context.execute(statement)
        except DBAPIError as error:
            if _code(error) not in _EXISTS_CODES:
                raise

    def _try_index(self, index: Index) -> None:
        self._try(CreateIndex(index), f"index {index.name} of {_table_name(index)}")
        self._inventory.plan_index(_table_name(index), index.columns.keys())

    def _try(self, statement: Executable, what: str) -> None:
        """Add an index or a key that the service can do without.

        Raises:
            DBAPIError: a passing fault, such as a lock: what it asks for may be had at the next try.
        """
        try:
            self._context.execute(statement)
        except DBAPIError as error:
            if _code(error) in _EXISTS_CODES:
                return
            fault = translate(error)
            if isinstance(fault, TransientDatabaseError):
                raise
            self._say(f"there is no {what}, and the service does without: {fault.message}")


def _code(error: DBAPIError) -> int:
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else 0


def _table_name(index: Index) -> str:
    if index.table is None:
        raise ValueError(f"index {index.name} has no table")
    return index.table.name
