"""The order query's handler alone: what is due, and what of an order's answer counts here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from counter import NOTHING, OTHER_TERMINAL, Counter, answered, code_of
from origins import MERCHANT

from acquirer.codecs.order_codes import Means
from acquirer.ledger.errors import BookUnavailable
from acquirer.ledger.journal.entries import (
    OrderRow,
    State,
)
from acquirer.ledger.journal.steps import (
    PutOrder,
    UpdateOrder,
)
from acquirer.payments.kernel.commands import Answer, Repeat, Shown
from acquirer.payments.orders.exception import OrderNotDelivered, order_exception
from acquirer.payments.orders.query import OrderQueried, order_query
from acquirer.payments.orders.types import OrderTypes
from acquirer.routing.orders.client import (
    OrderReply,
    OrderSystemDown,
    OrderSystemSilent,
    UnknownOrder,
)

pytestmark = pytest.mark.anyio


def shown_text(shown: Shown) -> str:
    """What an asker is shown, as one line."""
    return f"{shown.order_no} {shown.status} {shown.pay_ways} {shown.reference} {shown.text}"


def _query(counter: Counter, order_no: str = "O1", **changes: Any) -> OrderQueried:
    return OrderQueried(counter.order_origin(**{"display": shown_text} | changes), order_no)


async def _asked(counter: Counter, order_no: str = "O1", **changes: Any) -> Answer:
    return answered(await order_query(counter.ports, _query(counter, order_no, **changes)))


def _due(answer: Answer) -> tuple[str, str]:
    return answer.response_code, answer.reply.amount


async def test_a_query_tells_what_is_due(counter: Counter) -> None:
    """Amount, currency, status, ways and text; the order is known from then on."""
    facts = counter.owes("O1", text="Tea|Li", reference="R7", pay_ways="12")
    command = _query(counter)
    answer = answered(await order_query(counter.ports, command))
    assert ("00", "000000010000", "156", "O1 00 12 R7 Tea|Li") == (
        answer.response_code,
        answer.reply.amount,
        answer.reply.currency_code,
        answer.reply.shown,
    )
    order = counter.order("O1")
    assert (facts.amount_minor, "00", "12", "Tea|Li", 0) == (
        order.amount_minor,
        order.status,
        order.pay_ways,
        order.text,
        order.changes,
    )
    assert (NOTHING, [], State.APPROVED) == (
        counter.money,
        counter.notices,
        counter.entry(command.origin).state,
    )


async def test_a_repeated_query_changes_nothing(counter: Counter) -> None:
    """Its number is taken; what the order system says by then is not stored."""
    counter.owes("O1")
    command = _query(counter)
    await order_query(counter.ports, command)
    counter.owes("O1", 20_000)
    assert isinstance(await order_query(counter.ports, command), Repeat)
    assert 10_000 == counter.order("O1").amount_minor


@pytest.mark.parametrize(
    ("reply", "code"),
    [(UnknownOrder(), "25"), (OrderSystemDown("gone"), "91"), (OrderSystemSilent(), "68")],
)
async def test_an_order_that_cannot_be_had(counter: Counter, reply: OrderReply, code: str) -> None:
    """25, 91 or 68; nothing is known of it, and its number is used up."""
    counter.orders.facts["O1"] = reply
    command = _query(counter)
    assert code == await code_of(order_query(counter.ports, command))
    assert (State.REFUSED, {}) == (counter.entry(command.origin).state, counter.books.rows.orders)
    assert isinstance(await order_query(counter.ports, command), Repeat)


async def test_a_courier_must_be_signed_on_here(counter: Counter) -> None:
    """58, and no order system is asked; also for a courier whom nobody knows."""
    counter.owes("O1")
    assert "58" == (await _asked(counter, terminal_id=OTHER_TERMINAL)).response_code
    assert "58" == (await _asked(counter, courier_id="C9")).response_code
    assert [] == counter.orders.asked


async def test_another_currency_than_the_merchants_is_no_answer(counter: Counter) -> None:
    """91."""
    counter.owes("O1", currency_code="840")
    assert "91" == (await _asked(counter)).response_code


@pytest.mark.parametrize("means", [Means.CARD, Means.CASH])
async def test_a_paid_order_has_nothing_due(counter: Counter, means: Means) -> None:
    """00 with its status; what the order system still says does not count."""
    counter.owes("O1")
    await counter.pay("O1", means=means)
    answer = await _asked(counter)
    assert (("00", "000000000000"), "O1 01 123  ") == (_due(answer), answer.reply.shown)
    assert "01" == counter.order("O1").status


async def test_what_the_merchant_was_not_told_counts_before_his_word(counter: Counter) -> None:
    """After a reversal the row counts, until he has its notice; then what he says."""
    counter.owes("O1")
    _, payment = await counter.pay("O1")
    await counter.reverse(counter.origin(10_000, stan=payment.stan))
    counter.owes("O1", status="01")
    assert ("00", "000000010000") == _due(await _asked(counter))
    counter.books.tell_all()
    assert ("00", "000000000000") == _due(await _asked(counter))


@pytest.mark.parametrize(
    ("status", "amount_minor"), [("01", 5), ("02", 5), ("03", 5), ("04", 5), ("05", 5), ("06", 0)]
)
async def test_only_what_is_to_pay_is_due(counter: Counter, status: str, amount_minor: int) -> None:
    """00 and an amount of zero in every other status."""
    counter.owes("O1", amount_minor, status=status)
    assert ("00", "000000000000") == _due(await _asked(counter))


async def test_a_rescheduled_order_is_due_again(counter: Counter) -> None:
    """But one that was refused is not."""
    for number, reason, due in (("O1", "06", "000000010000"), ("O2", "03", "000000000000")):
        counter.owes(number)
        told = OrderNotDelivered(counter.order_origin(), number, reason)
        assert "00" == await code_of(order_exception(counter.ports, told))
        assert ("00", due) == _due(await _asked(counter, number))


async def test_the_merchants_own_words_are_shown() -> None:
    """A template of the merchant's; what must be keyed in goes with it."""
    merchant = msgspec.structs.replace(MERCHANT, order_text="Pay {{ amount }}", ask=["room"])
    types = OrderTypes(merchants=[merchant])
    counter = Counter(order_types=types)
    counter.owes("O1", text="Tea")
    asked: list[tuple[str, ...]] = []

    def display(shown: Shown) -> str:
        asked.append(shown.asked)
        return shown_text(shown)

    answer = await _asked(counter, display=display)
    assert ("O1 00 123  Pay 100.00", [("room",)]) == (answer.reply.shown, asked)


async def test_an_answer_that_is_out_of_date_is_not_stored(counter: Counter) -> None:
    """A payment between question and commit: the row keeps status, amount and payment."""
    counter.owes("O1")
    row = OrderRow("M1", "O1", "00", 10_000, "156", "123", "", 0)
    counter.books.apply(PutOrder(row))
    paid = UpdateOrder("M1", "O1", ("00", None, None), ("01", None, 77))
    counter.owes("O1", 20_000)
    counter.books.meanwhile = [lambda: counter.books.apply(paid)]
    assert "00" == (await _asked(counter)).response_code
    assert replace(row, status="01", payment_id=77, changes=1) == counter.order("O1")


async def test_a_query_that_cannot_be_stored_is_not_answered(counter: Counter) -> None:
    """Nothing is known of the order then."""

    def fail() -> None:
        raise BookUnavailable("full")

    counter.owes("O1")
    counter.books.meanwhile = [fail]
    with pytest.raises(BookUnavailable):
        await _asked(counter)
    assert ([], {}) == (counter.entries, counter.books.rows.orders)
