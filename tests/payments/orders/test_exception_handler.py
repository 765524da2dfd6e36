"""The order exception's handler alone: what was not delivered, and why; no money moves."""

from __future__ import annotations

from typing import Any

import pytest
from counter import NOTHING, Counter, Notice, code_of

from acquirer.ledger.errors import BookBusy
from acquirer.ledger.journal.details import OrderException
from acquirer.ledger.journal.entries import (
    OrderRow,
    State,
)
from acquirer.ledger.journal.steps import (
    PutOrder,
    UpdateOrder,
)
from acquirer.payments.kernel.commands import Repeat
from acquirer.payments.orders.exception import OrderNotDelivered, order_exception
from acquirer.routing.orders.client import (
    OrderReply,
    OrderSystemDown,
    OrderSystemSilent,
    UnknownOrder,
)

pytestmark = pytest.mark.anyio


def _told(counter: Counter, reason: str = "02", **changes: Any) -> OrderNotDelivered:
    return OrderNotDelivered(counter.order_origin(**changes), "O1", reason, "rang twice")


@pytest.mark.parametrize("amount_minor", [10_000, 0])
async def test_an_exception_is_told_once(counter: Counter, amount_minor: int) -> None:
    """The order has its reason, the merchant a notice; the same message again is a repeat."""
    counter.owes("O1", amount_minor)
    command = _told(counter)
    assert "00" == await code_of(order_exception(counter.ports, command))
    entry = counter.entry(command.origin)
    assert (State.APPROVED, OrderException("02", "rang twice"), "C1") == (
        entry.state,
        entry.detail,
        entry.courier_id,
    )
    assert ("05", NOTHING) == (counter.order("O1").status, counter.money)
    assert [Notice("order.exception", "O1", "05", amount_minor)] == counter.notices
    (event,) = counter.books.rows.events.values()
    assert '"reason":"02"' in event.body
    assert '"note":"rang twice"' in event.body
    assert isinstance(await order_exception(counter.ports, command), Repeat)


async def test_a_further_exception_is_told_as_well(counter: Counter) -> None:
    """Nobody there, then rescheduled: the newest counts."""
    counter.owes("O1")
    for reason in ("02", "06"):
        assert "00" == await code_of(order_exception(counter.ports, _told(counter, reason)))
    assert ("05", 2) == (counter.order("O1").status, len(counter.notices))
    assert "00" == (await counter.pay("O1"))[0].response_code


@pytest.mark.parametrize(
    ("reply", "code", "stored"),
    [(UnknownOrder(), "25", 1), (OrderSystemDown("gone"), "91", 0), (OrderSystemSilent(), "68", 0)],
)
async def test_an_order_that_cannot_be_had_has_no_exception(
    counter: Counter, reply: OrderReply, code: str, stored: int
) -> None:
    """25 is recorded; 91 and 68 are not, as the terminal says it again."""
    counter.orders.facts["O1"] = reply
    assert code == await code_of(order_exception(counter.ports, _told(counter)))
    assert (stored, []) == (len(counter.entries), counter.notices)


@pytest.mark.parametrize("status", ["01", "02", "03", "04"])
async def test_a_paid_order_must_be_cancelled_instead(counter: Counter, status: str) -> None:
    """12, and the order stays as it is."""
    row = OrderRow("M1", "O1", status, 10_000, "156", "123", "", 0, payment_id=77)
    counter.books.apply(PutOrder(row))
    assert "12" == await code_of(order_exception(counter.ports, _told(counter)))
    assert (row, []) == (counter.order("O1"), counter.notices)


async def test_a_payment_that_comes_first_wins(counter: Counter) -> None:
    """Between read and commit: 12, and nothing is told of an exception."""
    counter.owes("O1")
    row = OrderRow("M1", "O1", "00", 10_000, "156", "123", "", 0)
    paid = UpdateOrder("M1", "O1", ("00", None, None), ("01", None, 77))
    counter.books.meanwhile = [lambda: counter.books.apply(PutOrder(row), paid)]
    assert "12" == await code_of(order_exception(counter.ports, _told(counter)))
    assert ("01", 77, []) == (
        counter.order("O1").status,
        counter.order("O1").payment_id,
        counter.notices,
    )


async def test_an_order_that_is_being_paid_has_no_exception(counter: Counter) -> None:
    """Nothing is stored; the terminal says it again."""
    row = OrderRow("M1", "O1", "00", 10_000, "156", "123", "", 0, paying_id=77)
    counter.books.apply(PutOrder(row))
    with pytest.raises(BookBusy):
        await order_exception(counter.ports, _told(counter))
    assert ([], []) == (counter.entries, counter.notices)


async def test_a_courier_who_is_not_here_is_not_named(counter: Counter) -> None:
    """The exception counts, whoever brings it; an unnamed one is who is signed on here."""
    counter.owes("O1")
    for courier_id, noted in (("C9", ""), ("", "C1")):
        command = _told(counter, courier_id=courier_id)
        assert "00" == await code_of(order_exception(counter.ports, command))
        assert noted == counter.entry(command.origin).courier_id
