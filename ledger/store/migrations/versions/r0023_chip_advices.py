"""What a chip said stands, sealed, beside the advice that its bank is owed."""

import sqlalchemy as sa
from alembic import op

revision = "0023.0022"
down_revision = "0022"


def upgrade() -> None:
    """Add the column."""
    op.add_column("saf", sa.Column("icc", sa.Text(), nullable=False, server_default=""))
