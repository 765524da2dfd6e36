"""Pre-authorisations are found by card and approval code, and open ones by when they run out."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

PREAUTHS = sa.text("kind = 'preauth'")
OPEN_PREAUTHS = sa.text("kind = 'preauth' AND state = 'approved'")


def upgrade() -> None:
    """Two indexes more, and one less: what runs out is an entry, not a transfer."""
    op.drop_index("ix_transfers_expires_at_ms", "transfers")
    op.create_index(
        "ix_journal_preauths",
        "journal",
        ["pan_token", "approval_code"],
        sqlite_where=PREAUTHS,
        postgresql_where=PREAUTHS,
    )
    op.create_index(
        "ix_journal_open_preauths",
        "journal",
        ["lease_until_ms", "created_at_ms"],
        sqlite_where=OPEN_PREAUTHS,
        postgresql_where=OPEN_PREAUTHS,
    )
