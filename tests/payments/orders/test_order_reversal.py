"""The reversal of an order's payment or cancellation, by its handler alone."""

from __future__ import annotations

import pytest
from counter import IN_CASH, NOTHING, SOLD, Counter, Notice, named, reversal_of
from ports import replied

from acquirer.codecs.order_codes import Means
from acquirer.ledger.journal.entries import (
    Entry,
    Role,
    State,
)
from acquirer.ledger.journal.steps import (
    UpdateOrder,
)
from acquirer.payments.kernel.commands import Answer, Origin
from acquirer.payments.orders.cancellation import OrderCancellationRequested, order_cancellation
from acquirer.routing.outcomes import NoReply

pytestmark = pytest.mark.anyio


def _of(counter: Counter, entry: Entry) -> Origin:
    return counter.origin(10_000, stan=entry.stan)


async def _reversed(counter: Counter, entry: Entry) -> Answer:
    return await counter.reverse(_of(counter, entry))


@pytest.mark.parametrize("means", [Means.CARD, Means.CASH])
async def test_a_reversed_payment_opens_its_order_again(counter: Counter, means: Means) -> None:
    """Money back at once; the bank of a card is owed its reversal, and the merchant is told."""
    counter.owes("O1")
    _, entry = await counter.pay("O1", means=means)
    assert "00" == (await _reversed(counter, entry)).response_code
    by_card = means is Means.CARD
    assert (State.REVERSING if by_card else State.REVERSED, NOTHING) == (
        counter.state(entry),
        counter.money,
    )
    assert ([reversal_of(entry)] if by_card else []) == counter.owed
    order = counter.order("O1")
    assert ("00", None, None) == (order.status, order.paying_id, order.payment_id)
    assert Notice("order.cancelled", "O1", "00", 10_000) == counter.notices[-1]
    assert 2 == len(counter.notices)


async def test_an_order_with_nothing_to_pay_is_so_again(counter: Counter) -> None:
    """Whatever amount the reversal names: it is what the order is worth."""
    counter.owes("O1", 0)
    _, entry = await counter.pay("O1", 0, Means.NONE)
    assert "00" == (await _reversed(counter, entry)).response_code
    assert (State.REVERSED, "06", NOTHING) == (
        counter.state(entry),
        counter.order("O1").status,
        counter.money,
    )


async def test_an_order_is_paid_anew_after_a_reversal(counter: Counter) -> None:
    """By another payment, which stands when the first one's reversal comes again."""
    counter.owes("O1")
    _, first = await counter.pay("O1")
    await _reversed(counter, first)
    _, second = await counter.pay("O1", means=Means.CASH)
    assert "00" == (await _reversed(counter, first)).response_code
    assert (IN_CASH, second.id) == (counter.money, counter.order("O1").payment_id)


@pytest.mark.parametrize("status", ["02", "03", "04"])
@pytest.mark.parametrize("means", [Means.CARD, Means.CASH])
async def test_a_payment_that_stands_is_not_reversed(
    counter: Counter, means: Means, status: str
) -> None:
    """12 once it is confirmed, signed for or cancelled; recorded, so that a repeat is told so."""
    counter.owes("O1")
    _, entry = await counter.pay("O1", means=means)
    move = UpdateOrder("M1", "O1", ("01", None, entry.id), (status, None, entry.id))
    assert counter.books.apply(move) is None
    before = counter.money, counter.notices
    origin = _of(counter, entry)
    assert "12" == (await counter.reverse(origin)).response_code
    assert (State.APPROVED, State.REFUSED) == (
        counter.state(entry),
        counter.entry(origin, Role.REVERSAL).state,
    )
    assert (before, []) == ((counter.money, counter.notices), counter.owed)
    assert "12" == (await counter.reverse(origin)).response_code


async def test_a_confirmation_that_comes_first_wins(counter: Counter) -> None:
    """Between the reversal's read and its commit: 12, and the payment stands."""
    counter.owes("O1")
    _, entry = await counter.pay("O1")
    confirm = UpdateOrder("M1", "O1", ("01", None, entry.id), ("02", None, entry.id))
    counter.books.meanwhile = [lambda: counter.books.apply(confirm)]
    assert "12" == (await _reversed(counter, entry)).response_code
    assert (SOLD, [], State.APPROVED) == (counter.money, counter.owed, counter.state(entry))


async def test_a_payment_that_timed_out_needs_no_second_undo(counter: Counter) -> None:
    """00; the order, paid otherwise since, is not touched."""
    counter.owes("O1")
    counter.banks.outcomes = [NoReply()]
    _, entry = await counter.pay("O1")
    _, other = await counter.pay("O1", means=Means.CASH)
    assert "00" == (await _reversed(counter, entry)).response_code
    assert ([reversal_of(entry)], IN_CASH) == (counter.owed, counter.money)
    assert other.id == counter.order("O1").payment_id


async def _cancelled(counter: Counter, means: Means) -> tuple[Entry, Entry]:
    """A payment and its cancellation."""
    counter.owes("O1")
    _, payment = await counter.pay("O1", means=means)
    origin = counter.order_origin(10_000)
    command = OrderCancellationRequested(origin, "O1", named(payment), payment.rrn)
    await order_cancellation(counter.ports, command)
    return payment, counter.entry(origin)


@pytest.mark.parametrize("means", [Means.CARD, Means.CASH])
async def test_a_cancellation_stands(counter: Counter, means: Means) -> None:
    """12: the merchant has been told, and a mistake is paid as a new order; its payment too."""
    payment, cancellation = await _cancelled(counter, means)
    assert "12" == (await _reversed(counter, cancellation)).response_code
    assert (NOTHING, [], "04") == (counter.money, counter.owed, counter.order("O1").status)
    assert "00" == (await _reversed(counter, payment)).response_code
    assert (NOTHING, [], "04") == (counter.money, counter.owed, counter.order("O1").status)


async def test_a_cancellation_in_doubt_is_undone_once(counter: Counter) -> None:
    """00: its own reversal is queued already; the order is as paid as it was."""
    counter.banks.outcomes = [replied("00"), NoReply()]
    _, cancellation = await _cancelled(counter, Means.CARD)
    assert "00" == (await _reversed(counter, cancellation)).response_code
    assert (SOLD, [reversal_of(cancellation)]) == (counter.money, counter.owed)
    assert "01" == counter.order("O1").status
