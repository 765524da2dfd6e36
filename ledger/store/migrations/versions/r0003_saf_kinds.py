"""A bank may be owed an advice of a transaction and then its reversal, too."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """One message of each kind for one original."""
    op.drop_index("uq_saf_original_id", "saf")
    op.create_index("uq_saf_original_id_kind", "saf", ["original_id", "kind"], unique=True)
