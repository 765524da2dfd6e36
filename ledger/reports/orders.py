"""What the books say about orders: couriers and their cash, open payments, notices to merchants.

Reads only, over an SQLAlchemy connection of ``Database.read_only_engine``, beside a running
switch. Values out; rendering is the command line's.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, or_, select, true

from acquirer.codecs.order_codes import OrderStatus, means_of
from acquirer.ledger.accounts.postings import courier_account
from acquirer.ledger.journal.entries import (
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.reports.pages import pages
from acquirer.ledger.store.schema import accounts, couriers, journal, orders, outbox

PAID = "01"
EventState = Literal["pending", "dead", "delivered"]

# Refunded, part by part, a payment still pays its order.
_PAYS = or_(
    journal.c.state == State.APPROVED.value,
    and_(journal.c.state == State.REFUNDED.value, orders.c.status != OrderStatus.CANCELLED.value),
)
_WHY = {Kind.ORDER_CANCELLATION: "cancelling", Kind.REFUND: "refunding"}
AT_A_BANK = [Kind.ORDER_PAYMENT.value, Kind.ORDER_GROUP.value, Kind.ORDER_CANCELLATION.value]


@dataclass(frozen=True, slots=True)
class CourierLine:
    """A courier who has ever signed on, failed to, or taken cash."""

    courier_id: str
    terminal_id: str = ""
    password_tries: int = 0
    locked: bool = False


class EventAttempt(msgspec.Struct, frozen=True):
    """One attempt to tell a merchant a notice.

    Attributes:
        status: HTTP status or response code; empty where no answer came.
        reason: why it was not taken; empty where it was.
        answer: the beginning of what the order system said.
    """

    at_ms: int
    status: str
    reason: str
    answer: str


@dataclass(frozen=True, slots=True)
class EventStory:
    """A notice, the document that is sent, and its attempts, oldest first.

    Attributes:
        state: ``pending``, ``dead`` or ``delivered``.
        body: JSON.
        attempts: the newest, some hundred at most.
    """

    id: str
    merchant_id: str
    order_no: str
    type: str
    state: EventState
    created_at_ms: int
    next_at_ms: int
    delivered_at_ms: int | None
    dead_at_ms: int | None
    dead_reason: str
    body: str
    attempts: tuple[EventAttempt, ...]


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """A payment of an order that is not decided yet.

    Attributes:
        created_at_ms: when it began.
        why: ``unconfirmed``; ``undoing`` where its bank is still owed a reversal; ``cancelling``,
            ``refunding`` and ``paying`` where its bank is being asked.
    """

    merchant_id: str
    order_no: str
    rrn: str
    terminal_id: str
    stan: str
    batch: str
    courier_id: str
    means: str
    amount_minor: int
    currency_code: str
    created_at_ms: int
    why: str


@dataclass(frozen=True, slots=True)
class OrderLine:
    """What the switch knows of an order, and of the payment that stands.

    Attributes:
        status: ``OS`` of the terminal interface.
        means: how it was paid; empty where no payment stands.
        rrn: of that payment.
    """

    merchant_id: str
    order_no: str
    status: str
    amount_minor: int
    currency_code: str
    means: str = ""
    rrn: str = ""
    terminal_id: str = ""
    courier_id: str = ""
    paid_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class EventLine:
    """A notice to a merchant, without its body.

    Attributes:
        dead_reason: why it was given up; empty where it was not.
    """

    id: str
    merchant_id: str
    order_no: str
    type: str
    state: EventState
    attempts: int
    created_at_ms: int
    next_at_ms: int
    dead_reason: str


def courier_lines(connection: Connection) -> dict[str, CourierLine]:
    """Couriers that have a state, by id."""
    rows = connection.execute(select(couriers).order_by(couriers.c.courier_id))
    return {
        row.courier_id: CourierLine(
            row.courier_id, row.terminal_id, row.password_tries, bool(row.locked)
        )
        for row in rows
    }


def cash_in_hand(connection: Connection) -> dict[str, dict[str, int]]:
    """What each courier owes: courier id → currency → minor units."""
    prefix = courier_account("")
    query = select(
        accounts.c.name,
        accounts.c.currency_code,
        accounts.c.debits_posted - accounts.c.credits_posted,
    ).where(accounts.c.name.like(prefix + "%"))
    found: dict[str, dict[str, int]] = {}
    for name, currency, balance_minor in connection.execute(query):
        found.setdefault(name.removeprefix(prefix), {})[currency] = balance_minor
    return found


def open_orders(connection: Connection) -> Iterator[OpenOrder]:
    """Payments of orders that are not decided, oldest first, read as they are asked for."""
    unconfirmed = (
        select(journal)
        .join(orders, orders.c.payment_id == journal.c.id)
        .where(orders.c.status == PAID, _PAYS)
    )
    at_the_bank = select(journal).where(
        or_(
            journal.c.kind.in_(AT_A_BANK),
            # A till's; that of a cancellation is never under way.
            and_(journal.c.kind == Kind.REFUND.value, journal.c.order_no != ""),
        ),
        journal.c.state.in_(
            [state.value for state in (State.SENT, State.TIMED_OUT, State.REVERSING)]
        ),
    )
    key = [journal.c.created_at_ms, journal.c.id]
    return heapq.merge(
        (_open_order(row, "unconfirmed") for row in pages(connection, unconfirmed, key)),
        (_open_order(row, _why(row)) for row in pages(connection, at_the_bank, key)),
        key=lambda order: order.created_at_ms,
    )


def _why(row: Row[Any]) -> str:
    if row.state != State.SENT.value:
        return "undoing"
    return _WHY.get(Kind(row.kind), "paying")


def _open_order(row: Row[Any], why: str) -> OpenOrder:
    return OpenOrder(
        merchant_id=row.merchant_id,
        order_no=row.order_no,
        rrn=row.rrn,
        terminal_id=row.terminal_id,
        stan=row.stan,
        batch=row.batch,
        courier_id=row.courier_id,
        means=means_of(row.processing_code),
        amount_minor=row.amount_minor,
        currency_code=row.currency_code,
        created_at_ms=row.created_at_ms,
        why=why,
    )


def order_lines(connection: Connection, limit: int | None = None) -> Iterator[OrderLine]:
    """Orders that were asked for here, by merchant and number, read as they are asked for.

    Args:
        limit: at most so many; None for all.
    """
    query = select(
        orders.c.merchant_id,
        orders.c.order_no,
        orders.c.status,
        orders.c.amount_minor,
        orders.c.currency_code,
        journal.c.processing_code,
        journal.c.rrn,
        journal.c.terminal_id,
        journal.c.courier_id,
        journal.c.created_at_ms,
    ).outerjoin(
        journal,
        (journal.c.id == orders.c.payment_id) & _PAYS,
    )
    key = [orders.c.merchant_id, orders.c.order_no]
    for row in pages(connection, query, key, limit=limit):
        paid = () if row.rrn is None else (means_of(row.processing_code), *row[6:])
        yield OrderLine(*row[:5], *paid)


def event_lines(
    connection: Connection, state: EventState | None = None, limit: int | None = 100
) -> Iterator[EventLine]:
    """Notices to merchants, newest first, read as they are asked for.

    Args:
        state: only those; None for all.
        limit: at most so many; None for all.
    """
    conditions: dict[EventState | None, ColumnElement[bool]] = {
        None: true(),
        "pending": and_(outbox.c.delivered_at_ms.is_(None), outbox.c.dead_at_ms.is_(None)),
        "dead": and_(outbox.c.delivered_at_ms.is_(None), outbox.c.dead_at_ms.is_not(None)),
        "delivered": outbox.c.delivered_at_ms.is_not(None),
    }
    query = select(outbox).where(conditions[state])
    for row in pages(connection, query, [outbox.c.seq], descending=True, limit=limit):
        yield EventLine(
            row.id,
            row.merchant_id,
            row.order_no,
            row.type,
            _event_state(row.delivered_at_ms, row.dead_at_ms),
            row.attempts,
            row.created_at_ms,
            row.next_at_ms,
            row.dead_reason,
        )


def event_story(connection: Connection, event_id: str) -> EventStory | None:
    """One notice with its document and its attempts, or None."""
    row = connection.execute(select(outbox).where(outbox.c.id == event_id)).first()
    if row is None:
        return None
    return EventStory(
        id=row.id,
        merchant_id=row.merchant_id,
        order_no=row.order_no,
        type=row.type,
        state=_event_state(row.delivered_at_ms, row.dead_at_ms),
        created_at_ms=row.created_at_ms,
        next_at_ms=row.next_at_ms,
        delivered_at_ms=row.delivered_at_ms,
        dead_at_ms=row.dead_at_ms,
        dead_reason=row.dead_reason,
        body=row.body,
        attempts=tuple(_attempts(row.attempt_log)),
    )


def _attempts(log: str) -> Iterator[EventAttempt]:
    """The attempts, oldest first; of one whose beginning was cut off nothing is told."""
    for line in log.split("\n"):
        # What is left of an answer may begin as an attempt does, but is none.
        with suppress(msgspec.DecodeError):
            yield msgspec.json.decode(line, type=EventAttempt)


def _event_state(delivered_at_ms: int | None, dead_at_ms: int | None) -> EventState:
    if delivered_at_ms is not None:
        return "delivered"
    return "pending" if dead_at_ms is None else "dead"
