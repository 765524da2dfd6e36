"""A merchant's payments of one business day are found with its offline sales."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

TAKEN = sa.text(
    "kind IN ('sale', 'offline_sale', 'order_payment', 'order_payment_group', 'refund')"
)


def upgrade() -> None:
    """Make the index anew."""
    op.drop_index("ix_journal_takings", "journal")
    op.create_index(
        "ix_journal_takings",
        "journal",
        ["merchant_id", "business_date"],
        sqlite_where=TAKEN,
        postgresql_where=TAKEN,
    )
