"""Counts of conflicts and of rows that a mirror switched off, and what a mirror has seen."""

from alembic import op

from db.migrations.additive import add_missing

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what is missing."""
    add_missing(op.get_context())
