"""What is asked again and again costs the same however many runs there are: counts of ended runs, the last run of a source."""

from alembic import op
from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, MetaData, String, Table, text
from sqlalchemy.dialects import mysql

from db.migrations.later_columns import SYNC_RUNS_0008
from db.migrations.steps import Steps

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Two columns, a table, two indexes. The counts are filled by the service, a thousand runs at a time."""
    steps = Steps(op.get_context())
    steps.create_table(
        Table(
            "sync_run_counts",
            MetaData(),
            Column("block_no", Integer, primary_key=True, autoincrement=False),
            Column("counted_as", Integer, primary_key=True, autoincrement=False),
            Column("run_count", BigInteger, nullable=False),
            Column("revision", BigInteger, nullable=False, server_default=text("0")),
            mysql_engine="InnoDB",
            mysql_charset="utf8mb4",
            mysql_collate="utf8mb4_unicode_ci",
        )
    )
    spelling = String(255).with_variant(mysql.VARCHAR(255, collation="utf8mb4_bin"), "mysql", "mariadb")
    steps.add_columns("sync_sources", [Column("row_identifier", spelling)])
    steps.add_columns("sync_runs", SYNC_RUNS_0008)
    # As much of the table as the indexes name.
    runs = Table(
        "sync_runs",
        MetaData(),
        Column("source_key", String(64)),
        Column("completed_at", DateTime),
        Column("status", String(50)),
        Column("counted_as", Integer),
    )
    steps.add_index(Index("idx_sync_runs_counted_as_status", runs.c.counted_as, runs.c.status))
    steps.add_index(Index("idx_sync_runs_source_key_completed_at", runs.c.source_key, runs.c.completed_at))
