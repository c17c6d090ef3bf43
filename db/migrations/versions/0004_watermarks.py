"""The table of incremental sources: sync_watermarks."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Nothing of its own: 0001 has made it already, and 0007 makes it where an earlier build recorded less."""
