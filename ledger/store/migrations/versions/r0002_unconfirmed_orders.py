"""An index that finds order payments whose confirmation has not come."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

PAID = sa.text("status = '01'")


def upgrade() -> None:
    """Add it."""
    op.create_index(
        "ix_orders_unconfirmed",
        "orders",
        ["payment_id"],
        sqlite_where=PAID,
        postgresql_where=PAID,
    )
