"""How long a run has waited for its source."""

from alembic import op

from db.migrations.later_columns import SYNC_RUNS_0009
from db.migrations.steps import Steps

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """One column."""
    Steps(op.get_context()).add_columns("sync_runs", SYNC_RUNS_0009)
