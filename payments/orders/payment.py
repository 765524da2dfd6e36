"""Order payment: by card, in cash or with nothing to pay.

By card it is a sale that also moves the order: the order is claimed with commit 1, so that two
terminals cannot both pay it, and paid with commit 2, together with the notice to the merchant.
Source: docs/interfaces/terminal.md, part 5, row 4; docs/interfaces/postings.md, "Card sale" and
"paid in cash".
"""

from __future__ import annotations

from acquirer.codecs.order_codes import WAYS, Means
from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.accounts.postings import FeeRate, cash_on_delivery, courier_account
from acquirer.ledger.accounts.transfer_steps import LimitBalance, Post, Posting
from acquirer.ledger.journal.details import GroupPayment
from acquirer.ledger.journal.entries import (
    Entry,
    OrderRow,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    InsertEntry,
    PutOrder,
    QueueEvent,
    Step,
)
from acquirer.payments.kernel.commands import (
    APPROVED,
    Answer,
    Command,
    Outcome,
    PresentedCard,
    Repeat,
    answer_of,
)
from acquirer.payments.kernel.commits import card_request, forward
from acquirer.payments.kernel.errors import InvalidCommand
from acquirer.payments.kernel.holds import claim_steps
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.ready_card import ReadyCard, ready_card
from acquirer.payments.kernel.records import new_entry, refuse
from acquirer.payments.orders.desk import Found, NoOrder, find_order, keyed_fields
from acquirer.payments.orders.events import order_event
from acquirer.payments.orders.life import EXCEPTION, NEXT, PAID, refusal_code
from acquirer.payments.orders.shares import Paid, find_all, record_shares, settle_paid

KIND, GROUP = Kind.ORDER_PAYMENT, Kind.ORDER_GROUP


class OrderPaymentRequested(Command, frozen=True):
    """An order is paid at the door or at the till; the origin names the courier.

    Attributes:
        further: orders that the same swipe pays.
        keyed: values that the merchant asks for, in the order of his names.
        card: where the means is a card.
    """

    order_no: str
    means: Means
    further: tuple[str, ...] = ()
    keyed: tuple[str, ...] = ()
    card: PresentedCard | None = None


async def order_payment(ports: Ports, command: OrderPaymentRequested) -> Outcome:
    """Check the order, then pay it by card at the bank, or record cash or a free delivery.

    Raises:
        InvalidCommand: what the merchant asks for is missing, or the card.
        HsmUnavailable, BookBusy, BookUnavailable: nothing has left for a bank.
    """
    origin, order_no = command.origin, command.order_no
    fields = keyed_fields(origin, order_no, command.keyed)
    found = await find_order(ports, origin, order_no, origin.courier_id)
    if isinstance(found, NoOrder):
        return await refuse(ports, origin, KIND, found.response_code, order_no=order_no)
    if command.means is Means.CARD:
        return await _pay_by_card(ports, command, found, fields)
    if code := _refusal(command, found):
        return await _refuse_order(ports, command, found.order, code)
    if command.means is Means.CASH:
        return await _pay_in_cash(ports, command, found, fields)
    return await _paid_at_once(ports, command, found, fields, 0, ())


def _refusal(command: OrderPaymentRequested, found: Found) -> str:
    way, origin = command.means, command.origin
    if way is Means.CASH and not origin.courier_id:
        # Cash is owed by whoever takes it.
        return ResponseCode.NOT_PERMITTED_TO_TERMINAL
    if code := _unpayable(way, found):
        return code
    if _in_other_currency(command, found):
        return ResponseCode.AMOUNT_DIFFERS
    if origin.named_minor != found.due_minor:
        return (
            "" if way is Means.NONE and origin.amount_minor is None else ResponseCode.AMOUNT_DIFFERS
        )
    return ResponseCode.INVALID_AMOUNT if way is not Means.NONE and found.due_minor == 0 else ""


def _in_other_currency(command: OrderPaymentRequested, found: Found) -> bool:
    return command.origin.currency_code not in ("", found.order.currency_code)


def _unpayable(way: Means, found: Found) -> str:
    """Why an order cannot be paid in this way, whatever the amount, or the empty string."""
    order = found.order
    if order.paying_id is not None or found.held:
        return ResponseCode.DUPLICATE
    if order.part_of and found.whole is None:
        # It was not opened here, so that nothing would keep its order from being paid beside it.
        return ResponseCode.INVALID_TRANSACTION
    if found.whole is not None and found.whole.payment_id is not None:
        return ResponseCode.DUPLICATE
    if ("pay", order.status) not in NEXT:
        return refusal_code("pay", order.status)
    if order.status == EXCEPTION and not found.again:
        return ResponseCode.INVALID_TRANSACTION
    return "" if WAYS[way] in order.pay_ways else ResponseCode.NOT_PERMITTED_TO_CARD


async def _refuse_order(
    ports: Ports, command: OrderPaymentRequested, order: OrderRow, code: str
) -> Answer | Repeat:
    """A paid order's refusal names the first payment's RRN, any other 94 none."""
    said = None
    if code == ResponseCode.DUPLICATE:
        payment = await ports.book.entry(order.payment_id) if order.payment_id else None
        said = {"rrn": payment.rrn if payment else ""}
    return await refuse(ports, command.origin, KIND, code, order_no=order.order_no, said=said)


async def _pay_by_card(
    ports: Ports, command: OrderPaymentRequested, first: Found, fields: dict[str, str]
) -> Outcome:
    """One authorisation for one order, or for several (``shares.py``)."""
    origin = command.origin
    if command.card is None:
        raise InvalidCommand("neither PAN nor track 2")
    kind = GROUP if command.further else KIND
    order_no = "" if command.further else command.order_no
    found = [first]
    if command.further:
        all_found = await _several(ports, command, first)
        if not isinstance(all_found, list):
            return all_found
        found = all_found
    elif code := _refusal(command, first):
        return await _refuse_order(ports, command, first.order, code)
    card = await ready_card(ports, origin, command.card, kind, order_no)
    if not isinstance(card, ReadyCard):
        return card

    entry = await new_entry(
        ports,
        origin,
        kind,
        State.SENT,
        pan=command.card.pan,
        bank=card.bank,
        order_no=order_no,
        courier_id=origin.courier_id,
        detail=GroupPayment(tuple(one.order.order_no for one in found))
        if command.further
        else None,
    )
    if command.further:
        paid = await record_shares(ports, origin, entry, found)
    else:
        order = first.order
        refused = await _record(ports, command, first, entry, (order.status, entry.id, None))
        paid = refused or [Paid(entry, order)]
    if not isinstance(paid, list):
        return paid

    outcome = await forward(ports, origin, entry, card_request(ports, origin, entry, card))

    answer = await settle_paid(ports, origin, entry, paid, outcome, fields, command.card.icc)
    ports.events_queued()
    return answer


async def _several(
    ports: Ports, command: OrderPaymentRequested, first: Found
) -> list[Found] | Answer | Repeat:
    """All orders of a swipe, each of which can be paid, or the answer of a recorded refusal."""
    origin = command.origin
    found = await find_all(ports, origin, first, command.further)
    if isinstance(found, NoOrder):
        return await refuse(ports, origin, GROUP, found.response_code)
    for one in found:
        if code := _unpayable(command.means, one) or (
            "" if one.due_minor else ResponseCode.INVALID_AMOUNT
        ):
            return await _refuse_order(ports, command, one.order, code)
    due_minor = sum(one.due_minor for one in found)
    if origin.named_minor != due_minor or _in_other_currency(command, first):
        return await refuse(ports, origin, GROUP, ResponseCode.AMOUNT_DIFFERS)
    return found


async def _pay_in_cash(
    ports: Ports, command: OrderPaymentRequested, found: Found, fields: dict[str, str]
) -> Outcome:
    """The courier has taken the money, and owes it from now on."""
    origin, order, merchant = command.origin, found.order, command.origin.merchant
    amount_minor = origin.named_minor
    account = courier_account(origin.courier_id)
    postings = cash_on_delivery(
        amount_minor,
        FeeRate(merchant.cod_basis_points, merchant.cod_fixed_minor),
        courier_id=origin.courier_id,
        merchant_id=merchant.merchant_id,
    )
    limit_minor = origin.business.couriers[origin.courier_id].cash_limit_minor
    limits: tuple[LimitBalance, ...] = ()
    if limit_minor is not None:
        most_minor = limit_minor - amount_minor
        limits = (LimitBalance(account, order.currency_code, high_minor=most_minor),)
    return await _paid_at_once(ports, command, found, fields, amount_minor, postings, limits)


async def _paid_at_once(
    ports: Ports,
    command: OrderPaymentRequested,
    found: Found,
    fields: dict[str, str],
    amount_minor: int,
    postings: tuple[Posting, ...],
    limits: tuple[LimitBalance, ...] = (),
) -> Outcome:
    """Cash has changed hands, or the goods do and no money does."""
    order = found.order
    entry = await new_entry(
        ports,
        command.origin,
        KIND,
        State.APPROVED,
        order_no=order.order_no,
        courier_id=command.origin.courier_id,
        amount_minor=amount_minor,
        response_code=APPROVED,
    )
    notice = order_event(ports, "order.paid", order, entry, entry, order_status=PAID, fields=fields)
    steps: tuple[Step, ...] = (
        *limits,
        Post(entry.id, order.currency_code, entry.business_date, postings),
        QueueEvent(notice),
    )
    if refused := await _record(ports, command, found, entry, (PAID, None, entry.id), steps):
        return refused
    ports.events_queued()
    return answer_of(entry)


async def _record(
    ports: Ports,
    command: OrderPaymentRequested,
    found: Found,
    entry: Entry,
    new: tuple[str, int | None, int | None],
    steps: tuple[Step, ...] = (),
) -> Outcome | None:
    """Commit the entry, what becomes of its order, and further steps.

    Args:
        new: the order's status, payer and payment from now on.

    Returns:
        None where it committed, else the answer to give.
    """
    order = found.order
    claim = claim_steps(order, found.whole, new)
    failed = await ports.book.commit(PutOrder(order), InsertEntry(entry), *claim, *steps)
    if failed is None:
        return None
    if failed.is_taken:
        return Repeat()
    if isinstance(failed.step, LimitBalance):
        return await _refuse_order(ports, command, order, ResponseCode.OVER_AMOUNT_LIMIT)
    now = await ports.book.order(order.merchant_id, order.order_no)
    return await _refuse_order(ports, command, now or order, ResponseCode.DUPLICATE)
