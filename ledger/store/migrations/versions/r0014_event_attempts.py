"""Each attempt to tell a merchant a notice: when, and what came of it."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the column."""
    op.add_column("outbox", sa.Column("attempt_log", sa.Text(), nullable=False, server_default=""))
