"""Pages of APIs that are asked for only if they have changed: sync_kept_pages."""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Nothing of its own: 0001 has made it already, and 0007 makes it where an earlier build recorded less."""
