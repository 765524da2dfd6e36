"""Order query: what is owed for an order, and how it may be paid.

A shop's terminal also opens orders with it and looks things up; see ``shop.py``. One that names
the amount of a part opens a part of an order; see ``parts.py``.
Source: docs/interfaces/terminal.md, part 5, row 3.
"""

from __future__ import annotations

from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.journal.entries import (
    Role,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.replies import twelve_digits
from acquirer.ledger.journal.steps import (
    InsertEntry,
    PutOrder,
    Step,
)
from acquirer.payments.kernel.commands import (
    Answer,
    Command,
    Outcome,
    Repeat,
    Shown,
    answer_of,
)
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.records import new_entry, refuse
from acquirer.payments.orders.desk import Found, NoOrder, find_order
from acquirer.payments.orders.parts import open_part
from acquirer.payments.orders.shop import look_up, order_opening
from acquirer.payments.orders.types import SHOWN
from acquirer.routing.orders.messages import OrderLine

KIND = Kind.ORDER_QUERY


class OrderQueried(Command, frozen=True):
    """A courier wants to know of an order; the origin names him.

    Attributes:
        lines: what is sold; the order comes into being with them.
        part_minor: a part of this amount is to be opened, minor units; None for no part.
    """

    order_no: str
    lines: tuple[OrderLine, ...] = ()
    part_minor: int | None = None


async def order_query(ports: Ports, command: OrderQueried) -> Outcome:
    """Answer with the amount due and the order's status, ways of payment and text.

    Raises:
        BookBusy, BookUnavailable: nothing was stored.
    """
    origin, order_no = command.origin, command.order_no
    rules = origin.business.order_types.rules_for(origin.merchant_id, order_no)
    opening = order_opening(origin, order_no, command.lines, rules)
    is_shown = rules.product in SHOWN
    whole: tuple[Step, ...] = ()
    if isinstance(opening, NoOrder):
        found: Found | NoOrder = opening
    elif command.part_minor is not None:
        if await _is_known(ports, command):
            # A part that was opened only now would take the place of a newer one.
            return Repeat()
        found = await open_part(ports, origin, order_no, command.part_minor)
        if isinstance(found, Found) and found.whole is not None:
            whole = (PutOrder(found.whole),)
    elif is_shown:
        found = await look_up(ports, origin, order_no, rules)
    else:
        found = await find_order(ports, origin, order_no, origin.courier_id, opening)
    if isinstance(found, NoOrder):
        return await _refuse(ports, command, found)
    order, due = found.order, found.due_minor
    entry = await new_entry(
        ports,
        origin,
        KIND,
        State.APPROVED,
        order_no=order.order_no,
        courier_id=origin.courier_id,
        amount_minor=due,
        response_code=ResponseCode.APPROVED,
        said={
            "amount": twelve_digits(due),
            "currency_code": order.currency_code,
            "shown": origin.display(_shown(command, found)),
        },
    )
    # What is only looked at is no order, so that nothing can be done to it.
    kept: tuple[Step, ...] = () if is_shown else (*whole, PutOrder(order))
    if await ports.book.commit(*kept, InsertEntry(entry)):
        return Repeat()
    return answer_of(entry)


async def _is_known(ports: Ports, command: OrderQueried) -> bool:
    origin = command.origin
    key = (origin.terminal_id, origin.batch, origin.stan)
    return await ports.book.find_entry(*key, Role.ORIGINAL) is not None


async def _refuse(ports: Ports, command: OrderQueried, why: NoOrder) -> Answer | Repeat:
    origin, order_no = command.origin, command.order_no
    said = {"shown": origin.display(Shown(order_no, text=why.text))} if why.text else None
    return await refuse(ports, origin, KIND, why.response_code, order_no=order_no, said=said)


def _shown(command: OrderQueried, found: Found) -> Shown:
    order = found.order
    rules = command.origin.business.order_types.rules_for(order.merchant_id, order.order_no)
    return Shown(
        order.order_no,
        status=order.status,
        pay_ways=order.pay_ways,
        reference=found.reference,
        asked=rules.ask,
        text=order.text,
    )
