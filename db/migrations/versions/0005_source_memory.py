"""What sources keep from one run to the next: renewed refresh tokens, validators of pages. Sealed."""

from alembic import op

from db.migrations.additive import add_missing

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add what is missing. There is no downgrade: nothing is ever taken away."""
    add_missing(op.get_context())
