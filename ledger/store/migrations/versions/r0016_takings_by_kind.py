"""The index of a merchant's business day has all kinds, so that a new one needs no migration."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Make the index anew, of every entry and with its kind."""
    op.drop_index("ix_journal_takings", "journal")
    op.create_index("ix_journal_takings", "journal", ["merchant_id", "business_date", "kind"])
