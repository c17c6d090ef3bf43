"""How often a run lost its owner without progress: columns of sync_runs."""

from alembic import op

from db.migrations.additive import add_missing

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add what is missing. There is no downgrade: nothing is ever taken away."""
    add_missing(op.get_context())
