"""Why a message to a bank, or a notice to a merchant, was given up."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the columns."""
    for table in ("saf", "outbox"):
        op.add_column(table, sa.Column("dead_reason", sa.Text(), nullable=False, server_default=""))
