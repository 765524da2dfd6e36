"""Since when a terminal has its working keys: after so many uses it is asked for a sign-on."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

revision = "0018"
down_revision = "0017"

BIGINT = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")


def upgrade() -> None:
    """Add the column; of the keys that are there it is not known."""
    op.add_column(
        "terminals", sa.Column("proved_at_ms", BIGINT, nullable=False, server_default="0")
    )
