"""The confirmation of a cancellation, the handler alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from counter import NOTHING, SOLD, Counter, Notice, code_of, named

from acquirer.codecs.order_codes import Means
from acquirer.ledger.journal.entries import (
    Entry,
)
from acquirer.ledger.journal.steps import (
    UpdateOrder,
)
from acquirer.payments.kernel.commands import Repeat
from acquirer.payments.orders.cancel_confirmation import CancellationConfirmed, cancel_confirmation
from acquirer.payments.orders.cancellation import (
    OrderCancellationRequested,
    order_cancellation,
)

pytestmark = pytest.mark.anyio

CONFIRMED = Notice("order.cancel_confirmed", "O1", "04", 10_000)


async def _cancelled(counter: Counter, means: Means = Means.CARD) -> tuple[Entry, Entry]:
    """A payment, and the cancellation that undid it."""
    counter.owes("O1")
    _, payment = await counter.pay("O1", means=means)
    origin = counter.order_origin(10_000)
    command = OrderCancellationRequested(origin, "O1", named(payment), payment.rrn)
    assert "00" == await code_of(order_cancellation(counter.ports, command))
    return payment, counter.entry(origin)


async def _confirm(counter: Counter, about: Entry, order_no: str = "O1") -> str:
    command = CancellationConfirmed(counter.order_origin(), order_no, named(about))
    return await code_of(cancel_confirmation(counter.ports, command))


@pytest.mark.parametrize("means", [Means.CARD, Means.CASH])
@pytest.mark.parametrize("names_payment", [True, False])
async def test_a_confirmed_cancellation_is_told_once(
    counter: Counter, means: Means, names_payment: bool
) -> None:
    """It may name the payment or the cancellation; the order forgets its payment."""
    payment, cancellation = await _cancelled(counter, means)
    about = payment if names_payment else cancellation
    assert ["00", "00"] == [await _confirm(counter, about) for _ in range(2)]
    assert ("04", None) == (counter.order("O1").status, counter.order("O1").payment_id)
    assert ([CONFIRMED], NOTHING) == (counter.notices[2:], counter.money)


async def test_the_same_confirmation_again_is_a_repeat(counter: Counter) -> None:
    """Its number is taken."""
    payment, _ = await _cancelled(counter)
    command = CancellationConfirmed(counter.order_origin(), "O1", named(payment))
    assert "00" == await code_of(cancel_confirmation(counter.ports, command))
    assert isinstance(await cancel_confirmation(counter.ports, command), Repeat)


async def test_what_is_not_cancelled_cannot_be_confirmed(counter: Counter) -> None:
    """12 while the payment stands; 25 for no such payment or order."""
    counter.owes("O1")
    _, payment = await counter.pay("O1")
    assert "12" == await _confirm(counter, payment)
    assert "25" == await _confirm(counter, replace(payment, stan="999999"))
    assert "25" == await _confirm(counter, payment, "O2")
    assert (SOLD, "01", 1) == (counter.money, counter.order("O1").status, len(counter.notices))


async def test_two_confirmations_at_once_are_told_once(counter: Counter) -> None:
    """Another comes between read and commit: both get 00."""
    payment, _ = await _cancelled(counter)
    counter.books.meanwhile = [lambda: _confirm(counter, payment)]
    assert "00" == await _confirm(counter, payment)
    assert [CONFIRMED] == counter.notices[2:]


async def test_an_order_that_went_on_is_not_confirmed_as_cancelled(counter: Counter) -> None:
    """12 where its cancellation was undone."""
    payment, _ = await _cancelled(counter)
    move = UpdateOrder("M1", "O1", ("04", None, payment.id), ("01", None, payment.id))
    assert counter.books.apply(move) is None
    assert ("12", 2) == (await _confirm(counter, payment), len(counter.notices))
