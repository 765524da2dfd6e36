"""The tables of the books, as SQLAlchemy Core sees them on SQLite and PostgreSQL.

Money is integer minor units, times are integer milliseconds since 1970 UTC, dates are ISO text.
``transfers``, ``chain_anchors`` and ``config_versions`` are append-only: triggers refuse everything
else. SQLite
tables are STRICT, so that a wrong type is refused there as on PostgreSQL. The migrations create
all this (a test holds both equal); start reading at :data:`transfers` and :data:`journal`.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, MetaData, Table, Text, text

from acquirer.ledger.store.columns import (
    CHAIN_LENGTH_MAX,
    BigInt,
    Bytes,
    Flag,
    given_key,
    integer,
    maybe_integer,
    number_key,
    text_column,
)

# The migration that creates exactly these tables; a test holds them equal.
SCHEMA_VERSION = "0023.0022"

# Names of constraints are fixed, so that both databases and later migrations agree on them.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

accounts = Table(
    "accounts",
    metadata,
    number_key("id"),
    text_column("name"),
    text_column("currency_code"),
    text_column("normal_side"),
    Column("no_negative", Flag, nullable=False, server_default=text("false")),
    integer("debits_posted", 0),
    integer("credits_posted", 0),
    integer("debits_pending", 0),
    integer("credits_pending", 0),
    CheckConstraint("normal_side IN ('debit', 'credit')", name="normal_side"),
    CheckConstraint(
        "debits_posted >= 0 AND credits_posted >= 0"
        " AND debits_pending >= 0 AND credits_pending >= 0",
        name="sums",
    ),
    CheckConstraint(
        "NOT no_negative"
        " OR (normal_side = 'credit' AND debits_posted + debits_pending <= credits_posted)"
        " OR (normal_side = 'debit' AND credits_posted + credits_pending <= debits_posted)",
        name="limit",
    ),
    Index("uq_accounts_name", "name", "currency_code", unique=True),
    sqlite_strict=True,
)

chains = Table(
    "chains",
    metadata,
    number_key("id"),
    text_column("instance"),
    integer("chain_seq", 0),
    Column("chain_hash", Bytes, nullable=False),
    Index("uq_chains_instance", "instance", unique=True),
    sqlite_strict=True,
)

transfers = Table(
    "transfers",
    metadata,
    given_key("id"),
    integer("event_id"),
    Column("debit_account_id", BigInt, ForeignKey("accounts.id"), nullable=False),
    Column("credit_account_id", BigInt, ForeignKey("accounts.id"), nullable=False),
    integer("amount_minor"),
    text_column("currency_code"),
    text_column("code"),
    text_column("phase"),
    maybe_integer("pending_id"),
    maybe_integer("reverses_id"),
    maybe_integer("expires_at_ms"),
    text_column("business_date"),
    integer("created_at_ms"),
    integer("writer"),
    integer("chain_seq"),
    Column("chain_hash", Bytes, nullable=False),
    CheckConstraint(f"id = writer * {CHAIN_LENGTH_MAX} + chain_seq", name="id"),
    CheckConstraint("debit_account_id <> credit_account_id", name="two_accounts"),
    CheckConstraint("amount_minor > 0", name="amount"),
    CheckConstraint("phase IN ('posted', 'pending', 'post', 'void')", name="phase"),
    CheckConstraint("(pending_id IS NOT NULL) = (phase IN ('post', 'void'))", name="pending"),
    Index("ix_transfers_event_id", "event_id"),
    Index(
        "uq_transfers_pending_id",
        "pending_id",
        unique=True,
        sqlite_where=text("pending_id IS NOT NULL"),
        postgresql_where=text("pending_id IS NOT NULL"),
    ),
    Index(
        "uq_transfers_reverses_id",
        "reverses_id",
        unique=True,
        sqlite_where=text("reverses_id IS NOT NULL"),
        postgresql_where=text("reverses_id IS NOT NULL"),
    ),
    sqlite_strict=True,
)

# Written out wherever it is asked for, so that SQLite sees that the partial index serves.
UNSETTLED = text("state IN ('received', 'sent')")
WITH_CARD = text("pan_token IS NOT NULL")
# The same: pre-authorisations, and those of them that hold their amount.
PREAUTHS = text("kind = 'preauth'")
OPEN_PREAUTHS = text("kind = 'preauth' AND state = 'approved'")

journal = Table(
    "journal",
    metadata,
    given_key("id"),
    text_column("rrn"),
    text_column("role"),
    text_column("kind"),
    text_column("mti"),
    text_column("processing_code"),
    text_column("transaction_type"),
    text_column("terminal_id"),
    text_column("merchant_id"),
    text_column("batch"),
    text_column("stan"),
    integer("amount_minor"),
    text_column("currency_code"),
    Column("fingerprint", Bytes, nullable=False),
    text_column("state"),
    text_column("owner"),
    integer("lease_until_ms"),
    integer("created_at_ms"),
    text_column("business_date"),
    Column("pan_masked", Text, nullable=True),
    Column("pan_token", Bytes, nullable=True),
    Column("pan_cipher", Bytes, nullable=True),
    text_column("bank", ""),
    text_column("bank_stan", ""),
    text_column("transmission_at", ""),
    text_column("order_no", ""),
    text_column("courier_id", ""),
    maybe_integer("original_id"),
    maybe_integer("claimed_by"),
    text_column("response_code", ""),
    text_column("approval_code", ""),
    text_column("late_response_code", ""),
    text_column("detail", ""),
    text_column("reply", ""),
    integer("epoch", 0),
    Index("uq_journal_original", "terminal_id", "batch", "stan", "role", unique=True),
    Index("uq_journal_rrn", "rrn", unique=True),
    Index(
        "ix_journal_unsettled",
        "lease_until_ms",
        sqlite_where=UNSETTLED,
        postgresql_where=UNSETTLED,
    ),
    Index(
        "ix_journal_original_id",
        "original_id",
        sqlite_where=text("original_id IS NOT NULL"),
        postgresql_where=text("original_id IS NOT NULL"),
    ),
    Index(
        "ix_journal_order",
        "merchant_id",
        "order_no",
        sqlite_where=text("order_no <> ''"),
        postgresql_where=text("order_no <> ''"),
    ),
    Index(
        "ix_journal_preauths",
        "pan_token",
        "approval_code",
        sqlite_where=PREAUTHS,
        postgresql_where=PREAUTHS,
    ),
    Index(
        "ix_journal_open_preauths",
        "lease_until_ms",
        "created_at_ms",
        sqlite_where=OPEN_PREAUTHS,
        postgresql_where=OPEN_PREAUTHS,
    ),
    # Of all kinds: one that is added later needs no migration.
    Index("ix_journal_takings", "merchant_id", "business_date", "kind"),
    Index(
        "ix_journal_card_day",
        "business_date",
        "pan_token",
        sqlite_where=WITH_CARD,
        postgresql_where=WITH_CARD,
    ),
    sqlite_strict=True,
)

# Written out wherever it is asked for, so that SQLite sees that the partial index serves.
UNCONFIRMED = text("status = '01'")
# The same; most orders are no part of another.
PARTS = text("part_of <> ''")

orders = Table(
    "orders",
    metadata,
    Column("merchant_id", Text, primary_key=True),
    Column("order_no", Text, primary_key=True),
    text_column("status"),
    integer("amount_minor"),
    text_column("currency_code"),
    text_column("pay_ways"),
    text_column("text"),
    integer("queried_at_ms"),
    maybe_integer("paying_id"),
    maybe_integer("payment_id"),
    integer("changes", 0),
    text_column("part_of", ""),
    Index(
        "ix_orders_parts",
        "merchant_id",
        "part_of",
        sqlite_where=PARTS,
        postgresql_where=PARTS,
    ),
    Index(
        "ix_orders_unconfirmed",
        "payment_id",
        sqlite_where=UNCONFIRMED,
        postgresql_where=UNCONFIRMED,
    ),
    sqlite_strict=True,
)

terminals = Table(
    "terminals",
    metadata,
    Column("terminal_id", Text, primary_key=True),
    text_column("batch"),
    Column("signed_on", Flag, nullable=False),
    text_column("tpk"),
    text_column("tak"),
    text_column("tdk"),
    text_column("waiting", ""),
    integer("key_version"),
    integer("proved_at_ms", 0),
    text_column("fetched", ""),
    Column("settling", Flag, nullable=False, server_default=text("false")),
    sqlite_strict=True,
)

# Of those only that their terminals have asked to settle, or that were closed without.
batches = Table(
    "batches",
    metadata,
    Column("terminal_id", Text, primary_key=True),
    Column("batch", Text, primary_key=True),
    text_column("state"),
    integer("opened_at_ms"),
    maybe_integer("closed_at_ms"),
    text_column("asked"),
    text_column("told"),
    text_column("closed"),
    text_column("differences"),
    sqlite_strict=True,
)

batch_items = Table(
    "batch_items",
    metadata,
    Column("terminal_id", Text, primary_key=True),
    Column("batch", Text, primary_key=True),
    Column("stan", Text, primary_key=True),
    integer("amount_minor"),
    Column("pan_token", Bytes, nullable=False),
    text_column("pan_masked"),
    Column("is_foreign", Flag, nullable=False),
    sqlite_strict=True,
)

batch_certificates = Table(
    "batch_certificates",
    metadata,
    Column("terminal_id", Text, primary_key=True),
    Column("batch", Text, primary_key=True),
    Column("fingerprint", Bytes, primary_key=True),
    Column("cipher", Bytes, nullable=False),
    sqlite_strict=True,
)

ksns = Table(
    "ksns",
    metadata,
    Column("terminal_id", Text, primary_key=True),
    Column("initial", Text, primary_key=True),
    integer("counter"),
    sqlite_strict=True,
)

couriers = Table(
    "couriers",
    metadata,
    Column("courier_id", Text, primary_key=True),
    text_column("terminal_id"),
    integer("password_tries"),
    Column("locked", Flag, nullable=False),
    sqlite_strict=True,
)

# Written out for the same reason as UNSETTLED.
ADVICE = text("saf.kind = 'advice'")
_IS_ADVICE = text("kind = 'advice'")

_SAF_DEAD = text("dead_at_ms IS NOT NULL")
_SAF_OPEN = text("finished_at_ms IS NULL AND dead_at_ms IS NULL")

saf = Table(
    "saf",
    metadata,
    given_key("id"),
    text_column("bank"),
    text_column("kind"),
    integer("original_id"),
    text_column("reason"),
    integer("created_at_ms"),
    integer("next_at_ms"),
    integer("attempts"),
    text_column("stan"),
    text_column("transmission_at"),
    text_column("owner", ""),
    integer("lease_until_ms", 0),
    text_column("response_code", ""),
    maybe_integer("finished_at_ms"),
    maybe_integer("dead_at_ms"),
    text_column("dead_reason", ""),
    text_column("icc", ""),
    Index("uq_saf_original_id_kind", "original_id", "kind", unique=True),
    Index(
        "ix_saf_advices",
        "created_at_ms",
        sqlite_where=_IS_ADVICE,
        postgresql_where=_IS_ADVICE,
    ),
    Index("ix_saf_dead", "bank", sqlite_where=_SAF_DEAD, postgresql_where=_SAF_DEAD),
    Index("ix_saf_open", "bank", "id", sqlite_where=_SAF_OPEN, postgresql_where=_SAF_OPEN),
    sqlite_strict=True,
)

_UNDELIVERED = text("delivered_at_ms IS NULL")

outbox = Table(
    "outbox",
    metadata,
    number_key("seq"),
    text_column("id"),
    text_column("merchant_id"),
    text_column("order_no"),
    text_column("type"),
    text_column("body"),
    integer("created_at_ms"),
    integer("next_at_ms"),
    integer("attempts"),
    text_column("owner", ""),
    integer("lease_until_ms", 0),
    maybe_integer("delivered_at_ms"),
    maybe_integer("dead_at_ms"),
    text_column("dead_reason", ""),
    text_column("attempt_log", ""),
    Index("uq_outbox_id", "id", unique=True),
    Index(
        "ix_outbox_undelivered",
        "merchant_id",
        "order_no",
        "seq",
        sqlite_where=_UNDELIVERED,
        postgresql_where=_UNDELIVERED,
    ),
    sqlite_strict=True,
)

instances = Table(
    "instances",
    metadata,
    Column("owner", Text, primary_key=True),
    text_column("instance"),
    integer("incarnation"),
    integer("started_at_ms"),
    integer("seen_at_ms", 0),
    integer("steady_since_ms", 0),
    integer("latest_at_ms", 0),
    text_column("open_date", ""),
    Index("uq_instances_incarnation", "instance", "incarnation", unique=True),
    sqlite_strict=True,
)

number_blocks = Table(
    "number_blocks",
    metadata,
    Column("name", Text, primary_key=True),
    integer("next_number"),
    sqlite_strict=True,
)

chain_anchors = Table(
    "chain_anchors",
    metadata,
    given_key("id"),
    text_column("business_date"),
    integer("created_at_ms"),
    text_column("heads"),
    Column("anchor_hash", Bytes, nullable=False),
    sqlite_strict=True,
)


config_versions = Table(
    "config_versions",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("version", BigInt, primary_key=True, autoincrement=False),
    integer("epoch"),
    integer("place"),
    Column("body", Text, nullable=True),
    integer("valid_from"),
    text_column("made_by"),
    text_column("checked_by"),
    text_column("reason"),
    maybe_integer("replaces"),
    sqlite_strict=True,
)

# One row.
config_epoch = Table(
    "config_epoch",
    metadata,
    given_key("id"),
    integer("epoch"),
    CheckConstraint("id = 1", name="one_row"),
    sqlite_strict=True,
)


def column_names(table: Table) -> tuple[str, ...]:
    """The names of a table's columns in their order."""
    return tuple(column.name for column in table.columns)


APPEND_ONLY = ("transfers", "chain_anchors", "config_versions")
