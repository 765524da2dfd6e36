"""An index that finds dead letters for banks."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

DEAD = sa.text("dead_at_ms IS NOT NULL")


def upgrade() -> None:
    """Add it."""
    op.create_index("ix_saf_dead", "saf", ["bank"], sqlite_where=DEAD, postgresql_where=DEAD)
