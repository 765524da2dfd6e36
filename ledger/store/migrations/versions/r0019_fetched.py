"""Which downloads a terminal has fetched, and in which version."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the column; of earlier terminals nothing is known."""
    op.add_column("terminals", sa.Column("fetched", sa.Text, nullable=False, server_default=""))
