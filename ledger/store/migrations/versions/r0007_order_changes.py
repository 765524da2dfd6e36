"""How often something that happened here has changed an order."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

BIGINT = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")


def upgrade() -> None:
    """Add the count."""
    op.add_column("orders", sa.Column("changes", BIGINT, nullable=False, server_default="0"))
