"""Payment of several orders in one swipe: one authorisation at the bank, shared out by order.

The payment's entry belongs to no order; each order gets an entry of its own (its share) that
refers to it, is paid by it, and is confirmed and signed for by itself. Either all are paid or
none; a reversal opens all of them again. A payment of one order is settled in the same way: the
payment itself is what the order is paid by.
Source: docs/orders.md, "Several orders in one swipe"; docs/interfaces/postings.md, "Card sale".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.accounts.postings import card_sale
from acquirer.ledger.accounts.transfer_steps import Post
from acquirer.ledger.journal.details import Share
from acquirer.ledger.journal.entries import (
    Entry,
    Event,
    OrderRow,
    Role,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    InsertEntry,
    PutOrder,
    QueueEvent,
    Step,
    UpdateEntry,
)
from acquirer.payments.kernel.bank_reply import approval_code_of
from acquirer.payments.kernel.commands import APPROVED, Answer, Origin, Outcome, Repeat
from acquirer.payments.kernel.commits import settle
from acquirer.payments.kernel.giving_back import none_refunded
from acquirer.payments.kernel.holds import claim_steps, free_order_steps, move_order, unpay_step
from acquirer.payments.kernel.numbers import rrn_of
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.records import refuse
from acquirer.payments.orders.desk import Found, NoOrder, find_order
from acquirer.payments.orders.events import order_event
from acquirer.payments.orders.life import PAID
from acquirer.routing.outcomes import BankOutcome


@dataclass(frozen=True, slots=True)
class Paid:
    """An order of a card payment.

    Attributes:
        entry: what it is paid by: the payment, or its share of one.
        order: as it was before.
    """

    entry: Entry
    order: OrderRow


async def find_all(
    ports: Ports, origin: Origin, first: Found, numbers: Sequence[str]
) -> list[Found] | NoOrder:
    """All orders of a swipe, or why one of them cannot be had."""
    found = [first]
    for number in numbers:
        if number in [one.order.order_no for one in found]:
            return NoOrder(ResponseCode.INVALID_TRANSACTION)
        one = await find_order(ports, origin, number)
        if isinstance(one, NoOrder):
            return one
        if _family(one.order) in [_family(other.order) for other in found]:
            # Each would change what the other was asked about.
            return NoOrder(ResponseCode.INVALID_TRANSACTION)
        if one.order.currency_code != first.order.currency_code:
            return NoOrder(ResponseCode.INVALID_TRANSACTION)
        found.append(one)
    return found


def _family(order: OrderRow) -> str:
    """The order that it is a part of, or itself."""
    return order.part_of or order.order_no


async def record_shares(
    ports: Ports, origin: Origin, payment: Entry, found: Sequence[Found]
) -> list[Paid] | Answer | Repeat:
    """Commit 1: the payment, a share for each order, and a claim on each.

    Returns:
        The orders with their shares, or the answer to give where nothing was stored.
    """
    paid: list[Paid] = []
    steps: list[Step] = []
    for place, one in enumerate(found, start=1):
        share = await _share_entry(ports, payment, place, one)
        claim = claim_steps(one.order, one.whole, (one.order.status, share.id, None))
        steps += [PutOrder(one.order), InsertEntry(share), *claim]
        paid.append(Paid(share, one.order))
    insert = InsertEntry(payment)
    failed = await ports.book.commit(insert, *steps)
    if failed is None:
        return paid
    if failed.step is insert:
        return Repeat()
    # One of the orders is being paid elsewhere, or was paid meanwhile.
    return await refuse(ports, origin, Kind.ORDER_GROUP, ResponseCode.DUPLICATE, said={"rrn": ""})


async def _share_entry(ports: Ports, payment: Entry, place: int, one: Found) -> Entry:
    """The journal row of one order's share of a payment; the bank knows the payment only."""
    number = await ports.numbers.take()
    rrn = rrn_of(number, ports.calendar.stamp(payment.created_at_ms).rrn_day)
    return replace(
        payment,
        id=number,
        rrn=rrn,
        kind=Kind.ORDER_SHARE,
        role=Role.share(place),
        detail=Share(place),
        amount_minor=one.due_minor,
        fingerprint=b"",
        card=None,
        bank="",
        bank_stan="",
        transmission_at="",
        order_no=one.order.order_no,
        original_id=payment.id,
        limits=(),
        reply=msgspec.structs.replace(payment.reply, rrn=rrn),
    )


async def settle_paid(
    ports: Ports,
    origin: Origin,
    payment: Entry,
    paid: Sequence[Paid],
    outcome: BankOutcome,
    fields: dict[str, str],
    icc: bytes,
) -> Outcome:
    """Commit 2: all orders are paid and their merchant is told, or all are to be paid again.

    Args:
        fields: what was keyed in, for the merchant.
        icc: what the card's chip said, or nothing.
    """
    approval_code = approval_code_of(outcome)
    postings = card_sale(
        payment.amount_minor, origin.fee_rate, bank=payment.bank, merchant_id=payment.merchant_id
    )
    approved: list[Step] = [
        Post(payment.id, payment.currency_code, payment.business_date, postings)
    ]
    undone: list[Step] = []
    for one in paid:
        entry, claimed = one.entry, replace(one.order, paying_id=one.entry.id)
        if entry.id != payment.id:
            approved.append(_share_approved(entry, approval_code))
            undone.append(
                UpdateEntry(entry.id, (State.SENT,), state=State.DECLINED, owner=entry.owner)
            )
        told = replace(entry, approval_code=approval_code)
        notice = order_event(
            ports, "order.paid", claimed, told, told, order_status=PAID, fields=fields
        )
        approved += [move_order(claimed, (PAID, None, entry.id)), QueueEvent(notice)]
        undone += free_order_steps(entry, claimed)
    return await settle(ports, origin, payment, outcome, approved=approved, undone=undone, icc=icc)


def _share_approved(share: Entry, approval_code: str) -> UpdateEntry:
    return UpdateEntry(
        share.id,
        (State.SENT,),
        state=State.APPROVED,
        owner=share.owner,
        response_code=APPROVED,
        approval_code=approval_code,
    )


async def group_reversed(ports: Ports, payment: Entry, reversal: Entry) -> tuple[Step, ...] | str:
    """What the reversal of an approved payment of several opens again: all of its orders.

    12 where one was confirmed or cancelled: then all of them stay as they are.
    """
    steps: list[Step] = []
    for share in await ports.book.entries_of_original(payment.id):
        if share.kind is not Kind.ORDER_SHARE:
            continue
        order = await ports.book.order(share.merchant_id, share.order_no)
        if order is None or (order.payment_id, order.status) != (share.id, PAID):
            return ResponseCode.INVALID_TRANSACTION
        steps += [
            UpdateEntry.unclaimed(share.id, State.REVERSED),
            unpay_step(order),
            QueueEvent(reversed_notice(ports, order, share, reversal)),
        ]
    return tuple(steps)


async def payment_reversed(ports: Ports, payment: Entry, reversal: Entry) -> tuple[Step, ...] | str:
    """What the reversal of a payment of one order opens again.

    12 once it is confirmed, or a part of it was refunded.
    """
    order = await ports.book.order(payment.merchant_id, payment.order_no)
    if order is None or order.payment_id != payment.id:
        return ()
    if order.status != PAID:
        return ResponseCode.INVALID_TRANSACTION
    kept = await none_refunded(ports, payment)
    if isinstance(kept, str):
        return kept
    notice = QueueEvent(reversed_notice(ports, order, payment, reversal))
    return (*kept, unpay_step(order), notice)


def reversed_notice(ports: Ports, order: OrderRow, paid_by: Entry, reversal: Entry) -> Event:
    """Tell the merchant that an order is to be paid again."""
    return order_event(
        ports,
        "order.cancelled",
        order,
        paid_by,
        replace(reversal, order_no=paid_by.order_no),
        order_status=unpay_step(order).new[0],
        reason="reversed",
    )
