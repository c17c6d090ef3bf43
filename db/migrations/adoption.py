"""Brings a database to the tables of revision 0007, from wherever it is: empty, the bot's own, half-migrated, or ours.

Of an existing contract table only missing columns are added, and the indexes without which our own statements would read
the whole table; its types and foreign keys belong to the bot (in some databases sync_errors.sync_run_id is signed
and its foreign key missing; both stay so).
"""

from __future__ import annotations

from typing import Final

from alembic.runtime.migration import MigrationContext

from db.migrations.later_columns import BY_TABLE
from db.migrations.steps import Steps
from db.migrations.tables_0007 import metadata

# Tables whose indexes are completed: our own statements rest on them. The bot's have theirs, except that without a foreign
# key sync_errors has none on its run.
_INDEXED: Final = frozenset({"sync_runs", "sync_errors"})
_OF_THE_BOT: Final = frozenset({"sync_runs", "sync_errors", "content_index", "catalog_items", "catalog_change_log"})
_DONE: Final = "is_adopted"


def adopt(context: MigrationContext) -> None:
    """Create the tables that are missing, and the columns missing in those that are there; once in an upgrade.

    Raises:
        DBAPIError: the server refuses a table or a column for any other reason than that it is there.
    """
    if context.opts.get(_DONE):
        return
    steps = Steps(context)
    present = steps.inventory.table_names()
    for table in metadata.sorted_tables:
        if table.name not in present or table.name not in _OF_THE_BOT:
            steps.create_table(table)
        if table.name not in present:
            continue
        # The bot has no column of ours: where all are there, a start of ours was cut short behind the table.
        is_ours = steps.inventory.columns(table.name) >= {column.name.lower() for column in table.columns}
        steps.add_columns(table.name, [*table.columns, *BY_TABLE.get(table.name, ())])
        if is_ours or table.name in _INDEXED:
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                steps.add_index(index)
    context.opts[_DONE] = True
