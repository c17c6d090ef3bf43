"""The contract's tables (created, or adopted as they are) and the service's own, all as 0007 knew them."""

from alembic import op

from db.migrations.adoption import adopt

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Add what is missing. There is no downgrade: nothing is ever taken away."""
    adopt(op.get_context())
