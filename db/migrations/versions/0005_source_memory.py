"""What sources keep from one run to the next: renewed refresh tokens, validators of pages. Sealed."""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Nothing of its own: 0001 has made it already, and 0007 makes it where an earlier build recorded less."""
