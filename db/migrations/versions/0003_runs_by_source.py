"""Runs know their source by a key and can pause; the indexes that adopted tables lack; schedules."""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Nothing of its own: 0001 has made it already, and 0007 makes it where an earlier build recorded less."""
