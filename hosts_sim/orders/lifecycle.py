"""Which events an order may take, and what they make of it. Pure.

The merchant's own view: it does not trust the switch to be right, so what cannot be is refused,
loudly where it never can be and with *not yet* where an earlier event may only be late.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from acquirer.codecs.order_codes import WAYS, Means

STATES = {
    "00": "to_pay",
    "01": "paid",
    "02": "confirmed",
    "03": "signed_for",
    "04": "cancelled",
    "05": "exception",
    "06": "nothing_to_pay",
}


class EventFacts(msgspec.Struct, frozen=True):
    """``data`` of an event, as far as this merchant uses it."""

    order_no: str
    merchant_id: str
    order_status: str
    amount_minor: int
    currency_code: str
    means: Literal["card", "cash", "none"]
    rrn: str = ""
    stan: str = ""
    approval_code: str = ""
    terminal_id: str = ""
    courier_id: str = ""
    signed_by: str = ""
    reason: str = ""


class EventDocument(msgspec.Struct, frozen=True):
    """The posted document."""

    type: str
    timestamp: str
    data: EventFacts


class OrderState(msgspec.Struct, frozen=True):
    """One order in the merchant's books; the payment's fields are empty while unpaid.

    Attributes:
        newest_at: timestamp of the newest event that changed it, or empty.
        refunded_minor: what was given back of its payment.
    """

    merchant_id: str
    order_no: str
    amount_minor: int
    currency_code: str
    pay_ways: str
    text: str
    status: str
    rrn: str = ""
    stan: str = ""
    approval_code: str = ""
    terminal_id: str = ""
    courier_id: str = ""
    means: str = ""
    signed_by: str = ""
    reason: str = ""
    newest_at: str = ""
    refunded_minor: int = 0


class Applied(msgspec.Struct, frozen=True):
    """The event fits; ``order`` is what becomes of it."""

    order: OrderState


class History(msgspec.Struct, frozen=True):
    """The event no longer fits, but newer ones have told what came of it: no effect, accepted."""


class Impossible(msgspec.Struct, frozen=True):
    """The event cannot be; ``not_yet`` where it could after an earlier one that is late."""

    reason: str
    not_yet: bool = False


# event type -> statuses that it may find, statuses that an earlier event has yet to change
_STEPS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "order.paid": (frozenset({"00", "05", "06"}), frozenset()),
    "order.payment_confirmed": (frozenset({"01"}), frozenset({"00", "05", "06"})),
    "order.signed_for": (frozenset({"01", "02", "06"}), frozenset({"00", "05"})),
    "order.cancelled": (frozenset({"01", "02", "03"}), frozenset({"00", "05", "06"})),
    "order.refunded": (frozenset({"01", "02", "03"}), frozenset({"00", "05", "06"})),
    "order.cancel_confirmed": (frozenset({"04"}), frozenset({"00", "01", "02", "05", "06"})),
    "order.exception": (frozenset({"00", "05", "06"}), frozenset()),
}
_AFTER = {
    "order.paid": "01",
    "order.payment_confirmed": "02",
    "order.signed_for": "03",
    "order.cancel_confirmed": "04",
    "order.exception": "05",
}


def decide(
    order: OrderState, event: EventDocument, left_minor: int | None = None
) -> Applied | History | Impossible:
    """What an event that was never seen before does to its order.

    Args:
        left_minor: of an order with parts, what they have not paid.
    """
    steps = _STEPS.get(event.type)
    if steps is None:
        return Impossible("unknown event type")
    contradiction = _contradiction(order, event, left_minor)
    if contradiction:
        return Impossible(contradiction)
    fits, behind = steps
    if order.status not in fits:
        if event.timestamp < order.newest_at:
            return History()
        state = STATES[order.status]
        return Impossible(f"{event.type} of an order that is {state}", order.status in behind)
    unpaid_status = "00" if order.amount_minor else "06"
    after = _AFTER.get(event.type)
    if event.type == "order.refunded":
        after = order.status
        if event.data.order_status != after and event.timestamp > order.newest_at:
            # As far along as it says once its confirmation or receipt has come.
            late = event.data.order_status > after
            return Impossible(f"order.refunded of an order that is {STATES[after]}", late)
    elif after is None:
        after = event.data.order_status
        # What was received is not to be paid again.
        if after not in ("04", unpaid_status) or (order.status == "03" and after != "04"):
            return Impossible("order.cancelled leaves an order cancelled, or to pay again")
    elif event.data.order_status != after:
        return Impossible(f"{event.type} with order_status {event.data.order_status!r}")
    return Applied(_changed(order, event, after))


def _contradiction(order: OrderState, event: EventDocument, left_minor: int | None) -> str:
    """What in the event's facts cannot be true of this order at any time, or empty."""
    facts = event.data
    if facts.currency_code != order.currency_code:
        return "another currency"
    if event.type == "order.paid":
        # A part may have been given back since: then the rest that was paid is less than is left.
        is_whole = facts.amount_minor == order.amount_minor
        if not is_whole if left_minor is None else facts.amount_minor > left_minor:
            return "another amount than the order's"
        if WAYS[Means(facts.means)] not in order.pay_ways:
            return f"the merchant does not take {facts.means}"
        if order.status in ("01", "02", "03") and facts.rrn != order.rrn:
            return "the order is already paid by another payment"
    elif order.rrn and facts.rrn and facts.rrn != order.rrn and event.timestamp > order.newest_at:
        return "about another payment than the order's"
    elif event.type == "order.refunded":
        return _wrong_refund(order, facts)
    elif event.type == "order.cancelled" and order.refunded_minor:
        return "it would give back more than is left of the payment"
    return ""


def _wrong_refund(order: OrderState, facts: EventFacts) -> str:
    if order.means and facts.means != order.means:
        return "another means than the payment's"
    if facts.amount_minor <= 0:
        return "a refund of nothing"
    is_over = order.rrn and order.refunded_minor + facts.amount_minor > order.amount_minor
    return "more than was paid" if is_over else ""


def _changed(order: OrderState, event: EventDocument, status: str) -> OrderState:
    facts = event.data
    changes: dict[str, Any] = {"status": status, "reason": facts.reason}
    if event.timestamp > order.newest_at:
        changes["newest_at"] = event.timestamp
    if event.type == "order.paid":
        for name in ("rrn", "stan", "approval_code", "terminal_id", "courier_id", "means"):
            changes[name] = getattr(facts, name)
        changes["refunded_minor"] = 0
    elif event.type == "order.refunded":
        changes["refunded_minor"] = order.refunded_minor + facts.amount_minor
    elif event.type == "order.signed_for":
        changes["signed_by"] = facts.signed_by
        changes["courier_id"] = facts.courier_id or order.courier_id
        changes["terminal_id"] = facts.terminal_id or order.terminal_id
    elif event.type == "order.exception":
        changes["courier_id"] = facts.courier_id
    elif event.type == "order.cancelled" and status != "04":
        changes |= dict.fromkeys(("rrn", "stan", "approval_code", "terminal_id", "means"), "")
    return msgspec.structs.replace(order, **changes)
