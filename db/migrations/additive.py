"""Adds what a database lacks of the schema, and touches nothing that is there.

Tables and columns are needed. Indexes and foreign keys are not: where the server refuses one, for whatever reason, the
table does without, and that is said. Of an existing contract table only missing columns are added, and the few indexes
without which our own statements would read the whole table; its types and foreign keys belong to the bot (in some
databases sync_errors.sync_run_id is signed and its foreign key missing; both stay so).

The columns of a table are added by one statement, so that the table is locked for a moment once; the server's default
algorithm is the least that does (instant, then in place).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from alembic.migration import MigrationContext
from sqlalchemy import Column, Connection, Table, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import (
    AddConstraint,
    CreateColumn,
    CreateIndex,
    CreateTable,
    ExecutableDDLElement,
    ForeignKeyConstraint,
)

from db.errors import TransientDatabaseError, translate
from db.schema import metadata

# Table, column and key «exists already»: a replica that migrates at the same time was faster.
_EXISTS_CODES: Final = frozenset({1050, 1060, 1061, 1826, 1022})
_LOOKS_MAX: Final = 10
_DONE: Final = "nothing_is_missing"

# Also added to tables that the bot made: without a foreign key sync_errors has no index on its run.
_NEEDED_INDEXES: Final = frozenset({"idx_sync_errors_sync_run_id", "idx_sync_runs_source_key_status"})


def add_missing(context: MigrationContext) -> None:
    """Create the tables that are missing, and the columns missing in those that are there.

    That brings a database to the present schema from wherever it is; the revisions after the first of an upgrade find
    it done.

    Args:
        context: of the migration; its option `say` is told what the database has to do without.

    Raises:
        DBAPIError: the server refuses a table or a column for any other reason than that it is there.
    """
    connection, say = context.connection, context.opts["say"]
    if connection is None:
        raise ValueError("a migration needs a connection")
    if context.opts.get(_DONE):
        return
    present = set(inspect(connection).get_table_names())
    for table in metadata.sorted_tables:
        if table.name not in present:
            _create(connection, table, say)
            continue
        _add_columns(connection, table)
        _add_needed_indexes(connection, table, say)
    context.opts[_DONE] = True


def _add_columns(connection: Connection, table: Table) -> None:
    """One statement for all that are missing; after another replica has added some, one for the rest."""
    for _look in range(_LOOKS_MAX):
        present = {str(column["name"]).lower() for column in inspect(connection).get_columns(table.name)}
        missing = [column for column in table.columns if column.name.lower() not in present]
        if not missing:
            return
        # SQLite adds one column by a statement.
        at_once = missing[:1] if connection.dialect.name == "sqlite" else missing
        quote = connection.dialect.identifier_preparer.quote
        added = ", ".join(f"ADD COLUMN {_definition(connection, column)}" for column in at_once)
        try:
            connection.exec_driver_sql(f"ALTER TABLE {quote(table.name)} {added}")
        except DBAPIError as error:
            if _code(error) not in _EXISTS_CODES:
                raise


def _definition(connection: Connection, column: Column[object]) -> str:
    return str(CreateColumn(column).compile(dialect=connection.dialect))


def _add_needed_indexes(connection: Connection, table: Table, say: Callable[[str], None]) -> None:
    """The indexes of `_NEEDED_INDEXES`, unless one of the table's begins with the same columns."""
    needed = [index for index in table.indexes if index.name in _NEEDED_INDEXES]
    if not needed:
        return
    inspector = inspect(connection)
    present = [list(index["column_names"]) for index in inspector.get_indexes(table.name)]
    present += [list(unique["column_names"]) for unique in inspector.get_unique_constraints(table.name)]
    for index in needed:
        names = [column.name for column in index.columns]
        if not any(columns[: len(names)] == names for columns in present):
            _try(connection, CreateIndex(index), f"index {index.name} of {table.name}", say)


def _create(connection: Connection, table: Table, say: Callable[[str], None]) -> None:
    """Make a table. On MySQL its indexes and foreign keys follow: a table without one is worth more than no table."""
    foreign_keys = [c for c in table.constraints if isinstance(c, ForeignKeyConstraint)]
    is_sqlite = connection.dialect.name == "sqlite"
    try:
        connection.execute(CreateTable(table, include_foreign_key_constraints=foreign_keys if is_sqlite else []))
    except DBAPIError as error:
        if _code(error) not in _EXISTS_CODES:
            raise
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        _try(connection, CreateIndex(index), f"index {index.name} of {table.name}", say)
    if not is_sqlite:
        for key in foreign_keys:
            statement = AddConstraint(key, isolate_from_table=False)
            _try(connection, statement, f"foreign key from {table.name} to {key.referred_table.name}", say)


def _try(connection: Connection, statement: ExecutableDDLElement, what: str, say: Callable[[str], None]) -> None:
    """Add a thing that the service can do without.

    Raises:
        DBAPIError: a passing fault, such as a lock: what it asks for may be had at the next try.
    """
    try:
        connection.execute(statement)
    except DBAPIError as error:
        if _code(error) in _EXISTS_CODES:
            return
        fault = translate(error)
        if isinstance(fault, TransientDatabaseError):
            raise
        say(f"there is no {what}, and the service does without: {fault.message}")


def _code(error: DBAPIError) -> int:
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else 0
