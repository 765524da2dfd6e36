"""A shop's till: sells, takes goods in, counts them; each is an order that its query opens.

The till makes the order's number of its own, so that no other order has it: a letter, the terminal
and the (batch, STAN) of the query. Paying and confirming are those of any order. What is opened
and then not paid moves nothing. Source: docs/orders.md, "A shop's sales".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from acquirer.config.estate import Card
from acquirer.terminals_sim import kinds
from acquirer.terminals_sim.cards import Entry
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.errors import LocalRefusal
from acquirer.terminals_sim.messages import Request
from acquirer.terminals_sim.results import OrderView, Result
from acquirer.terminals_sim.terminal import Terminal

Product = Literal["sale", "stock_in", "count"]
LETTERS: dict[Product, str] = {"sale": "S", "stock_in": "I", "count": "C"}
TODAY = "TODAY"


def lines_of(texts: Sequence[str]) -> str:
    """``IT`` of what a clerk keys in: ``CODE*QUANTITY``, or a code or barcode alone for one.

    >>> lines_of(["1001*2", "2000000000022"])
    '1001*2|2000000000022*1'

    Raises:
        LocalRefusal: a line that is neither.
    """
    lines = []
    for text in texts:
        code, _, quantity = text.rpartition("*") if "*" in text else (text, "", "1")
        if not code or "|" in code or not (quantity.isascii() and quantity.isdigit()):
            raise LocalRefusal(f"{text!r} is no CODE*QUANTITY")
        lines.append(f"{code}*{int(quantity)}")
    return "|".join(lines)


def order_no(terminal: Terminal, product: Product) -> str:
    """The number of the order that the terminal's next query opens."""
    state = terminal.state
    return f"{LETTERS[product]}{state.terminal_id}{state.batch}{state.stan}"


async def open_order(
    client: TerminalClient, product: Product, texts: Sequence[str], courier_id: str = ""
) -> Result:
    """Have an order opened and priced; ``result.order_no`` names it, answered or not."""
    lines, made = lines_of(texts), ""

    def build() -> Request:
        nonlocal made
        made = order_no(client.terminal, product)
        return client.terminal.order_query(made, courier_id, lines)

    result = await client.perform(kinds.ORDER_QUERY, build)
    return replace(result, order_no=made)


async def deal(
    client: TerminalClient,
    product: Product,
    texts: Sequence[str],
    way: str = "delivery",
    card: Card | None = None,
    *,
    entry: Entry | None = None,
    pin: str | None = None,
    courier_id: str = "",
) -> Result:
    """Open an order, pay it, confirm it; the result of the query or the payment that was refused.

    Args:
        texts: as :func:`lines_of` takes them.
        way: ``card`` or ``cash`` for a sale; ``delivery`` where there is nothing to pay.
        card: for payment by card.
        entry: how it is read.
        pin: None is the card's own, empty is none.
        courier_id: where it is not the one who is signed on.
    """
    opened = await open_order(client, product, texts, courier_id)
    if not opened.approved or opened.order is None or opened.order.amount_minor is None:
        return opened
    paid = await client.order_payment(
        opened.order_no,
        opened.order.amount_minor,
        way,
        card,
        entry=entry,
        pin=pin,
        courier_id=courier_id,
    )
    if paid.approved:
        # Without an answer it is sent again before whatever comes next.
        await client.order_confirm(opened.order_no)
    shown = OrderView(opened.order.amount_minor, text=opened.order.text)
    return replace(paid, order=shown, order_no=opened.order_no)
