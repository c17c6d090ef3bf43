"""Counts of conflicts and of rows that a mirror switched off, and what a mirror has seen."""

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Nothing of its own: 0001 has made it already, and 0007 makes it where an earlier build recorded less."""
