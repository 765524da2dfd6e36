"""An index that finds the advices of the last day."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ADVICE = sa.text("kind = 'advice'")


def upgrade() -> None:
    """Add it."""
    op.create_index(
        "ix_saf_advices",
        "saf",
        ["created_at_ms"],
        sqlite_where=ADVICE,
        postgresql_where=ADVICE,
    )
