"""Errors of a run by their reason."""

from alembic import op
from sqlalchemy import Column, Index, Integer, MetaData, String, Table

from db.migrations.steps import Steps

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """An index. Where the server refuses it, a list by reason looks at all errors that are stored of the run."""
    # As much of the table as the index names.
    errors = Table("sync_errors", MetaData(), Column("sync_run_id", Integer), Column("error_code", String(50)))
    # Not the run first: the server would drop the index that a foreign key of an adopted table brought.
    index = Index("idx_sync_errors_error_code_sync_run_id", errors.c.error_code, errors.c.sync_run_id)
    Steps(op.get_context()).add_index(index)
