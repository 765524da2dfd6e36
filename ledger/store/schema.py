"""The tables of the books, as SQLAlchemy Core sees them on SQLite and PostgreSQL.

Money is integer minor units, times are integer milliseconds since 1970 UTC, dates are ISO text.
``transfers``, ``chain_anchors`` and ``config_versions`` are append-only: triggers refuse everything
else. SQLite
tables are STRICT, so that a wrong type is refused there as on PostgreSQL. The migrations create
all this (a test holds both equal); start reading at :data:`transfers` and :data:`journal`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects import sqlite

# The migration that creates exactly these tables; a test holds them equal.
SCHEMA_VERSION = "0016"

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

# A transfer's id is its writer's chain number times this, plus its place in that chain: unique
# without asking anybody, and in the order of the chain.
CHAIN_LENGTH_MAX = 1 << 40

# SQLite's STRICT tables know INTEGER, TEXT and BLOB only.
BigInt = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
Flag = Boolean().with_variant(sqlite.INTEGER(), "sqlite")
Bytes = LargeBinary().with_variant(sqlite.BLOB(), "sqlite")


def _text(name: str, default: str | None = None) -> Column[str]:
    server_default = None if default is None else text(f"'{default}'")
    return Column(name, Text, nullable=False, server_default=server_default)


def _integer(name: str, default: int | None = None) -> Column[int]:
    server_default = None if default is None else text(str(default))
    return Column(name, BigInt, nullable=False, server_default=server_default)


def _maybe_integer(name: str) -> Column[int]:
    return Column(name, BigInt, nullable=True)


def _number_key(name: str) -> Column[int]:
    """A key that the database counts up itself."""
    return Column(name, BigInt, Identity(always=False), primary_key=True)


def _given_key(name: str) -> Column[int]:
    """A key that the program makes; PostgreSQL must not add a sequence of its own."""
    return Column(name, BigInt, primary_key=True, autoincrement=False)


accounts = Table(
    "accounts",
    metadata,
    _number_key("id"),
    _text("name"),
    _text("currency_code"),
    _text("normal_side"),
    Column("no_negative", Flag, nullable=False, server_default=text("false")),
    _integer("debits_posted", 0),
    _integer("credits_posted", 0),
    _integer("debits_pending", 0),
    _integer("credits_pending", 0),
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
    _number_key("id"),
    _text("instance"),
    _integer("chain_seq", 0),
    Column("chain_hash", Bytes, nullable=False),
    Index("uq_chains_instance", "instance", unique=True),
    sqlite_strict=True,
)

transfers = Table(
    "transfers",
    metadata,
    _given_key("id"),
    _integer("event_id"),
    Column("debit_account_id", BigInt, ForeignKey("accounts.id"), nullable=False),
    Column("credit_account_id", BigInt, ForeignKey("accounts.id"), nullable=False),
    _integer("amount_minor"),
    _text("currency_code"),
    _text("code"),
    _text("phase"),
    _maybe_integer("pending_id"),
    _maybe_integer("reverses_id"),
    _maybe_integer("expires_at_ms"),
    _text("business_date"),
    _integer("created_at_ms"),
    _integer("writer"),
    _integer("chain_seq"),
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
    Index(
        "ix_transfers_expires_at_ms",
        "expires_at_ms",
        sqlite_where=text("expires_at_ms IS NOT NULL"),
        postgresql_where=text("expires_at_ms IS NOT NULL"),
    ),
    sqlite_strict=True,
)

# Written out wherever it is asked for, so that SQLite sees that the partial index serves.
UNSETTLED = text("state IN ('received', 'sent')")

journal = Table(
    "journal",
    metadata,
    _given_key("id"),
    _text("rrn"),
    _text("role"),
    _text("kind"),
    _text("mti"),
    _text("processing_code"),
    _text("transaction_type"),
    _text("terminal_id"),
    _text("merchant_id"),
    _text("batch"),
    _text("stan"),
    _integer("amount_minor"),
    _text("currency_code"),
    Column("fingerprint", Bytes, nullable=False),
    _text("state"),
    _text("owner"),
    _integer("lease_until_ms"),
    _integer("created_at_ms"),
    _text("business_date"),
    Column("pan_masked", Text, nullable=True),
    Column("pan_token", Bytes, nullable=True),
    Column("pan_cipher", Bytes, nullable=True),
    _text("bank", ""),
    _text("bank_stan", ""),
    _text("transmission_at", ""),
    _text("order_no", ""),
    _text("courier_id", ""),
    _maybe_integer("original_id"),
    _maybe_integer("claimed_by"),
    _text("response_code", ""),
    _text("approval_code", ""),
    _text("late_response_code", ""),
    _text("detail", ""),
    _text("reply", ""),
    _integer("epoch", 0),
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
    # Of all kinds: one that is added later needs no migration.
    Index("ix_journal_takings", "merchant_id", "business_date", "kind"),
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
    _text("status"),
    _integer("amount_minor"),
    _text("currency_code"),
    _text("pay_ways"),
    _text("text"),
    _integer("queried_at_ms"),
    _maybe_integer("paying_id"),
    _maybe_integer("payment_id"),
    _integer("changes", 0),
    _text("part_of", ""),
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
    _text("batch"),
    Column("signed_on", Flag, nullable=False),
    _text("tpk"),
    _text("tak"),
    _text("tdk"),
    _text("waiting", ""),
    _integer("key_version"),
    sqlite_strict=True,
)

couriers = Table(
    "couriers",
    metadata,
    Column("courier_id", Text, primary_key=True),
    _text("terminal_id"),
    _integer("password_tries"),
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
    _given_key("id"),
    _text("bank"),
    _text("kind"),
    _integer("original_id"),
    _text("reason"),
    _integer("created_at_ms"),
    _integer("next_at_ms"),
    _integer("attempts"),
    _text("stan"),
    _text("transmission_at"),
    _text("owner", ""),
    _integer("lease_until_ms", 0),
    _text("response_code", ""),
    _maybe_integer("finished_at_ms"),
    _maybe_integer("dead_at_ms"),
    _text("dead_reason", ""),
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
    _number_key("seq"),
    _text("id"),
    _text("merchant_id"),
    _text("order_no"),
    _text("type"),
    _text("body"),
    _integer("created_at_ms"),
    _integer("next_at_ms"),
    _integer("attempts"),
    _text("owner", ""),
    _integer("lease_until_ms", 0),
    _maybe_integer("delivered_at_ms"),
    _maybe_integer("dead_at_ms"),
    _text("dead_reason", ""),
    _text("attempt_log", ""),
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
    _text("instance"),
    _integer("incarnation"),
    _integer("started_at_ms"),
    _integer("seen_at_ms", 0),
    _integer("steady_since_ms", 0),
    _integer("latest_at_ms", 0),
    _text("open_date", ""),
    Index("uq_instances_incarnation", "instance", "incarnation", unique=True),
    sqlite_strict=True,
)

number_blocks = Table(
    "number_blocks",
    metadata,
    Column("name", Text, primary_key=True),
    _integer("next_number"),
    sqlite_strict=True,
)

chain_anchors = Table(
    "chain_anchors",
    metadata,
    _given_key("id"),
    _text("business_date"),
    _integer("created_at_ms"),
    _text("heads"),
    Column("anchor_hash", Bytes, nullable=False),
    sqlite_strict=True,
)


config_versions = Table(
    "config_versions",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("version", BigInt, primary_key=True, autoincrement=False),
    _integer("epoch"),
    _integer("place"),
    Column("body", Text, nullable=True),
    _integer("valid_from"),
    _text("made_by"),
    _text("checked_by"),
    _text("reason"),
    _maybe_integer("replaces"),
    sqlite_strict=True,
)

# One row.
config_epoch = Table(
    "config_epoch",
    metadata,
    _given_key("id"),
    _integer("epoch"),
    CheckConstraint("id = 1", name="one_row"),
    sqlite_strict=True,
)


def column_names(table: Table) -> tuple[str, ...]:
    """The names of a table's columns in their order."""
    return tuple(column.name for column in table.columns)


APPEND_ONLY = ("transfers", "chain_anchors", "config_versions")
