"""Adds what a database lacks of the schema, and touches nothing that is there.

Of an existing contract table only missing columns are added, and the few indexes without which our own statements
would read the whole table; its types and foreign keys belong to the bot (in some databases sync_errors.sync_run_id is
signed and its foreign key missing; both stay so).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Connection, Index, Table, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import AddConstraint, CreateColumn, CreateTable, ForeignKeyConstraint

# Table, column and key «exists already»: a replica that migrates at the same time was faster.
_EXISTS_CODES: Final = frozenset({1050, 1060, 1061, 1826, 1022})
# A foreign key to a column of another type (1005 errno 150 on MariaDB, 3780 on MySQL).
_FOREIGN_KEY_CODES: Final = frozenset({1005, 1215, 3780})

# Also added to tables that the bot made: without a foreign key sync_errors has no index on its run.
_NEEDED_INDEXES: Final = frozenset({"idx_sync_errors_sync_run_id", "idx_sync_runs_source_key_status"})


def add_missing(connection: Connection, tables: list[Table]) -> None:
    """Create the tables that are missing, in the order given, and the columns missing in those that are there.

    Raises:
        DBAPIError: the server refuses for any other reason than that the thing is there.
    """
    present = set(inspect(connection).get_table_names())
    for table in tables:
        if table.name not in present:
            _create(connection, table)
            continue
        columns = {str(column["name"]).lower() for column in inspect(connection).get_columns(table.name)}
        for column in table.columns:
            if column.name.lower() not in columns:
                _add_column(connection, table, column)
        _add_needed_indexes(connection, table)


def _add_needed_indexes(connection: Connection, table: Table) -> None:
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
            _create_index(connection, index)


def _create_index(connection: Connection, index: Index) -> None:
    try:
        index.create(connection)
    except DBAPIError as error:
        _raise_unless(error, _EXISTS_CODES)


def _create(connection: Connection, table: Table) -> None:
    foreign_keys = [c for c in table.constraints if isinstance(c, ForeignKeyConstraint)]
    is_mysql = connection.dialect.name != "sqlite"
    # On MySQL the foreign keys follow one by one: a table without one is worth more than no table.
    _run(
        connection, CreateTable(table, include_foreign_key_constraints=[] if is_mysql else foreign_keys), _EXISTS_CODES
    )
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        _create_index(connection, index)
    if is_mysql:
        for foreign_key in foreign_keys:
            _run(connection, AddConstraint(foreign_key, isolate_from_table=False), _EXISTS_CODES | _FOREIGN_KEY_CODES)


def _add_column(connection: Connection, table: Table, column: Column[object]) -> None:
    quote = connection.dialect.identifier_preparer.quote
    definition = CreateColumn(column).compile(dialect=connection.dialect)
    try:
        connection.exec_driver_sql(f"ALTER TABLE {quote(table.name)} ADD COLUMN {definition}")
    except DBAPIError as error:
        _raise_unless(error, _EXISTS_CODES)


def _run(connection: Connection, statement: CreateTable | AddConstraint, accepted: frozenset[int]) -> None:
    try:
        connection.execute(statement)
    except DBAPIError as error:
        _raise_unless(error, accepted)


def _raise_unless(error: DBAPIError, accepted: frozenset[int]) -> None:
    arguments = getattr(error.orig, "args", ())
    if not arguments or arguments[0] not in accepted:
        raise error
