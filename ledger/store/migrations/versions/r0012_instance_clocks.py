"""What each process last noted of its clock, for the next start."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

BIGINT = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")


def upgrade() -> None:
    """Add the columns."""
    for name in ("seen_at_ms", "steady_since_ms", "latest_at_ms"):
        number = sa.Column(name, BIGINT, nullable=False, server_default="0")
        op.add_column("instances", number)
    op.add_column("instances", sa.Column("open_date", sa.Text(), nullable=False, server_default=""))
