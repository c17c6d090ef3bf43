"""Adds what a database lacks of the schema, and touches nothing that is there.

Of an existing contract table only missing columns are added: its types, indexes and foreign keys belong to the bot
(in some databases sync_errors.sync_run_id is signed and its foreign key missing; both stay so).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Connection, Table, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import AddConstraint, CreateColumn, CreateTable, ForeignKeyConstraint

# Table, column and key «exists already»: a replica that migrates at the same time was faster.
_EXISTS_CODES: Final = frozenset({1050, 1060, 1061, 1826, 1022})
# A foreign key to a column of another type (1005 errno 150 on MariaDB, 3780 on MySQL).
_FOREIGN_KEY_CODES: Final = frozenset({1005, 1215, 3780})


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


def _create(connection: Connection, table: Table) -> None:
    foreign_keys = [c for c in table.constraints if isinstance(c, ForeignKeyConstraint)]
    is_mysql = connection.dialect.name != "sqlite"
    # On MySQL the foreign keys follow one by one: a table without one is worth more than no table.
    _run(
        connection, CreateTable(table, include_foreign_key_constraints=[] if is_mysql else foreign_keys), _EXISTS_CODES
    )
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        try:
            index.create(connection)
        except DBAPIError as error:
            _raise_unless(error, _EXISTS_CODES)
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
