"""The highest key serial number of each DUKPT terminal."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

revision = "0021.0020"
down_revision = "0020"

BIGINT = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "ksns",
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("initial", sa.Text(), nullable=False),
        sa.Column("counter", BIGINT, nullable=False),
        sa.PrimaryKeyConstraint("terminal_id", "initial", name="pk_ksns"),
        sqlite_strict=True,
    )
