"""Payment of several orders in one swipe: one authorisation at the bank, split by order.

DE59 names the first order in ``ON`` and up to eight more in ``N2`` to ``N9``; DE4 is the sum of
what is due for all. The payment's entry belongs to no order; each order gets an entry of its own
(its share) that refers to it, is paid by it, and is confirmed and signed for by itself.
Either all are paid or none; a reversal opens all of them again.
Source: docs/orders.md, "Several orders in one swipe"; docs/interfaces/postings.md, "Card sale".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from acquirer.ledger.accounts.postings import card_sale
from acquirer.ledger.accounts.transfer_steps import Post
from acquirer.ledger.journal.entries import (
    Entry,
    Event,
    InsertEntry,
    OrderRow,
    PutOrder,
    QueueEvent,
    State,
    Step,
    UpdateEntry,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.kernel.bank_reply import approval_code_of_bank
from acquirer.payments.kernel.commits import settle
from acquirer.payments.kernel.ports import Context
from acquirer.payments.kernel.records import (
    claim_steps,
    free_order_steps,
    move_order,
    refuse,
    share_entry,
    unpay_step,
)
from acquirer.payments.orders.desk import Found, NoOrder, find_order, keyed_fields
from acquirer.payments.orders.events import order_event
from acquirer.payments.orders.life import PAID
from acquirer.routing.outcomes import BankOutcome
from acquirer.switch.terminals.request import Outcome, Repeat, Request

MORE_TAGS = tuple(f"N{place}" for place in range(2, 10))


def further_orders(request: Request) -> list[str]:
    """The order numbers beside ``ON``, in the order of their tags; none for a single order.

    Raises:
        RemoteFormatError: one that is no order number.
    """
    return [number for tag in MORE_TAGS if (number := request.text(tag))]


async def find_all(
    context: Context, request: Request, first: Found, numbers: Sequence[str]
) -> list[Found] | NoOrder:
    """All orders of a swipe, or why one of them cannot be had."""
    found = [first]
    for number in numbers:
        if number in [one.order.order_no for one in found]:
            return NoOrder("12")
        one = await find_order(context, request, number)
        if isinstance(one, NoOrder):
            return one
        if _family(one.order) in [_family(other.order) for other in found]:
            # Each would change what the other was asked about.
            return NoOrder("12")
        if one.order.currency_code != first.order.currency_code:
            return NoOrder("12")
        found.append(one)
    return found


def _family(order: OrderRow) -> str:
    """The order that it is a part of, or itself."""
    return order.part_of or order.order_no


async def record_shares(
    context: Context, request: Request, entry: Entry, found: Sequence[Found]
) -> tuple[list[Entry], Outcome | None]:
    """Commit 1: the payment, a share for each order, and a claim on each.

    Returns:
        The shares, and None where all committed, else the answer to give.
    """
    shares = [
        await share_entry(
            context,
            entry,
            place,
            order_no=one.order.order_no,
            amount_minor=one.due_minor,
        )
        for place, one in enumerate(found, start=1)
    ]
    steps: list[Step] = []
    for share, one in zip(shares, found, strict=True):
        claim = claim_steps(one.order, one.whole, (one.order.status, share.id, None))
        steps += [PutOrder(one.order), InsertEntry(share), *claim]
    payment = InsertEntry(entry)
    failed = await context.book.commit(payment, *steps)
    if failed is None:
        return shares, None
    if failed.step is payment:
        return shares, Repeat()
    # One of the orders is being paid elsewhere, or was paid meanwhile.
    answer = await refuse(context, request, Kind.ORDER_GROUP, "94", reply={37: ""})
    return shares, answer


async def settle_shares(
    context: Context,
    request: Request,
    entry: Entry,
    shares: Sequence[Entry],
    found: Sequence[Found],
    outcome: BankOutcome,
) -> Outcome:
    """Commit 2: all orders are paid and their merchant is told, or all are to be paid again."""
    approval_code = approval_code_of_bank(outcome)
    postings = card_sale(
        entry.amount_minor,
        request.terminal.fee_rate,
        bank=entry.bank,
        merchant_id=entry.merchant_id,
    )
    approved: list[Step] = [Post(entry.id, entry.currency_code, entry.business_date, postings)]
    undone: list[Step] = []
    for share, one in zip(shares, found, strict=True):
        claimed = replace(one.order, paying_id=share.id)
        told = replace(share, approval_code=approval_code)
        notice = order_event(
            context,
            "order.paid",
            claimed,
            told,
            told,
            order_status=PAID,
            fields=keyed_fields(context, request),
        )
        approved += [
            UpdateEntry(
                share.id,
                (State.SENT,),
                state=State.APPROVED,
                owner=share.owner,
                response_code="00",
                approval_code=approval_code,
            ),
            move_order(claimed, (PAID, None, share.id)),
            QueueEvent(notice),
        ]
        undone += [
            UpdateEntry(share.id, (State.SENT,), state=State.DECLINED, owner=share.owner),
            *free_order_steps(share, claimed),
        ]
    return await settle(context, entry, outcome, approved=approved, undone=undone)


async def unpay_shares(context: Context, original: Entry, entry: Entry) -> tuple[Step, ...] | None:
    """Steps that open all orders of an approved payment again.

    None where one was confirmed or cancelled: then all of them stay as they are.

    None to take, an empty tuple, where it is no payment of several.

    Args:
        original: the payment.
        entry: the reversal, which the notices are about.
    """
    if original.kind is not Kind.ORDER_GROUP:
        return ()
    steps: list[Step] = []
    for share in await context.book.entries_of_original(original.id):
        if share.kind is not Kind.ORDER_SHARE:
            continue
        order = await context.book.order(share.merchant_id, share.order_no)
        if order is None or (order.payment_id, order.status) != (share.id, PAID):
            return None
        steps += [
            UpdateEntry.unclaimed(share.id, State.REVERSED),
            unpay_step(order),
            QueueEvent(_reversed(context, order, share, entry)),
        ]
    return tuple(steps)


def _reversed(context: Context, order: OrderRow, share: Entry, entry: Entry) -> Event:
    cause = replace(entry, order_no=share.order_no)
    return order_event(
        context,
        "order.cancelled",
        order,
        share,
        cause,
        order_status=unpay_step(order).new[0],
        reason="reversed",
    )
