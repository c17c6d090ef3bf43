"""Pages of APIs that are asked for only if they have changed: sync_kept_pages."""

from alembic import op

from db.migrations.additive import add_missing

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add what is missing. There is no downgrade: nothing is ever taken away."""
    add_missing(op.get_context())
