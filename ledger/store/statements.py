"""The SQL of the writer: what one unit does, and what is done for many rows at once.

Texts with ``[row]`` are repeated for each row (``database.for_rows``), because a group of 32
payments then takes seven statements and not two hundred, and each statement hands the
interpreter's lock to the other thread and back. The rest are Core constructs, compiled once.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Table,
    and_,
    bindparam,
    case,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from acquirer.ledger.store.database import Sql
from acquirer.ledger.store.rows import ENTRY_COLUMNS
from acquirer.ledger.store.schema import (
    accounts,
    chains,
    column_names,
    couriers,
    journal,
    number_blocks,
    orders,
    outbox,
    saf,
    terminals,
    transfers,
)

TRANSFER_COLUMNS = column_names(transfers)


def _insert_rows(table: str, columns: tuple[str, ...], tail: str = "") -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES [({marks})]{tail}"


def _insert_entries() -> str:
    """Rows of ``rows.entry_row``; their last value is of the terminal's keys, or NULL."""
    casts = {int: "bigint", str: "text", bytes: "bytea"}
    types = [journal.c[name].type.python_type for name in ENTRY_COLUMNS]
    marks = ", ".join(f"?::{casts[one]}" for one in (*types, int))
    values = ", ".join(f"v.column{number}" for number in range(1, len(ENTRY_COLUMNS) + 1))
    terminal_id = f"v.column{ENTRY_COLUMNS.index('terminal_id') + 1}"
    key_version = f"v.column{len(ENTRY_COLUMNS) + 1}"
    return f"""
INSERT INTO journal ({", ".join(ENTRY_COLUMNS)})
SELECT {values} FROM (VALUES [({marks})]) AS v
WHERE {key_version} IS NULL OR {key_version} =
  (SELECT terminals.key_version FROM terminals WHERE terminals.terminal_id = {terminal_id})
ON CONFLICT (terminal_id, batch, stan, role) DO NOTHING
""".strip()


INSERT_ENTRIES = _insert_entries()

INSERT_TRANSFERS = _insert_rows("transfers", TRANSFER_COLUMNS)

# Both databases call the columns of a VALUES list column1, column2, …
UPDATE_ENTRIES = """
UPDATE journal SET
  state = COALESCE(v.column5, journal.state),
  claimed_by = CASE v.column6 WHEN -1 THEN journal.claimed_by WHEN 0 THEN NULL ELSE v.column6 END,
  response_code = COALESCE(v.column7, journal.response_code),
  approval_code = COALESCE(v.column8, journal.approval_code),
  late_response_code = COALESCE(v.column9, journal.late_response_code),
  reply = COALESCE(v.column10, journal.reply),
  owner = COALESCE(v.column11, journal.owner),
  lease_until_ms = COALESCE(v.column12, journal.lease_until_ms),
  amount_minor = COALESCE(v.column13, journal.amount_minor)
FROM (VALUES [(?::bigint, ?::text, ?::text, ?::bigint, ?::text, ?::bigint, ?::text, ?::text,
  ?::text, ?::text, ?::text, ?::bigint, ?::bigint)]) AS v
WHERE journal.id = v.column1
  AND v.column2 LIKE '%|' || journal.state || '|%'
  AND (v.column3 IS NULL OR journal.owner = v.column3)
  AND (v.column4 = -1 OR COALESCE(journal.claimed_by, 0) = v.column4)
""".strip()

ADD_TO_ACCOUNTS = """
UPDATE accounts SET
  debits_posted = debits_posted + v.column2,
  credits_posted = credits_posted + v.column3,
  debits_pending = debits_pending + v.column4,
  credits_pending = credits_pending + v.column5
FROM (VALUES [(?::bigint, ?::bigint, ?::bigint, ?::bigint, ?::bigint)]) AS v
WHERE accounts.id = v.column1
""".strip()


def _given(name: str) -> Any:
    return bindparam(name)


def _all_given(table: Table, *without: str) -> dict[str, Any]:
    return {name: bindparam(name) for name in column_names(table) if name not in without}


# --- accounts ---------------------------------------------------------------------------------

_SUMS = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")

_dp, _cp, _dq, _cq = (accounts.c[name] + bindparam(f"add_{name}") for name in _SUMS)
_within_limit: ColumnElement[bool] = or_(
    and_(accounts.c.normal_side == "credit", _dp + _dq <= _cp),
    and_(accounts.c.normal_side == "debit", _cp + _cq <= _dp),
)

# One account, at once, only as far as its limit allows; pending amounts that go out count.
ADD_WITHIN_LIMIT = Sql(
    update(accounts)
    .where(accounts.c.id == _given("account_id"), _within_limit)
    .values({name: accounts.c[name] + bindparam(f"add_{name}") for name in _SUMS})
)

OPEN_ACCOUNT = Sql(
    upsert(accounts)
    .values(
        name=_given("name"),
        currency_code=_given("currency_code"),
        normal_side=_given("normal_side"),
        no_negative=_given("no_negative"),
    )
    .on_conflict_do_nothing(index_elements=["name", "currency_code"])
)

FIND_ACCOUNT = Sql(
    select(accounts.c.id, accounts.c.no_negative).where(
        accounts.c.name == _given("name"), accounts.c.currency_code == _given("currency_code")
    )
)

# Nobody else changes the account until the transaction ends. What is pending out of it counts.
LOCK_BALANCE = Sql(
    select(accounts.c.debits_posted + accounts.c.debits_pending - accounts.c.credits_posted)
    .where(accounts.c.id == _given("account_id"))
    .with_for_update()
)

# --- transfers --------------------------------------------------------------------------------

_debit = accounts.alias("debit")
_credit = accounts.alias("credit")
_named = (
    select(
        transfers.c.id,
        transfers.c.debit_account_id,
        _debit.c.name.label("debit_name"),
        transfers.c.credit_account_id,
        _credit.c.name.label("credit_name"),
        transfers.c.amount_minor,
        transfers.c.currency_code,
        transfers.c.code,
        _debit.c.no_negative,
        _credit.c.no_negative.label("credit_no_negative"),
    )
    .join(_debit, _debit.c.id == transfers.c.debit_account_id)
    .join(_credit, _credit.c.id == transfers.c.credit_account_id)
    .order_by(transfers.c.id)
)

POSTED_OF_EVENT = Sql(
    _named.where(
        transfers.c.event_id == _given("event_id"),
        or_(transfers.c.phase == "posted", transfers.c.phase == "post"),
    )
)

_resolution = transfers.alias("resolution")
PENDING_OF_EVENT = Sql(
    _named.where(
        transfers.c.event_id == _given("event_id"),
        transfers.c.phase == "pending",
        ~select(_resolution.c.id).where(_resolution.c.pending_id == transfers.c.id).exists(),
    )
)

REVERSAL_OF = Sql(_named.where(transfers.c.reverses_id == _given("transfer_id")))

# --- chain and numbers ------------------------------------------------------------------------

OPEN_CHAIN = Sql(
    upsert(chains)
    .values(instance=_given("instance"), chain_seq=0, chain_hash=_given("chain_hash"))
    .on_conflict_do_nothing(index_elements=["instance"])
)

FIND_CHAIN = Sql(
    select(chains.c.id, chains.c.chain_seq, chains.c.chain_hash).where(
        chains.c.instance == _given("instance")
    )
)

MOVE_CHAIN = Sql(
    update(chains)
    .where(chains.c.id == _given("chain_id"), chains.c.chain_seq == _given("from_seq"))
    .values(chain_seq=_given("to_seq"), chain_hash=_given("to_hash"))
)

_COUNT = bindparam("count", type_=BigInteger)
TAKE_NUMBERS = Sql(
    upsert(number_blocks)
    .values(name=_given("name"), next_number=literal(1, BigInteger) + _COUNT)
    .on_conflict_do_update(
        index_elements=["name"],
        set_={"next_number": number_blocks.c.next_number + _COUNT},
    )
    .returning(number_blocks.c.next_number)
)

# --- orders, terminals, couriers --------------------------------------------------------------

_put_order = upsert(orders).values(_all_given(orders))
_untouched = and_(orders.c.paying_id.is_(None), orders.c.payment_id.is_(None))


def _unless_paid(name: str) -> Any:
    return case((_untouched, _put_order.excluded[name]), else_=orders.c[name])


PUT_ORDER = Sql(
    _put_order.on_conflict_do_update(
        index_elements=["merchant_id", "order_no"],
        set_={
            "status": _unless_paid("status"),
            "amount_minor": _unless_paid("amount_minor"),
            "currency_code": _unless_paid("currency_code"),
            "pay_ways": _put_order.excluded.pay_ways,
            "text": _put_order.excluded.text,
            "queried_at_ms": _put_order.excluded.queried_at_ms,
            "part_of": _put_order.excluded.part_of,
        },
        where=orders.c.changes == _put_order.excluded.changes,
    )
)

UPDATE_ORDER = Sql(
    update(orders)
    .where(
        orders.c.merchant_id == _given("key_merchant_id"),
        orders.c.order_no == _given("key_order_no"),
        orders.c.status == _given("old_status"),
        func.coalesce(orders.c.paying_id, 0) == _given("old_paying_id"),
        func.coalesce(orders.c.payment_id, 0) == _given("old_payment_id"),
        orders.c.changes == func.coalesce(_given("old_changes"), orders.c.changes),
    )
    .values(
        status=_given("new_status"),
        paying_id=_given("new_paying_id"),
        payment_id=_given("new_payment_id"),
        changes=orders.c.changes + 1,
    )
)


def _put(table: Table, key: str, *conditions: ColumnElement[bool]) -> Sql:
    statement = upsert(table).values(_all_given(table))
    return Sql(
        statement.on_conflict_do_update(
            index_elements=[key],
            set_={name: statement.excluded[name] for name in column_names(table) if name != key},
            where=and_(*conditions) if conditions else None,
        )
    )


PUT_TERMINAL = _put(terminals, "terminal_id")
PUT_NEW_TERMINAL = _put(terminals, "terminal_id", terminals.c.key_version == 0)
PUT_COURIER = _put(
    couriers,
    "courier_id",
    couriers.c.terminal_id == _given("old_terminal_id"),
    couriers.c.password_tries == _given("old_password_tries"),
    couriers.c.locked == _given("old_locked"),
)

CHANGE_TERMINAL = Sql(
    update(terminals)
    .where(
        terminals.c.terminal_id == _given("key_terminal_id"),
        terminals.c.key_version == _given("expected_version"),
    )
    .values(_all_given(terminals, "terminal_id"))
)

# --- queues -----------------------------------------------------------------------------------

QUEUE_SAF = Sql(
    upsert(saf)
    .values(
        _all_given(
            saf,
            "owner",
            "lease_until_ms",
            "response_code",
            "finished_at_ms",
            "dead_at_ms",
            "dead_reason",
        )
    )
    .on_conflict_do_nothing(index_elements=["original_id", "kind"])
)

FINISH_SAF = Sql(
    update(saf)
    .where(saf.c.id == _given("key_id"), saf.c.finished_at_ms.is_(None))
    .values(
        response_code=_given("new_response_code"),
        finished_at_ms=_given("new_finished_at_ms"),
        icc="",
        owner="",
        lease_until_ms=0,
    )
)

_dead_saf = (
    saf.c.id == _given("key_id"),
    saf.c.finished_at_ms.is_(None),
    saf.c.dead_at_ms.is_not(None),
)

REVIVE_SAF = Sql(
    update(saf)
    .where(*_dead_saf)
    .values(
        dead_at_ms=None,
        dead_reason="",
        attempts=1,
        next_at_ms=_given("new_next_at_ms"),
    )
)

WRITE_OFF_SAF = Sql(
    update(saf)
    .where(*_dead_saf)
    .values(
        dead_at_ms=None,
        response_code=_given("new_response_code"),
        finished_at_ms=_given("new_finished_at_ms"),
        icc="",
    )
)

QUEUE_EVENT = Sql(
    insert(outbox).values(
        _all_given(
            outbox,
            "seq",
            "owner",
            "lease_until_ms",
            "delivered_at_ms",
            "dead_at_ms",
            "dead_reason",
            "attempt_log",
        )
    )
)
