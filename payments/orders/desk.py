"""What the switch knows of an order, and what may happen to it next.

The merchant's order system says what is owed; the switch's own row says what has happened here
since. What may happen to an order in which status is ``order_life.py``'s.
Source: docs/interfaces/terminal.md, part 5.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import trio

from acquirer.codecs.order_codes import RESCHEDULED
from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.errors import BookBusy
from acquirer.ledger.journal.details import OrderException
from acquirer.ledger.journal.entries import (
    CourierRow,
    Desk,
    Entry,
    OrderRow,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.kernel.commands import Named, Origin
from acquirer.payments.kernel.errors import InvalidCommand
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.orders.life import EXCEPTION, TO_PAY
from acquirer.payments.orders.text import printable
from acquirer.payments.orders.types import SHOWN
from acquirer.routing.orders.client import (
    NotOpened,
    OrderReply,
    OrderSystemDown,
    OrderSystemSilent,
    UnknownOrder,
)
from acquirer.routing.orders.faults import Call
from acquirer.routing.orders.messages import NewOrder, NewPart, OrderFacts, shown_value

HELD_WAITS_MAX = 24
HELD_WAIT_S = 0.25
TOLD_WAITS_MAX = 6
TOLD_WAIT_S = 0.25
NOT_OPENED = {
    "conflict": "94",
    "unknown_item": "25",
    "part_not_allowed": "57",
    "part_too_large": "61",
    "refused": "12",
}


@dataclass(frozen=True, slots=True)
class NoOrder:
    """There is no order to work on; ``response_code`` says why (25, 91, 68).

    Attributes:
        text: why, in the order system's words, where it has said so.
    """

    response_code: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """An order, and whether one that was not delivered may be tried again.

    Attributes:
        again: its exception was a rescheduling.
        reference: the merchant's own payment reference (``OP``), or empty.
        whole: the order that it is a part of, as it was here before the question.
        held: whether its order, or another part of it, was being paid or cancelled then.
    """

    order: OrderRow
    again: bool = False
    reference: str = ""
    whole: OrderRow | None = None
    held: bool = False

    @property
    def due_minor(self) -> int:
        """What is to be paid now, in minor units."""
        open_now = self.order.status == TO_PAY or (self.order.status == EXCEPTION and self.again)
        return self.order.amount_minor if open_now else 0


async def find_order(
    ports: Ports,
    origin: Origin,
    order_no: str,
    courier_id: str = "",
    opening: NewOrder | None = None,
) -> Found | NoOrder:
    """Ask the merchant's order system, and lay what has happened here over its answer.

    Args:
        courier_id: who must be signed on at the terminal (else 58); empty for nobody.
        opening: has the order come into being; None where it must be there.
    """
    merchant_id = origin.merchant_id
    # Before the question, so that an answer that was given after the notice counts.
    desk = await _desk(ports, merchant_id, order_no, courier_id)
    row = desk.order
    if courier_id and not signed_on_here(origin, courier_id, desk.courier):
        return NoOrder(ResponseCode.NOT_PERMITTED_TO_TERMINAL)
    rules = origin.business.order_types.rules_for(merchant_id, order_no)
    if rules.product in SHOWN:
        # An item or a sum: to look at, and nothing that could be paid or delivered.
        return NoOrder(ResponseCode.INVALID_TRANSACTION)
    if desk.in_parts and not desk.told and not _moves(row):
        # The row does not say what parts have been paid, and the merchant does not know it yet.
        return NoOrder(ResponseCode.UNAVAILABLE)
    changes = row.changes if row is not None else 0
    # A part that is given back does not count as a change of its order.
    serves_again = desk.told and not desk.in_parts
    facts = await ask_system(ports, origin, order_no, opening, changes if serves_again else None)
    if isinstance(facts, NoOrder):
        return facts
    order = overlay(facts, row, desk.told, origin.now_ms)
    if rules.words is not None:
        order = replace(order, text=rules.words.render(facts))
    again = order.status == EXCEPTION and await _rescheduled(ports, order)
    return Found(order, again, facts.reference, desk.whole, desk.held)


async def as_merchant_has_it(ports: Ports, origin: Origin, order: OrderRow) -> OrderRow | NoOrder:
    """An order as it stands here; one in parts, which its row says nothing of, as it is asked for.

    91 while the merchant cannot be asked or another of its family is being paid or cancelled.
    """
    desk = await ports.book.desk(order.merchant_id, order.order_no, "")
    if not desk.in_parts or _moves(order):
        return order
    found = await find_order(ports, origin, order.order_no)
    if isinstance(found, NoOrder):
        return found
    return NoOrder(ResponseCode.UNAVAILABLE) if found.held else found.order


async def _desk(ports: Ports, merchant_id: str, order_no: str, courier_id: str) -> Desk:
    """What is known here; of an order in parts once its merchant knows all, if that is soon.

    A terminal that has had one part paid asks for the next while the notice is on its way.
    """
    for _ in range(TOLD_WAITS_MAX):
        desk = await ports.book.desk(merchant_id, order_no, courier_id)
        if desk.told or not desk.in_parts or _moves(desk.order):
            return desk
        await trio.sleep(TOLD_WAIT_S)
    return await ports.book.desk(merchant_id, order_no, courier_id)


def _moves(row: OrderRow | None) -> bool:
    """Whether an order's money has moved here or is moving."""
    return row is not None and (row.paying_id is not None or row.payment_id is not None)


async def ask_system(
    ports: Ports,
    origin: Origin,
    order_no: str,
    opening: NewOrder | NewPart | None = None,
    changes: int | None = 0,
) -> OrderFacts | NoOrder:
    """What the merchant's order system says of an order, which it opens first where it is new.

    Args:
        changes: of the order here; see :meth:`OrderSystems.query`.
    """
    merchant = origin.merchant
    reply: OrderReply | NotOpened
    if opening is None:
        reply = await ports.orders.query(
            merchant.merchant_id,
            order_no,
            terminal_id=origin.terminal_id,
            courier_id=origin.courier_id,
            changes=changes,
        )
    else:
        reply = await ports.orders.open(opening, *merchant.secrets, changes=changes)
    if isinstance(reply, NotOpened):
        return NoOrder(NOT_OPENED[reply.reason], printable(reply.detail))
    if isinstance(reply, UnknownOrder):
        return NoOrder(ResponseCode.NO_ORIGINAL)
    if isinstance(reply, OrderSystemDown):
        return NoOrder(ResponseCode.UNAVAILABLE)
    if isinstance(reply, OrderSystemSilent):
        return NoOrder(ResponseCode.ISSUER_TIME_OUT)
    if reply.currency_code != merchant.currency_code:
        # Taken at its word, it would be paid in the merchant's own currency.
        got = shown_value("currency_code", reply.currency_code)
        fault = OrderSystemDown("another currency than the merchant's", "currency_code", got)
        call: Call = "query" if opening is None else "opening"
        ports.orders.report(merchant.merchant_id, order_no, call, fault)
        return NoOrder(ResponseCode.UNAVAILABLE)
    return reply


def overlay(facts: OrderFacts, row: OrderRow | None, told: bool, now_ms: int) -> OrderRow:
    """The order system's facts, unless the switch knows better.

    It does where money has moved or is moving here, and where the merchant has not yet been told
    of everything that has happened here (``told`` is false).
    """
    if row is not None and (_moves(row) or not told):
        return replace(row, text=facts.text, queried_at_ms=now_ms)
    return OrderRow(
        merchant_id=facts.merchant_id,
        order_no=facts.order_no,
        status=facts.status,
        amount_minor=facts.amount_minor,
        currency_code=facts.currency_code,
        pay_ways=facts.pay_ways,
        text=facts.text,
        queried_at_ms=now_ms,
        changes=row.changes if row is not None else 0,
        part_of=facts.part_of or (row.part_of if row is not None else ""),
    )


async def _rescheduled(ports: Ports, order: OrderRow) -> bool:
    """Whether the newest exception that was told here says "rescheduled"."""
    entries = await ports.book.entries_of_order(order.merchant_id, order.order_no)
    for entry in reversed(entries):
        if entry.kind is Kind.ORDER_EXCEPTION and entry.state is State.APPROVED:
            detail = entry.detail
            return isinstance(detail, OrderException) and detail.reason == RESCHEDULED
    return False


def keyed_fields(origin: Origin, order_no: str, keyed: tuple[str, ...]) -> dict[str, str]:
    """What the courier keyed in, by the names that the merchant asks for.

    Raises:
        InvalidCommand: not one value for each name, or an empty one.
    """
    names = origin.business.order_types.rules_for(origin.merchant_id, order_no).ask
    values = keyed if names else ()
    if len(values) != len(names) or not all(value.strip() for value in values):
        raise InvalidCommand(f"the merchant asks for {len(names)} values with this order")
    return dict(zip(names, values, strict=True))


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of an order here, read at one instant.

    Attributes:
        named: the payment of this order that the command names.
        payment: the payment that stands.
        has_open_parts: whether a part of it is held, or paid and not confirmed yet.
    """

    order: OrderRow | None
    named: Entry | None
    payment: Entry | None
    has_open_parts: bool


async def standing(ports: Ports, origin: Origin, order_no: str, payment: Named | None) -> Standing:
    """The order and its payments as they are now.

    Args:
        payment: that the command names, or None.
    """
    named = (origin.terminal_id, payment.batch, payment.stan) if payment else None
    known = await ports.book.order_payments(origin.merchant_id, order_no, named)
    original = known.original
    if original is not None and original.kind is Kind.ORDER_CANCELLATION and original.original_id:
        # The confirmation of a cancellation may name either of the two.
        original = await ports.book.entry(original.original_id)
    if original is not None and original.kind is Kind.ORDER_GROUP:
        shares = await ports.book.entries_of_original(original.id)
        original = _share_of(shares, order_no)
    if original is not None and (
        original.kind not in (Kind.ORDER_PAYMENT, Kind.ORDER_SHARE) or original.order_no != order_no
    ):
        original = None
    return Standing(known.order, original, known.payment, known.has_open_parts)


def _share_of(about: Iterable[Entry], order_no: str) -> Entry | None:
    """An order's own entry in a payment of several."""
    shares = (entry for entry in about if entry.kind is Kind.ORDER_SHARE)
    return next((share for share in shares if share.order_no == order_no), None)


async def standing_free(
    ports: Ports, origin: Origin, order_no: str, payment: Named | None
) -> Standing:
    """As :func:`standing`, once no payment or cancellation holds the order.

    Raises:
        BookBusy: it is held for longer than anybody should wait; nothing was stored.
    """
    for _ in range(HELD_WAITS_MAX):
        found = await standing(ports, origin, order_no, payment)
        if found.order is None or found.order.paying_id is None:
            return found
        await trio.sleep(HELD_WAIT_S)
    raise BookBusy("the order is held by a payment or a cancellation")


def signed_on_here(origin: Origin, courier_id: str, row: CourierRow | None) -> bool:
    """Whether a courier of this merchant, with this row, is signed on at the origin's terminal."""
    settings = origin.business.couriers.get(courier_id)
    return (
        settings is not None
        and settings.merchant_id == origin.merchant_id
        and row is not None
        and row.terminal_id == origin.terminal_id
    )


async def courier_here(ports: Ports, origin: Origin) -> str:
    """The courier who is named, or who is signed on at the terminal; empty for none."""
    named = origin.courier_id
    if named:
        row = await ports.book.courier(named)
        return named if signed_on_here(origin, named, row) else ""
    rows = await ports.book.couriers_at(origin.terminal_id)
    # The books may still have one signed on who is no courier of this merchant any more.
    here = (row.courier_id for row in rows if signed_on_here(origin, row.courier_id, row))
    return next(here, "")
