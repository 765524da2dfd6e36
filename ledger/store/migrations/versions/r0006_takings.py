"""An index that finds a merchant's payments of one business day."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

TAKEN = sa.text("kind IN ('sale', 'order_payment', 'refund')")


def upgrade() -> None:
    """Add it."""
    op.create_index(
        "ix_journal_takings",
        "journal",
        ["merchant_id", "business_date"],
        sqlite_where=TAKEN,
        postgresql_where=TAKEN,
    )
