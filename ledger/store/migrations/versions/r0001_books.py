"""The first books: journal, accounts, transfers, queues, and what keeps them honest."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIGINT = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
FLAG = sa.Boolean().with_variant(sa.INTEGER(), "sqlite")
BYTES = sa.LargeBinary().with_variant(sa.BLOB(), "sqlite")

APPEND_ONLY = ("transfers", "chain_anchors")


def upgrade() -> None:
    """Create everything."""
    create_tables()
    if op.get_bind().dialect.name == "sqlite":
        refuse_changes_on_sqlite()
    else:
        refuse_changes_on_postgresql()


def refuse_changes_on_sqlite() -> None:
    """Triggers that keep the append-only tables append-only."""
    for table in APPEND_ONLY:
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table}"
                f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def refuse_changes_on_postgresql() -> None:
    """The same, and TRUNCATE too."""
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def create_tables() -> None:
    """The tables of ``schema.py`` as they were at this revision."""
    op.create_table(
        "accounts",
        sa.Column("id", BIGINT, sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("currency_code", sa.Text(), nullable=False),
        sa.Column("normal_side", sa.Text(), nullable=False),
        sa.Column("no_negative", FLAG, server_default=sa.text("false"), nullable=False),
        sa.Column("debits_posted", BIGINT, server_default=sa.text("0"), nullable=False),
        sa.Column("credits_posted", BIGINT, server_default=sa.text("0"), nullable=False),
        sa.Column("debits_pending", BIGINT, server_default=sa.text("0"), nullable=False),
        sa.Column("credits_pending", BIGINT, server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "NOT no_negative OR (normal_side = 'credit'"
            " AND debits_posted + debits_pending <= credits_posted) OR (normal_side = 'debit'"
            " AND credits_posted + credits_pending <= debits_posted)",
            name=op.f("ck_accounts_limit"),
        ),
        sa.CheckConstraint(
            "normal_side IN ('debit', 'credit')", name=op.f("ck_accounts_normal_side")
        ),
        sa.CheckConstraint(
            "debits_posted >= 0 AND credits_posted >= 0"
            " AND debits_pending >= 0 AND credits_pending >= 0",
            name=op.f("ck_accounts_sums"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sqlite_strict=True,
    )
    op.create_index("uq_accounts_name", "accounts", ["name", "currency_code"], unique=True)
    op.create_table(
        "chain_anchors",
        sa.Column("id", BIGINT, autoincrement=False, nullable=False),
        sa.Column("business_date", sa.Text(), nullable=False),
        sa.Column("created_at_ms", BIGINT, nullable=False),
        sa.Column("heads", sa.Text(), nullable=False),
        sa.Column("anchor_hash", BYTES, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chain_anchors")),
        sqlite_strict=True,
    )
    op.create_table(
        "chains",
        sa.Column("id", BIGINT, sa.Identity(always=False), nullable=False),
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("chain_seq", BIGINT, server_default=sa.text("0"), nullable=False),
        sa.Column("chain_hash", BYTES, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chains")),
        sqlite_strict=True,
    )
    op.create_index("uq_chains_instance", "chains", ["instance"], unique=True)
    op.create_table(
        "couriers",
        sa.Column("courier_id", sa.Text(), nullable=False),
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("password_tries", BIGINT, nullable=False),
        sa.Column("locked", FLAG, nullable=False),
        sa.PrimaryKeyConstraint("courier_id", name=op.f("pk_couriers")),
        sqlite_strict=True,
    )
    op.create_table(
        "instances",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("incarnation", BIGINT, nullable=False),
        sa.Column("started_at_ms", BIGINT, nullable=False),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_instances")),
        sqlite_strict=True,
    )
    op.create_index(
        "uq_instances_incarnation", "instances", ["instance", "incarnation"], unique=True
    )
    op.create_table(
        "journal",
        sa.Column("id", BIGINT, autoincrement=False, nullable=False),
        sa.Column("rrn", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("mti", sa.Text(), nullable=False),
        sa.Column("processing_code", sa.Text(), nullable=False),
        sa.Column("transaction_type", sa.Text(), nullable=False),
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("batch", sa.Text(), nullable=False),
        sa.Column("stan", sa.Text(), nullable=False),
        sa.Column("amount_minor", BIGINT, nullable=False),
        sa.Column("currency_code", sa.Text(), nullable=False),
        sa.Column("fingerprint", BYTES, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("lease_until_ms", BIGINT, nullable=False),
        sa.Column("created_at_ms", BIGINT, nullable=False),
        sa.Column("business_date", sa.Text(), nullable=False),
        sa.Column("pan_masked", sa.Text(), nullable=True),
        sa.Column("pan_token", BYTES, nullable=True),
        sa.Column("pan_cipher", BYTES, nullable=True),
        sa.Column("bank", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("bank_stan", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("transmission_at", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("order_no", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("courier_id", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("original_id", BIGINT, nullable=True),
        sa.Column("claimed_by", BIGINT, nullable=True),
        sa.Column("response_code", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("approval_code", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("late_response_code", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("reply", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_journal_order",
        "journal",
        ["merchant_id", "order_no"],
        unique=False,
        sqlite_where=sa.text("order_no <> ''"),
        postgresql_where=sa.text("order_no <> ''"),
    )
    op.create_index(
        "ix_journal_original_id",
        "journal",
        ["original_id"],
        unique=False,
        sqlite_where=sa.text("original_id IS NOT NULL"),
        postgresql_where=sa.text("original_id IS NOT NULL"),
    )
    op.create_index(
        "ix_journal_unsettled",
        "journal",
        ["lease_until_ms"],
        unique=False,
        sqlite_where=sa.text("state IN ('received', 'sent')"),
        postgresql_where=sa.text("state IN ('received', 'sent')"),
    )
    op.create_index(
        "uq_journal_original", "journal", ["terminal_id", "batch", "stan", "role"], unique=True
    )
    op.create_index("uq_journal_rrn", "journal", ["rrn"], unique=True)
    op.create_table(
        "number_blocks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("next_number", BIGINT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_number_blocks")),
        sqlite_strict=True,
    )
    op.create_table(
        "orders",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("amount_minor", BIGINT, nullable=False),
        sa.Column("currency_code", sa.Text(), nullable=False),
        sa.Column("pay_ways", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("queried_at_ms", BIGINT, nullable=False),
        sa.Column("paying_id", BIGINT, nullable=True),
        sa.Column("payment_id", BIGINT, nullable=True),
        sa.PrimaryKeyConstraint("merchant_id", "order_no", name=op.f("pk_orders")),
        sqlite_strict=True,
    )
    op.create_table(
        "outbox",
        sa.Column("seq", BIGINT, sa.Identity(always=False), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at_ms", BIGINT, nullable=False),
        sa.Column("next_at_ms", BIGINT, nullable=False),
        sa.Column("attempts", BIGINT, nullable=False),
        sa.Column("owner", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("lease_until_ms", BIGINT, server_default=sa.text("0"), nullable=False),
        sa.Column("delivered_at_ms", BIGINT, nullable=True),
        sa.Column("dead_at_ms", BIGINT, nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_outbox")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_outbox_undelivered",
        "outbox",
        ["merchant_id", "order_no", "seq"],
        unique=False,
        sqlite_where=sa.text("delivered_at_ms IS NULL"),
        postgresql_where=sa.text("delivered_at_ms IS NULL"),
    )
    op.create_index("uq_outbox_id", "outbox", ["id"], unique=True)
    op.create_table(
        "saf",
        sa.Column("id", BIGINT, autoincrement=False, nullable=False),
        sa.Column("bank", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("original_id", BIGINT, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at_ms", BIGINT, nullable=False),
        sa.Column("next_at_ms", BIGINT, nullable=False),
        sa.Column("attempts", BIGINT, nullable=False),
        sa.Column("stan", sa.Text(), nullable=False),
        sa.Column("transmission_at", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("lease_until_ms", BIGINT, server_default=sa.text("0"), nullable=False),
        sa.Column("response_code", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("finished_at_ms", BIGINT, nullable=True),
        sa.Column("dead_at_ms", BIGINT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saf")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_saf_open",
        "saf",
        ["bank", "id"],
        unique=False,
        sqlite_where=sa.text("finished_at_ms IS NULL AND dead_at_ms IS NULL"),
        postgresql_where=sa.text("finished_at_ms IS NULL AND dead_at_ms IS NULL"),
    )
    op.create_index("uq_saf_original_id", "saf", ["original_id"], unique=True)
    op.create_table(
        "terminals",
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("batch", sa.Text(), nullable=False),
        sa.Column("signed_on", FLAG, nullable=False),
        sa.Column("tpk", sa.Text(), nullable=False),
        sa.Column("tak", sa.Text(), nullable=False),
        sa.Column("tdk", sa.Text(), nullable=False),
        sa.Column("next_tpk", sa.Text(), nullable=False),
        sa.Column("next_tak", sa.Text(), nullable=False),
        sa.Column("next_tdk", sa.Text(), nullable=False),
        sa.Column("key_version", BIGINT, nullable=False),
        sa.PrimaryKeyConstraint("terminal_id", name=op.f("pk_terminals")),
        sqlite_strict=True,
    )
    op.create_table(
        "transfers",
        sa.Column("id", BIGINT, autoincrement=False, nullable=False),
        sa.Column("event_id", BIGINT, nullable=False),
        sa.Column("debit_account_id", BIGINT, nullable=False),
        sa.Column("credit_account_id", BIGINT, nullable=False),
        sa.Column("amount_minor", BIGINT, nullable=False),
        sa.Column("currency_code", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("pending_id", BIGINT, nullable=True),
        sa.Column("reverses_id", BIGINT, nullable=True),
        sa.Column("expires_at_ms", BIGINT, nullable=True),
        sa.Column("business_date", sa.Text(), nullable=False),
        sa.Column("created_at_ms", BIGINT, nullable=False),
        sa.Column("writer", BIGINT, nullable=False),
        sa.Column("chain_seq", BIGINT, nullable=False),
        sa.Column("chain_hash", BYTES, nullable=False),
        sa.CheckConstraint(
            "(pending_id IS NOT NULL) = (phase IN ('post', 'void'))",
            name=op.f("ck_transfers_pending"),
        ),
        sa.CheckConstraint(
            "phase IN ('posted', 'pending', 'post', 'void')", name=op.f("ck_transfers_phase")
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_transfers_amount")),
        sa.CheckConstraint(
            "debit_account_id <> credit_account_id", name=op.f("ck_transfers_two_accounts")
        ),
        sa.CheckConstraint("id = writer * 1099511627776 + chain_seq", name=op.f("ck_transfers_id")),
        sa.ForeignKeyConstraint(
            ["credit_account_id"], ["accounts.id"], name=op.f("fk_transfers_credit_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["debit_account_id"], ["accounts.id"], name=op.f("fk_transfers_debit_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfers")),
        sqlite_strict=True,
    )
    op.create_index("ix_transfers_event_id", "transfers", ["event_id"], unique=False)
    op.create_index(
        "ix_transfers_expires_at_ms",
        "transfers",
        ["expires_at_ms"],
        unique=False,
        sqlite_where=sa.text("expires_at_ms IS NOT NULL"),
        postgresql_where=sa.text("expires_at_ms IS NOT NULL"),
    )
    op.create_index(
        "uq_transfers_pending_id",
        "transfers",
        ["pending_id"],
        unique=True,
        sqlite_where=sa.text("pending_id IS NOT NULL"),
        postgresql_where=sa.text("pending_id IS NOT NULL"),
    )
    op.create_index(
        "uq_transfers_reverses_id",
        "transfers",
        ["reverses_id"],
        unique=True,
        sqlite_where=sa.text("reverses_id IS NOT NULL"),
        postgresql_where=sa.text("reverses_id IS NOT NULL"),
    )
