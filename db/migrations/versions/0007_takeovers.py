"""How often the owners of a run were lost.

Databases of before the first release may record any revision up to here and lack anything of what came after it.
"""

from alembic import op

from db.migrations.adoption import adopt

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add what is missing; where 0001 has just done that, nothing is."""
    adopt(op.get_context())
