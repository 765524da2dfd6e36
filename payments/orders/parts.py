"""Part payment: a part of an order is an order of its own, opened by a query that names its amount.

The merchant's system keeps what is owed and makes the part's number. From there a part is paid,
confirmed, reversed and cancelled as any order; ``holds.claim_steps`` keeps it from being paid
beside its order. Source: docs/orders.md, "Part payment".
"""

from __future__ import annotations

from dataclasses import replace

from acquirer.codecs.response_codes import ResponseCode
from acquirer.payments.kernel.commands import Origin
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.orders.desk import Found, NoOrder, ask_system, find_order, overlay
from acquirer.payments.orders.life import NEXT, refusal_code
from acquirer.routing.orders.messages import NewPart


async def open_part(
    ports: Ports, origin: Origin, whole_no: str, amount_minor: int
) -> Found | NoOrder:
    """Have the merchant's system open a part of an order; ``whole`` of what is found is the order.

    The courier who is named must be signed on at the terminal (else 58).

    Args:
        whole_no: the order.
        amount_minor: of the part.
    """
    found = await find_order(ports, origin, whole_no, origin.courier_id)
    if isinstance(found, NoOrder):
        return found
    if code := _refusal(found, amount_minor):
        return NoOrder(code)
    merchant_id = found.order.merchant_id
    part = NewPart(
        part_id=f"{origin.terminal_id}{origin.batch}{origin.stan}",
        of=whole_no,
        merchant_id=merchant_id,
        amount_minor=amount_minor,
        terminal_id=origin.terminal_id,
        courier_id=origin.courier_id,
    )
    facts = await ask_system(ports, origin, whole_no, part)
    if isinstance(facts, NoOrder):
        return facts
    # It may have been opened before, by a request whose answer was lost on the way to here.
    known = await ports.book.desk(merchant_id, facts.order_no, "")
    order = overlay(facts, known.order, known.told, origin.now_ms)
    rules = origin.business.order_types.rules_for(merchant_id, whole_no)
    if rules.words is not None:
        order = replace(order, text=rules.words.render(facts))
    return Found(order, reference=facts.reference, whole=found.order)


def _refusal(found: Found, amount_minor: int) -> str:
    """Why no part of this order can be opened, or the empty string."""
    order = found.order
    if order.paying_id is not None:
        return ResponseCode.DUPLICATE
    if ("pay", order.status) not in NEXT:
        return refusal_code("pay", order.status)
    if order.part_of:
        return ResponseCode.INVALID_TRANSACTION
    return ResponseCode.OVER_AMOUNT_LIMIT if amount_minor > found.due_minor else ""
