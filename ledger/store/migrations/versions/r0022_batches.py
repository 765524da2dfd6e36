"""Batches of terminals: those that were asked to settle or closed, and what terminals uploaded."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

revision = "0022"
down_revision = "0021.0020"

BIGINT = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
FLAG = sa.Boolean().with_variant(sqlite.INTEGER(), "sqlite")
BYTES = sa.LargeBinary().with_variant(sqlite.BLOB(), "sqlite")


def upgrade() -> None:
    """Add the column and make the tables."""
    op.add_column(
        "terminals",
        sa.Column("settling", FLAG, nullable=False, server_default=sa.text("false")),
    )
    named = ("terminal_id", "batch")
    op.create_table(
        "batches",
        *(sa.Column(name, sa.Text(), nullable=False) for name in (*named, "state")),
        sa.Column("opened_at_ms", BIGINT, nullable=False),
        sa.Column("closed_at_ms", BIGINT, nullable=True),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("asked", "told", "closed", "differences")
        ),
        sa.PrimaryKeyConstraint(*named, name="pk_batches"),
        sqlite_strict=True,
    )
    op.create_table(
        "batch_items",
        *(sa.Column(name, sa.Text(), nullable=False) for name in (*named, "stan")),
        sa.Column("amount_minor", BIGINT, nullable=False),
        sa.Column("pan_token", BYTES, nullable=False),
        sa.Column("pan_masked", sa.Text(), nullable=False),
        sa.Column("is_foreign", FLAG, nullable=False),
        sa.PrimaryKeyConstraint(*named, "stan", name="pk_batch_items"),
        sqlite_strict=True,
    )
    op.create_table(
        "batch_certificates",
        *(sa.Column(name, sa.Text(), nullable=False) for name in named),
        sa.Column("fingerprint", BYTES, nullable=False),
        sa.Column("cipher", BYTES, nullable=False),
        sa.PrimaryKeyConstraint(*named, "fingerprint", name="pk_batch_certificates"),
        sqlite_strict=True,
    )
