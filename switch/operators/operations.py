"""What operators may do to a running switch: unlock couriers, take cash in, replay notices.

Each is a function over the same ports as the transactions, so that whatever an operator does
passes the one writer and stands in the journal. A refusal is a value. ``operator_api.py`` offers
them over HTTP. Source: ARCHITECTURE.md, "Operators write through the running switch".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from acquirer.ledger.accounts.postings import cash_handed_in, courier_account
from acquirer.ledger.accounts.transfer_steps import LimitBalance, Post
from acquirer.ledger.errors import BookBusy
from acquirer.ledger.journal.details import HandIn
from acquirer.ledger.journal.entries import (
    CourierRow,
    Entry,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    InsertEntry,
    PutCourier,
)
from acquirer.payments.kernel.records import own_entry
from acquirer.switch.context import Context

OPERATOR = "OPERATOR"
HAND_IN = Kind.COURIER_HAND_IN
STATION = re.compile(r"[A-Za-z0-9_-]{1,40}")
REFERENCE = re.compile(r"[A-Za-z0-9_-]{1,64}")
EVENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
AMOUNT_MAX = 10**12
TRIES_MAX = 20


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was done; ``reason`` is for the operator, ``code`` (R05 …) for programs."""

    reason: str
    code: str = ""


Done = dict[str, Any]


async def unlock_courier(context: Context, courier_id: str) -> Done | Refused:
    """Let a courier try passwords again."""
    if courier_id not in context.ports.business().couriers:
        return _no_courier(courier_id)
    for _ in range(TRIES_MAX):
        row = await context.book.courier(courier_id) or CourierRow(courier_id)
        unlocked = replace(row, password_tries=0, locked=False)
        if unlocked == row or not await context.book.commit(PutCourier(unlocked, row)):
            return {"courier_id": courier_id, "was_locked": row.locked}
    raise BookBusy("the courier kept changing")


async def hand_in_cash(
    context: Context, courier_id: str, amount_minor: int, station: str, reference: str
) -> Done | Refused:
    """Take a courier's cash in at a station; what is missing or too much is posted as such.

    Args:
        amount_minor: what was counted, minor units; 0 where he brought nothing.
        station: empty for the courier's own.
        reference: names this hand-in; the same one again does not count twice.
    """
    courier = context.ports.business().couriers.get(courier_id)
    if courier is None:
        return _no_courier(courier_id)
    station = station or courier.station
    if not STATION.fullmatch(station):
        return Refused(f"station {station!r} cannot be: 1 to 40 letters, digits, _ and -")
    if courier.station and station != courier.station:
        return Refused(f"courier {courier_id!r} hands in at station {courier.station}")
    if not REFERENCE.fullmatch(reference):
        return Refused(f"reference {reference!r} cannot be: 1 to 64 letters, digits, _ and -")
    if not 0 <= amount_minor < AMOUNT_MAX:
        return Refused(f"amount {amount_minor} cannot be: 0 to {AMOUNT_MAX - 1} minor units")
    currency = context.ports.business().merchants[courier.merchant_id].currency_code
    account = courier_account(courier_id)
    for _ in range(TRIES_MAX):
        debits, credits, _, _ = await context.book.account_sums(account, currency)
        owed_minor = debits - credits
        expected_minor = max(owed_minor, 0)
        entry = await own_entry(
            context.ports,
            HAND_IN,
            context.clock.now_ms(),
            key=(OPERATOR, HAND_IN, reference),
            merchant_id=courier.merchant_id,
            amount_minor=amount_minor,
            currency_code=currency,
            courier_id=courier_id,
            detail=HandIn(expected_minor, station),
        )
        postings = cash_handed_in(
            expected_minor, amount_minor, courier_id=courier_id, station=station
        )
        post = Post(entry.id, currency, entry.business_date, postings)
        unchanged = LimitBalance(account, currency, owed_minor, owed_minor)
        failed = await context.book.commit(InsertEntry(entry), unchanged, post)
        if failed is None:
            return _told(entry, repeated=False)
        if failed.is_taken:
            return await _handed_in_before(context, entry)
    return Refused(f"courier {courier_id!r} was paid while this was counted; hand in again")


def _no_courier(courier_id: str) -> Refused:
    return Refused(f"no courier {courier_id!r}; `acquirer couriers list` shows all")


async def _handed_in_before(context: Context, entry: Entry) -> Done | Refused:
    first = await context.book.find_entry(entry.terminal_id, entry.batch, entry.stan)
    if first is None or _counted(first) != _counted(entry):
        return Refused(f"reference {entry.stan!r} was used for another hand-in")
    return _told(first, repeated=True)


def _told(entry: Entry, *, repeated: bool) -> Done:
    detail = _hand_in(entry)
    expected_minor = detail.expected_minor
    return {
        "courier_id": entry.courier_id,
        "station": detail.station,
        "reference": entry.stan,
        "rrn": entry.rrn,
        "amount_minor": entry.amount_minor,
        "expected_minor": expected_minor,
        "shortage_minor": max(expected_minor - entry.amount_minor, 0),
        "excess_minor": max(entry.amount_minor - expected_minor, 0),
        "repeated": repeated,
    }


def _counted(entry: Entry) -> tuple[str, int, str]:
    return entry.courier_id, entry.amount_minor, _hand_in(entry).station


def _hand_in(entry: Entry) -> HandIn:
    assert isinstance(entry.detail, HandIn)
    return entry.detail


async def replay_event(context: Context, event_id: str) -> Done | Refused:
    """Make a dead letter due again, with what waits behind it in its order."""
    is_id = EVENT_ID.fullmatch(event_id) is not None
    if not (is_id and await context.book.replay_event(event_id, context.clock.now_ms())):
        cure = "`acquirer orders events list --state dead` shows all"
        return Refused(f"no dead letter {event_id!r}; {cure}")
    context.ports.events_queued()
    return {"event_id": event_id, "replayed": True}
