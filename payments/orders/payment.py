"""Order payment: MTI 0200, type 72; by card (DE3 000000), cash (900000) or nothing (910000).

By card it is a sale that also moves the order: the order is claimed with commit 1, so that two
terminals cannot both pay it, and paid with commit 2, together with the notice to the merchant.
Source: docs/interfaces/terminal.md, part 5, row 4; docs/interfaces/postings.md, "Card sale" and
"COD paid in cash".
"""

from __future__ import annotations

from dataclasses import replace

from acquirer.codecs.order_codes import PROCESSING_CODES, WAYS, Means, means_of
from acquirer.ledger.accounts.postings import (
    FeeRate,
    card_sale,
    cash_on_delivery,
    courier_account,
)
from acquirer.ledger.accounts.transfer_steps import (
    LimitBalance,
    Post,
    Posting,
)
from acquirer.ledger.journal.details import GroupPayment
from acquirer.ledger.journal.entries import (
    Entry,
    InsertEntry,
    OrderRow,
    PutOrder,
    QueueEvent,
    State,
    Step,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.kernel.bank_reply import approval_code_of_bank
from acquirer.payments.kernel.commits import card_request, forward, settle
from acquirer.payments.kernel.ports import Context
from acquirer.payments.kernel.ready_card import ReadyCard, ready_card
from acquirer.payments.kernel.records import (
    claim_steps,
    free_order_steps,
    move_order,
    new_entry,
    refuse,
)
from acquirer.payments.orders.desk import (
    Found,
    NoOrder,
    find_order,
    keyed_fields,
)
from acquirer.payments.orders.events import order_event
from acquirer.payments.orders.life import EXCEPTION, NEXT, PAID, refusal_code
from acquirer.payments.orders.shares import (
    find_all,
    further_orders,
    record_shares,
    settle_shares,
)
from acquirer.switch.terminals.request import Answer, Outcome, Repeat, Request

KIND, GROUP = Kind.ORDER_PAYMENT, Kind.ORDER_GROUP
CARD, CASH, NOTHING = (PROCESSING_CODES[means] for means in Means)


async def order_payment(context: Context, request: Request) -> Outcome:
    """Check the order, then pay it by card at the bank, or record cash or a free delivery.

    Raises:
        RemoteFormatError: ON, OC or what the merchant asks for is missing, or the card.
        HsmUnavailable, BookBusy, BookUnavailable: nothing has left for a bank.
    """
    order_no, courier_id = request.need_text("ON"), request.need_text("OC")
    keyed_fields(context, request)
    found = await find_order(context, request, order_no, courier_id)
    if isinstance(found, NoOrder):
        return await refuse(context, request, KIND, found.response_code, order_no=order_no)
    if request.message.processing_code == CARD and (more := further_orders(request)):
        return await _pay_several(context, request, found, more, courier_id)
    if code := _refusal(request, found):
        return await _refuse_order(context, request, found.order, code)
    if request.message.processing_code == CARD:
        return await _pay_by_card(context, request, found, courier_id)
    if request.message.processing_code == CASH:
        return await _pay_in_cash(context, request, found, courier_id)
    return await _pay_nothing(context, request, found, courier_id)


def _refusal(request: Request, found: Found) -> str:
    way = request.message.processing_code
    if code := _unpayable(way, found):
        return code
    if _in_other_currency(request, found):
        return "64"
    if request.amount_minor != found.due_minor:
        return "" if way == NOTHING and not request.message.get(4) else "64"
    return "13" if way != NOTHING and found.due_minor == 0 else ""


def _in_other_currency(request: Request, found: Found) -> bool:
    return request.message.get(49) not in ("", found.order.currency_code)


def _unpayable(way: str, found: Found) -> str:
    """Why an order cannot be paid in this way, whatever the amount, or the empty string."""
    order = found.order
    if order.paying_id is not None or found.held:
        return "94"
    if order.part_of and found.whole is None:
        # It was not opened here, so that nothing would keep its order from being paid beside it.
        return "12"
    if found.whole is not None and found.whole.payment_id is not None:
        return "94"
    if ("pay", order.status) not in NEXT:
        return refusal_code("pay", order.status)
    if order.status == EXCEPTION and not found.again:
        return "12"
    return "" if WAYS[means_of(way)] in order.pay_ways else "57"


async def _refuse_order(
    context: Context, request: Request, order: OrderRow, code: str
) -> Answer | Repeat:
    """A paid order's refusal names the first payment's RRN, any other 94 none."""
    reply = {}
    if code == "94":
        payment = await context.book.entry(order.payment_id) if order.payment_id else None
        reply = {37: payment.rrn if payment else ""}
    return await refuse(context, request, KIND, code, order_no=order.order_no, reply=reply)


async def _pay_several(
    context: Context, request: Request, first: Found, more: list[str], courier_id: str
) -> Outcome:
    """One authorisation for several orders; see ``order_group.py``."""
    found = await find_all(context, request, first, more)
    if isinstance(found, NoOrder):
        return await refuse(context, request, GROUP, found.response_code)
    for one in found:
        if code := _unpayable(CARD, one) or ("" if one.due_minor else "13"):
            return await _refuse_order(context, request, one.order, code)
    due_minor = sum(one.due_minor for one in found)
    if request.amount_minor != due_minor or _in_other_currency(request, first):
        return await refuse(context, request, GROUP, "64")
    card = await ready_card(context, request, GROUP)
    if not isinstance(card, ReadyCard):
        return card

    entry = await new_entry(
        context,
        request,
        GROUP,
        State.SENT,
        pan=card.pan,
        bank=card.bank,
        courier_id=courier_id,
        detail=GroupPayment(tuple(one.order.order_no for one in found)),
    )
    shares, refused = await record_shares(context, request, entry, found)
    if refused:
        return refused

    outcome = await forward(context, request, entry, card_request(context, request, entry, card))

    answer = await settle_shares(context, request, entry, shares, found, outcome)
    context.events_queued()
    return answer


async def _pay_by_card(
    context: Context, request: Request, found: Found, courier_id: str
) -> Outcome:
    order = found.order
    card = await ready_card(context, request, KIND, order.order_no)
    if not isinstance(card, ReadyCard):
        return card

    entry = await new_entry(
        context,
        request,
        KIND,
        State.SENT,
        pan=card.pan,
        bank=card.bank,
        order_no=order.order_no,
        courier_id=courier_id,
    )
    if refused := await _record(context, request, found, entry, (order.status, entry.id, None)):
        return refused

    outcome = await forward(context, request, entry, card_request(context, request, entry, card))

    claimed = replace(order, paying_id=entry.id)
    payment = replace(entry, approval_code=approval_code_of_bank(outcome))
    postings = card_sale(
        entry.amount_minor,
        request.terminal.fee_rate,
        bank=entry.bank,
        merchant_id=entry.merchant_id,
    )
    notice = order_event(
        context,
        "order.paid",
        order,
        payment,
        payment,
        order_status=PAID,
        fields=keyed_fields(context, request),
    )
    answer = await settle(
        context,
        entry,
        outcome,
        approved=(
            Post(entry.id, entry.currency_code, entry.business_date, postings),
            move_order(claimed, (PAID, None, entry.id)),
            QueueEvent(notice),
        ),
        undone=free_order_steps(entry, claimed),
    )
    context.events_queued()
    return answer


async def _pay_in_cash(
    context: Context, request: Request, found: Found, courier_id: str
) -> Outcome:
    """The courier has taken the money, and owes it from now on."""
    order, merchant = found.order, request.terminal.merchant
    amount_minor = request.amount_minor
    account = courier_account(courier_id)
    postings = cash_on_delivery(
        amount_minor,
        FeeRate(merchant.cod_basis_points, merchant.cod_fixed_minor),
        courier_id=courier_id,
        merchant_id=merchant.merchant_id,
    )
    limit_minor = context.couriers[courier_id].cash_limit_minor
    limits: tuple[LimitBalance, ...] = ()
    if limit_minor is not None:
        most_minor = limit_minor - amount_minor
        limits = (LimitBalance(account, order.currency_code, high_minor=most_minor),)
    return await _paid_at_once(context, request, found, courier_id, amount_minor, postings, limits)


async def _pay_nothing(
    context: Context, request: Request, found: Found, courier_id: str
) -> Outcome:
    """The goods change hands and no money does: prepaid, or on the customer's account."""
    return await _paid_at_once(context, request, found, courier_id, 0, ())


async def _paid_at_once(
    context: Context,
    request: Request,
    found: Found,
    courier_id: str,
    amount_minor: int,
    postings: tuple[Posting, ...],
    limits: tuple[LimitBalance, ...] = (),
) -> Outcome:
    order = found.order
    entry = await new_entry(
        context,
        request,
        KIND,
        State.APPROVED,
        order_no=order.order_no,
        courier_id=courier_id,
        amount_minor=amount_minor,
        response_code="00",
    )
    notice = order_event(
        context,
        "order.paid",
        order,
        entry,
        entry,
        order_status=PAID,
        fields=keyed_fields(context, request),
    )
    steps: tuple[Step, ...] = (
        *limits,
        Post(entry.id, order.currency_code, entry.business_date, postings),
        QueueEvent(notice),
    )
    if refused := await _record(context, request, found, entry, (PAID, None, entry.id), steps):
        return refused
    context.events_queued()
    return Answer("00", entry.reply)


async def _record(
    context: Context,
    request: Request,
    found: Found,
    entry: Entry,
    new: tuple[str, int | None, int | None],
    steps: tuple[Step, ...] = (),
) -> Outcome | None:
    """Commit the entry, what becomes of its order, and further steps.

    Returns:
        None where it committed, else the answer to give.
    """
    order = found.order
    claim = claim_steps(order, found.whole, new)
    failed = await context.book.commit(PutOrder(order), InsertEntry(entry), *claim, *steps)
    if failed is None:
        return None
    if failed.is_taken:
        return Repeat()
    if isinstance(failed.step, LimitBalance):
        return await _refuse_order(context, request, order, "61")
    now = await context.book.order(order.merchant_id, order.order_no)
    return await _refuse_order(context, request, now or order, "94")
