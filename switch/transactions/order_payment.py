"""Order payment: MTI 0200, type 72; by card (DE3 000000), cash (900000) or nothing (910000).

By card it is a sale that also moves the order: the order is claimed with commit 1, so that two
terminals cannot both pay it, and paid with commit 2, together with the notice to the merchant.
Source: terminal interface, part 5, row 4; postings, "Card sale" and "COD paid in cash".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from acquirer.ledger.entries import (
    Entry,
    InsertEntry,
    OrderRow,
    Post,
    PutOrder,
    QueueEvent,
    State,
    Step,
    UpdateOrder,
)
from acquirer.ledger.postings import FeeRate, card_sale, cash_on_delivery
from acquirer.routing.outcomes import Replied
from acquirer.switch.context import Context
from acquirer.switch.errors import HsmRefused, response_code_for
from acquirer.switch.journal import new_entry, refuse, unpay_step
from acquirer.switch.order_desk import (
    NEXT,
    PAID,
    TO_PAY,
    WAYS,
    NoOrder,
    courier_is_here,
    due_minor,
    find_order,
)
from acquirer.switch.order_events import order_event
from acquirer.switch.request import Answer, Outcome, Repeat, Request
from acquirer.switch.transactions.steps import bank_request, forward, protect_pin, route, settle

KIND: Literal["order_payment"] = "order_payment"
CARD = "000000"
NO_FEE = FeeRate()


async def order_payment(context: Context, request: Request) -> Outcome:
    """Check the order, then pay it by card at the bank, or record cash or a free delivery.

    Raises:
        RemoteFormatError: ON or OC is missing, or no card in a card payment.
        HsmUnavailable, BookBusy, BookUnavailable: nothing has left for a bank.
    """
    order_no, courier_id = request.need_text("ON"), request.need_text("OC")
    if not await courier_is_here(context, request, courier_id):
        return await refuse(context, request, KIND, "58", order_no=order_no)
    order = await find_order(context, request, order_no)
    if isinstance(order, NoOrder):
        return await refuse(context, request, KIND, order.response_code, order_no=order_no)
    if code := _refusal(request, order):
        return await _refuse_order(context, request, order, code)
    if request.message.processing_code == CARD:
        return await _pay_by_card(context, request, order, courier_id)
    return await _pay_without_card(context, request, order, courier_id)


def _refusal(request: Request, order: OrderRow) -> str:
    if order.paying_id is not None or order.payment_id is not None:
        return "94"
    if ("pay", order.status) not in NEXT:
        return "94" if order.status >= PAID and order.status <= "03" else "12"
    if WAYS[request.message.processing_code] not in order.pay_ways:
        return "57"
    return "64" if request.amount_minor != due_minor(order) else ""


async def _refuse_order(
    context: Context, request: Request, order: OrderRow, code: str
) -> Answer | Repeat:
    """A paid order's refusal names the first payment's RRN."""
    reply = {}
    if code == "94" and order.payment_id is not None:
        payment = await context.book.entry(order.payment_id)
        reply = {37: payment.rrn} if payment else {}
    answer = await refuse(context, request, KIND, code, order_no=order.order_no, reply=reply)
    if isinstance(answer, Answer) and code == "94" and not reply:
        answer.fields.pop(37, None)
    return answer


async def _pay_by_card(
    context: Context, request: Request, order: OrderRow, courier_id: str
) -> Outcome:
    pan, track = request.card()
    if request.pin_format_wrong():
        return await refuse(context, request, KIND, "99", pan=pan, order_no=order.order_no)
    bank = route(context, request, KIND, pan)
    if bank is None:
        return await refuse(context, request, KIND, "92", pan=pan, order_no=order.order_no)
    zpk = context.banks.zpk(bank)
    if zpk is None:
        return await refuse(context, request, KIND, "91", pan=pan, order_no=order.order_no)

    try:
        pin_block = await protect_pin(context, request, zpk, pan)
    except HsmRefused as error:
        return await refuse(
            context, request, KIND, response_code_for(error), pan=pan, order_no=order.order_no
        )

    entry = await new_entry(
        context,
        request,
        KIND,
        State.SENT,
        pan=pan,
        bank=bank,
        order_no=order.order_no,
        courier_id=courier_id,
    )
    claim = _move(order, (TO_PAY, entry.id, None))
    if refused := await _record(context, request, order, entry, (claim,)):
        return refused

    outcome = await forward(
        context, request, entry, bank_request(context, request, entry, KIND, pan, track, pin_block)
    )

    claimed = replace(order, paying_id=entry.id)
    approval_code = outcome.message.get(38) if isinstance(outcome, Replied) else ""
    payment = replace(entry, approval_code=approval_code)
    postings = card_sale(
        entry.amount_minor, request.terminal.fee_rate, bank=bank, merchant_id=entry.merchant_id
    )
    notice = order_event(context, "order.paid", payment, payment, order_status=PAID)
    return await settle(
        context,
        entry,
        outcome,
        approved=(
            Post(entry.id, entry.currency_code, entry.business_date, postings),
            _move(claimed, (PAID, None, entry.id)),
            QueueEvent(notice),
        ),
        undone=(unpay_step(claimed),),
    )


async def _pay_without_card(
    context: Context, request: Request, order: OrderRow, courier_id: str
) -> Outcome:
    entry = await new_entry(
        context,
        request,
        KIND,
        State.APPROVED,
        order_no=order.order_no,
        courier_id=courier_id,
        response_code="00",
    )
    steps: list[Step] = [_move(order, (PAID, None, entry.id))]
    if entry.amount_minor:
        postings = cash_on_delivery(
            entry.amount_minor, NO_FEE, courier_id=courier_id, merchant_id=entry.merchant_id
        )
        steps.append(Post(entry.id, entry.currency_code, entry.business_date, postings))
    notice = order_event(context, "order.paid", entry, entry, order_status=PAID)
    steps.append(QueueEvent(notice))
    if refused := await _record(context, request, order, entry, tuple(steps)):
        return refused
    context.events_queued()
    return Answer("00", entry.reply)


async def _record(
    context: Context, request: Request, order: OrderRow, entry: Entry, steps: tuple[Step, ...]
) -> Outcome | None:
    """Commit the entry with its steps, the first of which moves the order.

    Returns:
        None where it committed, else the answer to give.
    """
    failed = await context.book.commit(PutOrder(order), InsertEntry(entry), *steps)
    if failed is None:
        return None
    if failed.step == 1:
        return Repeat()
    now = await context.book.order(order.merchant_id, order.order_no)
    return await _refuse_order(context, request, now or order, "94")


def _move(order: OrderRow, new: tuple[str, int | None, int | None]) -> UpdateOrder:
    expected = (order.status, order.paying_id, order.payment_id)
    return UpdateOrder(order.merchant_id, order.order_no, expected, new)
