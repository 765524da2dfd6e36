"""What a card has paid on a business date is found, for the limits of each card."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

WITH_CARD = sa.text("pan_token IS NOT NULL")


def upgrade() -> None:
    """Make the index."""
    op.create_index(
        "ix_journal_card_day",
        "journal",
        ["business_date", "pan_token"],
        sqlite_where=WITH_CARD,
        postgresql_where=WITH_CARD,
    )
