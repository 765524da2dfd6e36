"""Part payment: a part of an order is an order of its own, opened by a query with ``PA``.

The merchant's system keeps what is owed and makes the part's number. From there a part is paid,
confirmed, reversed and cancelled as any order; ``journal.claim_steps`` keeps it from being paid
beside its order. Source: docs/orders.md, "Part payment".
"""

from __future__ import annotations

from dataclasses import replace

from acquirer.codecs.errors import RemoteFormatError
from acquirer.payments.kernel.ports import Context
from acquirer.payments.orders.desk import Found, NoOrder, ask_system, find_order, overlay
from acquirer.payments.orders.life import NEXT, refusal_code
from acquirer.routing.orders.messages import NewPart
from acquirer.switch.terminals.request import Request

PART_TAG = "PA"
DIGITS_MAX = 12


def part_minor(text: str) -> int:
    """The amount of ``PA`` in minor units.

    >>> part_minor("5000")
    5000

    Raises:
        RemoteFormatError: not 1 to 12 digits, or zero.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX and int(text)):
        raise RemoteFormatError("a part is 1 to 12 digits, above zero", field="59.PA")
    return int(text)


async def open_part(
    context: Context, request: Request, whole_no: str, courier_id: str
) -> Found | NoOrder:
    """Have the merchant's system open a part of an order; ``whole`` of what is found is the order.

    Args:
        whole_no: the order.
        courier_id: who must be signed on at the terminal (else 58).

    Raises:
        RemoteFormatError: PA is no amount.
    """
    amount_minor = part_minor(request.text(PART_TAG))
    found = await find_order(context, request, whole_no, courier_id)
    if isinstance(found, NoOrder):
        return found
    if code := _refusal(found, amount_minor):
        return NoOrder(code)
    terminal, merchant_id = request.terminal, found.order.merchant_id
    part = NewPart(
        part_id=f"{terminal.terminal_id}{request.de60.batch}{request.stan}",
        of=whole_no,
        merchant_id=merchant_id,
        amount_minor=amount_minor,
        terminal_id=terminal.terminal_id,
        courier_id=courier_id,
    )
    facts = await ask_system(context, request, whole_no, part)
    if isinstance(facts, NoOrder):
        return facts
    # It may have been opened before, by a request whose answer was lost on the way to here.
    known = await context.book.desk(merchant_id, facts.order_no, "")
    order = overlay(facts, known.order, known.told, request.now_ms)
    rules = context.order_types.rules_for(merchant_id, whole_no)
    if rules.words is not None:
        order = replace(order, text=rules.words.render(facts))
    return Found(order, reference=facts.reference, whole=found.order)


def _refusal(found: Found, amount_minor: int) -> str:
    """Why no part of this order can be opened, or the empty string."""
    order = found.order
    if order.paying_id is not None:
        return "94"
    if ("pay", order.status) not in NEXT:
        return refusal_code("pay", order.status)
    if order.part_of:
        return "12"
    return "61" if amount_minor > found.due_minor else ""
