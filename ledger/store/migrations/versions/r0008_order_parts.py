"""The order that an order is a part of, and the parts of an order."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column, and the index that finds an order's parts."""
    op.add_column("orders", sa.Column("part_of", sa.Text(), nullable=False, server_default=""))
    parts = sa.text("part_of <> ''")
    op.create_index(
        "ix_orders_parts",
        "orders",
        ["merchant_id", "part_of"],
        sqlite_where=parts,
        postgresql_where=parts,
    )
