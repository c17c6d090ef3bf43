"""The table of incremental sources: sync_watermarks."""

from alembic import op

from db.migrations.additive import add_missing

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add what is missing. There is no downgrade: nothing is ever taken away."""
    add_missing(op.get_context())
