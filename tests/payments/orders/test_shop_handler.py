"""What a shop's terminal asks for, the handlers alone: orders that it opens, and look-ups."""

from __future__ import annotations

from typing import Any

import pytest
from counter import NOTHING, OTHER_TERMINAL, SCHEME, Counter, answered, code_of, named

from acquirer.codecs.order_codes import Means
from acquirer.config.business import OrderTypeSettings
from acquirer.payments.kernel.commands import Answer, Repeat, Shown
from acquirer.payments.orders.cancellation import OrderCancellationRequested, order_cancellation
from acquirer.payments.orders.query import OrderQueried, order_query
from acquirer.payments.orders.types import OrderTypes
from acquirer.routing.orders.client import NotOpened, OrderSystemDown, UnknownOrder
from acquirer.routing.orders.messages import NewOrder, OrderLine

pytestmark = pytest.mark.anyio

LINES = (OrderLine("1001", 2),)
TYPES = OrderTypes(
    [
        OrderTypeSettings("till", order_no_pattern="S.*", product="sale"),
        OrderTypeSettings("in", order_no_pattern="N.*", product="stock_in"),
        OrderTypeSettings("item", order_no_pattern="I.*", product="item", text="{{ text }}!"),
        OrderTypeSettings("day", order_no_pattern="T.*", product="takings"),
    ]
)


@pytest.fixture
def shop() -> Counter:
    """A shop's counter."""
    return Counter(order_types=TYPES)


def _text(shown: Shown) -> str:
    return shown.text or ""


def _query(shop: Counter, order_no: str, *lines: OrderLine, **changes: Any) -> OrderQueried:
    return OrderQueried(shop.order_origin(**{"display": _text} | changes), order_no, lines)


async def _asked(shop: Counter, order_no: str, *lines: OrderLine, **changes: Any) -> Answer:
    return answered(await order_query(shop.ports, _query(shop, order_no, *lines, **changes)))


async def test_a_sale_at_the_till_comes_into_being_with_its_query(shop: Counter) -> None:
    """The lines go to the order system; from there it is paid as any order."""
    shop.orders.opens = shop.owes("S1", 2_500)
    answer = await _asked(shop, "S1", *LINES)
    assert ("00", "000000002500") == (answer.response_code, answer.reply.amount)
    (new,) = shop.orders.opened
    assert isinstance(new, NewOrder)
    assert ("S1", "sale", LINES) == (new.order_no, new.kind, new.lines)
    assert "00" == (await shop.pay("S1", 2_500))[0].response_code
    assert 2_500 == shop.money[SCHEME]


async def test_goods_taken_in_are_an_order_with_nothing_to_pay(shop: Counter) -> None:
    """Handed over and cancelled as any other; no money moves."""
    shop.orders.opens = shop.owes("N1", 0)
    assert "00" == (await _asked(shop, "N1", *LINES)).response_code
    _, payment = await shop.pay("N1", None, Means.NONE)
    cancel = OrderCancellationRequested(shop.order_origin(), "N1", named(payment), payment.rrn)
    assert "00" == await code_of(order_cancellation(shop.ports, cancel))
    assert (NOTHING, "04") == (shop.money, shop.order("N1").status)


@pytest.mark.parametrize(
    ("reply", "code", "text"),
    [
        (NotOpened("conflict"), "94", ""),
        (NotOpened("unknown_item", "no\n1001"), "25", "no 1001"),
        (NotOpened("refused", "closed"), "12", "closed"),
        (OrderSystemDown("gone"), "91", ""),
    ],
)
async def test_a_sale_that_the_merchant_does_not_open(
    shop: Counter, reply: Any, code: str, text: str
) -> None:
    """The code of his reason, and his words for the terminal."""
    shop.orders.opens = reply
    answer = await _asked(shop, "S1", *LINES)
    assert (code, text, {}) == (answer.response_code, answer.reply.shown, shop.books.rows.orders)


@pytest.mark.parametrize("order_no", ["O1", "I1", "T1"])
async def test_lines_open_nothing_but_a_shops_orders(shop: Counter, order_no: str) -> None:
    """12 for a plain order, an item and the takings."""
    assert "12" == (await _asked(shop, order_no, *LINES)).response_code
    assert ([], []) == (shop.orders.opened, shop.orders.asked)


async def test_an_item_is_looked_at_and_no_order(shop: Counter) -> None:
    """Shown in the merchant's words; it cannot be paid (12) and is not kept."""
    shop.owes("I1", 0, text="Tea 12.50")
    answer = await _asked(shop, "I1")
    assert ("00", "000000000000", "Tea 12.50!") == (
        answer.response_code,
        answer.reply.amount,
        answer.reply.shown,
    )
    assert "12" == (await shop.pay("I1", 0, Means.NONE))[0].response_code
    assert {} == shop.books.rows.orders
    shop.orders.facts["I2"] = UnknownOrder()
    assert "25" == (await _asked(shop, "I2")).response_code
    assert "58" == (await _asked(shop, "I1", terminal_id=OTHER_TERMINAL)).response_code


async def test_the_days_takings_are_shown(shop: Counter) -> None:
    """By means; what was reversed does not count, nor another day's."""
    for number, (amount_minor, means) in enumerate(
        [(1_000, Means.CARD), (2_000, Means.CASH), (4_000, Means.CARD), (0, Means.NONE)]
    ):
        shop.owes(f"O{number}", amount_minor)
        await shop.pay(f"O{number}", amount_minor, means)
    await shop.sell(800)
    await shop.reverse(shop.origin(4_000, stan=shop.entries[2].stan))
    command = _query(shop, "T1")
    answer = answered(await order_query(shop.ports, command))
    lines = answer.reply.shown.split("|")
    assert ["Card 2: 18.00", "Cash 1: 20.00", "Nothing to pay 1", "Total 38.00"] == [
        line for line in lines[1:] if not line.startswith("Refunded 0")
    ]
    assert isinstance(await order_query(shop.ports, command), Repeat)
    shop.clock.at_ms += 86_400_000
    assert "Total 0.00" in (await _asked(shop, "T1")).reply.shown
    assert "58" == (await _asked(shop, "T1", courier_id="C9")).response_code
