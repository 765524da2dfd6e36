"""Business configuration lives in versions that nobody changes; an entry knows its epoch."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

BIGINT = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
TABLE = "config_versions"


def upgrade() -> None:
    """Create the tables; the configuration itself comes from the switch's file at its start."""
    op.create_table(
        TABLE,
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", BIGINT, autoincrement=False, nullable=False),
        sa.Column("epoch", BIGINT, nullable=False),
        sa.Column("place", BIGINT, nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("valid_from", BIGINT, nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("checked_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("replaces", BIGINT, nullable=True),
        sa.PrimaryKeyConstraint("kind", "key", "version", name="pk_config_versions"),
        sqlite_strict=True,
    )
    epoch = op.create_table(
        "config_epoch",
        sa.Column("id", BIGINT, autoincrement=False, nullable=False),
        sa.Column("epoch", BIGINT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_config_epoch"),
        sa.CheckConstraint("id = 1", name="ck_config_epoch_one_row"),
        sqlite_strict=True,
    )
    op.bulk_insert(epoch, [{"id": 1, "epoch": 0}])
    op.add_column("journal", sa.Column("epoch", BIGINT, nullable=False, server_default="0"))
    if op.get_bind().dialect.name == "sqlite":
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {TABLE}_no_{action.lower()} BEFORE {action} ON {TABLE}"
                f" BEGIN SELECT RAISE(ABORT, '{TABLE} is append-only'); END"
            )
    else:
        op.execute(
            f"CREATE TRIGGER {TABLE}_no_change BEFORE UPDATE OR DELETE ON {TABLE}"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {TABLE}_no_truncate BEFORE TRUNCATE ON {TABLE}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
