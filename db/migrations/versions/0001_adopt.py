"""The contract's tables (created, or adopted as they are) and the service's own."""

from alembic import op

from db.migrations.additive import add_missing

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Add what is missing. There is no downgrade: nothing is ever taken away."""
    add_missing(op.get_context())
