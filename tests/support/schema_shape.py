"""What a database's tables are, as values that can be compared, and a database of the release before."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import Database
from db.migrate import VERSION_TABLE
from db.migrations import tables_0007
from db.schema import metadata

Shape = dict[str, dict[str, Any]]


async def shape_of(database: Database) -> Shape:
    """Columns with type, nullability and default, keys and indexes of each table of the schema that is there."""
    async with database.read() as connection:
        return await connection.run_sync(_shape)


def _shape(connection: Connection) -> Shape:
    inspector = inspect(connection)
    there = [name for name in inspector.get_table_names() if name in metadata.tables]
    return {name: _table(inspector, connection, name) for name in there}


def _table(inspector: Any, connection: Connection, name: str) -> dict[str, Any]:
    return {
        "columns": {
            column["name"]: (column["type"].compile(connection.dialect), column["nullable"], column["default"])
            for column in inspector.get_columns(name)
        },
        "primary key": inspector.get_pk_constraint(name)["constrained_columns"],
        "indexes": {(i["name"], tuple(i["column_names"]), bool(i["unique"])) for i in inspector.get_indexes(name)},
        "unique": {tuple(u["column_names"]) for u in inspector.get_unique_constraints(name)},
        "foreign keys": {
            (tuple(k["constrained_columns"]), k["referred_table"], str(sorted(k["options"].items())))
            for k in inspector.get_foreign_keys(name)
        },
    }


async def make_previous(connection: AsyncConnection) -> None:
    """The tables of revision 0007, as its own build made them."""
    await connection.run_sync(tables_0007.metadata.create_all)
    await connection.execute(text(f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    await connection.execute(text(f"INSERT INTO {VERSION_TABLE} VALUES ('0007')"))
