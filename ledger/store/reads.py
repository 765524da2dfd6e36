"""Reads of single rows, run by the writer on its own connection. Pure but for the session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, bindparam, func, or_, select, text

from acquirer.ledger.accounts.transfer_steps import Posting
from acquirer.ledger.journal.entries import (
    CourierRow,
    Desk,
    Entry,
    OrderPayments,
    OrderRow,
    Role,
    TerminalRow,
)
from acquirer.ledger.store import statements as sql
from acquirer.ledger.store.database import Session, Sql
from acquirer.ledger.store.rows import (
    ENTRY_COLUMNS,
    EntryRow,
    courier_of,
    entry_of,
    entry_or_bad,
    order_of,
    terminal_of,
)
from acquirer.ledger.store.schema import (
    OPEN_PREAUTHS,
    PARTS,
    PREAUTHS,
    UNCONFIRMED,
    accounts,
    couriers,
    journal,
    orders,
    outbox,
    terminals,
)

_ENTRY: Sequence[Any] = [journal.c[name] for name in ENTRY_COLUMNS]

_BY_ID = Sql(select(*_ENTRY).where(journal.c.id == bindparam("key")))
_BY_RRN = Sql(select(*_ENTRY).where(journal.c.rrn == bindparam("key")))
_BY_STAN = Sql(
    select(*_ENTRY).where(
        journal.c.terminal_id == bindparam("terminal"),
        journal.c.batch == bindparam("batch_no"),
        journal.c.stan == bindparam("stan_no"),
        journal.c.role == bindparam("role_name"),
    )
)
_BY_ORIGINAL = Sql(
    select(*_ENTRY).where(journal.c.original_id == bindparam("key")).order_by(journal.c.id)
)
_BY_ORDER = Sql(
    select(*_ENTRY)
    .where(journal.c.merchant_id == bindparam("merchant"), journal.c.order_no == bindparam("no"))
    # Written out, so that SQLite sees that the partial index serves.
    .where(text("journal.order_no <> ''"))
    .order_by(journal.c.id)
)
_ORDER = Sql(
    select(orders).where(
        orders.c.merchant_id == bindparam("merchant"), orders.c.order_no == bindparam("no")
    )
)
_TERMINAL = Sql(select(terminals).where(terminals.c.terminal_id == bindparam("key")))
_ORIGINALS_SINCE = Sql(
    select(func.count()).where(
        journal.c.terminal_id == bindparam("terminal"),
        journal.c.batch == bindparam("batch_no"),
        journal.c.role == Role.ORIGINAL.value,
        journal.c.created_at_ms >= bindparam("since_ms"),
    )
)
_TERMINALS = Sql(select(terminals).order_by(terminals.c.terminal_id))
_COURIER = Sql(select(couriers).where(couriers.c.courier_id == bindparam("key")))
_UNCONFIRMED = Sql(
    select(*_ENTRY)
    .join(orders, orders.c.payment_id == journal.c.id)
    .where(
        UNCONFIRMED,
        or_(
            journal.c.created_at_ms <= bindparam("until_ms"),
            journal.c.created_at_ms > bindparam("now_ms"),
        ),
    )
    .order_by(orders.c.payment_id)
    .limit(bindparam("row_limit"))
)
_COURIERS_AT = Sql(
    select(couriers)
    .where(couriers.c.terminal_id == bindparam("terminal"))
    .order_by(couriers.c.courier_id)
)
_UNTOLD = Sql(
    select(outbox.c.seq)
    .where(
        outbox.c.delivered_at_ms.is_(None),
        outbox.c.merchant_id == bindparam("merchant"),
        outbox.c.order_no == bindparam("no"),
    )
    .limit(1)
)
_parts = and_(
    orders.c.merchant_id == bindparam("merchant"), orders.c.part_of == bindparam("no"), PARTS
)
_COUNT_PARTS = Sql(select(func.count(), func.count(orders.c.paying_id)).where(_parts))
_OPEN_PART = Sql(
    select(orders.c.order_no)
    .where(_parts, or_(UNCONFIRMED, orders.c.paying_id.is_not(None)))
    .limit(1)
)
_UNTOLD_PART = Sql(
    select(outbox.c.seq)
    .where(
        outbox.c.delivered_at_ms.is_(None),
        outbox.c.merchant_id == bindparam("merchant"),
        outbox.c.order_no.in_(select(orders.c.order_no).where(_parts)),
    )
    .limit(1)
)
_ACCOUNT = Sql(
    select(
        accounts.c.debits_posted,
        accounts.c.credits_posted,
        accounts.c.debits_pending,
        accounts.c.credits_pending,
    ).where(
        accounts.c.name == bindparam("account"), accounts.c.currency_code == bindparam("currency")
    )
)

_PREAUTHS_FOUND_MAX = 100
_PREAUTHS = Sql(
    select(*_ENTRY)
    .where(
        PREAUTHS,
        journal.c.pan_token == bindparam("token"),
        journal.c.approval_code == bindparam("code"),
    )
    .order_by(journal.c.id.desc())
    .limit(_PREAUTHS_FOUND_MAX)
)
_PREAUTHS_DUE = Sql(
    select(*_ENTRY)
    .where(
        OPEN_PREAUTHS,
        or_(
            journal.c.lease_until_ms <= bindparam("now_ms"),
            journal.c.created_at_ms > bindparam("now_ms"),
        ),
        journal.c.id > bindparam("after"),
    )
    .order_by(text("+journal.id"))
    .limit(bindparam("row_limit"))
)


def _entry(row: Any) -> Entry | None:
    return None if row is None else entry_of(row)


def entry(session: Session, id: int) -> Entry | None:
    """The entry with this id."""
    return _entry(session.row(_BY_ID, key=id))


def entry_by_rrn(session: Session, rrn: str) -> Entry | None:
    """The entry with this DE37."""
    return _entry(session.row(_BY_RRN, key=rrn))


def find_entry(
    session: Session, terminal_id: str, batch: str, stan: str, role: Role
) -> Entry | None:
    """The entry that (terminal, batch, STAN) names in this role."""
    row = session.row(
        _BY_STAN, terminal=terminal_id, batch_no=batch, stan_no=stan, role_name=role.value
    )
    return _entry(row)


def entries_of_original(session: Session, original_id: int) -> list[Entry]:
    """Voids, reversals and confirmations that refer to an entry, oldest first."""
    return [entry_of(row) for row in session.rows(_BY_ORIGINAL, key=original_id)]


def entries_of_order(session: Session, merchant_id: str, order_no: str) -> list[Entry]:
    """Every entry about an order, oldest first."""
    return [entry_of(row) for row in session.rows(_BY_ORDER, merchant=merchant_id, no=order_no)]


def order(session: Session, merchant_id: str, order_no: str) -> OrderRow | None:
    """What is known of an order."""
    row = session.row(_ORDER, merchant=merchant_id, no=order_no)
    return None if row is None else order_of(row)


def terminal(session: Session, terminal_id: str) -> TerminalRow | None:
    """A terminal's durable state."""
    row = session.row(_TERMINAL, key=terminal_id)
    return None if row is None else terminal_of(row)


def originals_since(session: Session, terminal_id: str, batch: str, since_ms: int) -> int:
    """How many originals of a terminal's batch were stored since then."""
    row = session.row(_ORIGINALS_SINCE, terminal=terminal_id, batch_no=batch, since_ms=since_ms)
    return int(row[0]) if row is not None else 0


def terminals_all(session: Session) -> list[TerminalRow]:
    """All terminals, by id."""
    return [terminal_of(row) for row in session.rows(_TERMINALS)]


def courier(session: Session, courier_id: str) -> CourierRow | None:
    """A courier's durable state."""
    row = session.row(_COURIER, key=courier_id)
    return None if row is None else courier_of(row)


def desk(session: Session, merchant_id: str, order_no: str, courier_id: str) -> Desk:
    """A courier, an order, its family, and whether the merchant has been told all of it.

    The orders are read before what their parts are doing, and that before the notices, so that
    with several processes whatever is missed here has changed the order's count since.
    """
    found = order(session, merchant_id, order_no)
    clerk = courier(session, courier_id)
    if found is None:
        return Desk(clerk, None, told=True)
    whole_no = found.part_of or order_no
    whole = order(session, merchant_id, whole_no) if found.part_of else None
    parts, held = session.row(_COUNT_PARTS, merchant=merchant_id, no=whole_no) or (0, 0)
    told = not untold(session, merchant_id, whole_no)
    if parts and told:
        told = session.row(_UNTOLD_PART, merchant=merchant_id, no=whole_no) is None
    if whole is not None:
        held += (whole.paying_id is not None) - (found.paying_id is not None)
    return Desk(clerk, found, told, whole, in_parts=parts > 0, held=held > 0)


def order_payments(
    session: Session, merchant_id: str, order_no: str, named: tuple[str, str, str] | None
) -> OrderPayments:
    """An order, what pays it, and whether its parts are settled.

    The order is read before its parts, as in :func:`desk`.
    """
    found = order(session, merchant_id, order_no)
    original = None if named is None else find_entry(session, *named, Role.ORIGINAL)
    if found is None:
        return OrderPayments(None, original, None)
    has_open = session.row(_OPEN_PART, merchant=merchant_id, no=order_no) is not None
    payment = original
    if found.payment_id is None:
        payment = None
    elif original is None or original.id != found.payment_id:
        payment = entry(session, found.payment_id)
    return OrderPayments(found, original, payment, has_open)


def unconfirmed(session: Session, until_ms: int, now_ms: int, limit: int) -> list[EntryRow]:
    """See ``Book.unconfirmed``."""
    rows = session.rows(_UNCONFIRMED, until_ms=until_ms, now_ms=now_ms, row_limit=limit)
    return [entry_or_bad(row) for row in rows]


def couriers_at(session: Session, terminal_id: str) -> list[CourierRow]:
    """Who is signed on at a terminal, by id."""
    return [courier_of(row) for row in session.rows(_COURIERS_AT, terminal=terminal_id)]


def untold(session: Session, merchant_id: str, order_no: str) -> bool:
    """Whether a notice about an order has not been delivered, dead letters included."""
    return session.row(_UNTOLD, merchant=merchant_id, no=order_no) is not None


def account_sums(session: Session, name: str, currency_code: str) -> tuple[int, int, int, int]:
    """Debits and credits posted, debits and credits pending; zeros where there is no account."""
    row = session.row(_ACCOUNT, account=name, currency=currency_code)
    return (0, 0, 0, 0) if row is None else (row[0], row[1], row[2], row[3])


def postings_of_event(session: Session, event_id: int) -> list[Posting]:
    """What an event posted, in its order; not what reversed it."""
    rows = session.rows(sql.POSTED_OF_EVENT, event_id=event_id)
    return [Posting(row[2], row[4], row[5], row[7]) for row in rows]


def preauths(session: Session, pan_token: bytes, approval_code: str) -> list[Entry]:
    """See ``Book.preauths``."""
    rows = session.rows(_PREAUTHS, token=pan_token, code=approval_code)
    return [entry_of(row) for row in rows]


def preauths_due(session: Session, now_ms: int, after: int, limit: int) -> list[EntryRow]:
    """See ``Book.preauths_due``."""
    rows = session.rows(_PREAUTHS_DUE, now_ms=now_ms, after=after, row_limit=limit)
    return [entry_or_bad(row) for row in rows]
