"""Runs know their source by a key and can pause; the indexes that adopted tables lack; schedules."""

from alembic import op

from db.migrations.additive import add_missing

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add what is missing. There is no downgrade: nothing is ever taken away."""
    add_missing(op.get_context())
