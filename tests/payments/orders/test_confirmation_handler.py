"""Payment and receipt confirmations, the handlers alone: stored once, told once, never lost."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import msgspec
import pytest
import trio
from counter import NOTHING, SOLD, Counter, Notice, answered, code_of, named
from ports import replied

from acquirer.codecs.order_codes import Means
from acquirer.ledger.errors import BookBusy, BookUnavailable
from acquirer.ledger.journal.entries import (
    Entry,
    OrderRow,
    State,
)
from acquirer.ledger.journal.steps import (
    PutOrder,
    UpdateOrder,
)
from acquirer.payments.kernel.commands import Repeat
from acquirer.payments.orders.cancellation import OrderCancellationRequested, order_cancellation
from acquirer.payments.orders.confirmation import (
    PaymentConfirmed,
    ReceiptConfirmed,
    payment_confirmation,
    receipt_confirmation,
)
from acquirer.payments.orders.query import OrderQueried, order_query
from acquirer.routing.orders.client import (
    OrderReply,
    OrderSystemDown,
    OrderSystemSilent,
    UnknownOrder,
)

pytestmark = pytest.mark.anyio

CONFIRMED = Notice("order.payment_confirmed", "O1", "02", 10_000)
SIGNED = Notice("order.signed_for", "O1", "03", 10_000)


async def _paid(counter: Counter, means: Means = Means.CARD) -> Entry:
    counter.owes("O1")
    return (await counter.pay("O1", means=means))[1]


async def _confirm(counter: Counter, payment: Entry, order_no: str = "O1") -> str:
    command = PaymentConfirmed(counter.order_origin(), order_no, named(payment))
    return await code_of(payment_confirmation(counter.ports, command))


async def _sign(counter: Counter, payment: Entry | None = None) -> str:
    command = ReceiptConfirmed(
        counter.order_origin(), "O1", "Li", named(payment) if payment else None
    )
    return await code_of(receipt_confirmation(counter.ports, command))


async def test_a_confirmed_payment_stands(counter: Counter) -> None:
    """The order is confirmed, and the merchant told once, however often the terminal says it."""
    payment = await _paid(counter)
    assert "00" == await _confirm(counter, payment)
    assert ("02", payment.id) == (counter.order("O1").status, counter.order("O1").payment_id)
    assert "00" == await _confirm(counter, payment)
    assert [CONFIRMED] == counter.notices[1:]
    assert (SOLD, []) == (counter.money, counter.owed)
    assert [payment.id] * 2 == [one.original_id for one in counter.entries[1:]]


async def test_the_same_confirmation_again_is_a_repeat(counter: Counter) -> None:
    """Its number is taken, by whatever it confirms."""
    payment = await _paid(counter)
    command = PaymentConfirmed(counter.order_origin(), "O1", named(payment))
    assert "00" == await code_of(payment_confirmation(counter.ports, command))
    assert isinstance(await payment_confirmation(counter.ports, command), Repeat)
    signed = ReceiptConfirmed(command.origin, "O1", "Li", named(payment))
    assert isinstance(await receipt_confirmation(counter.ports, signed), Repeat)
    assert "02" == counter.order("O1").status


async def test_what_is_unknown_cannot_be_confirmed(counter: Counter) -> None:
    """25: no such payment, a payment of another order, or no such order."""
    payment = await _paid(counter)
    assert "25" == await _confirm(counter, replace(payment, stan="999999"))
    assert "25" == await _confirm(counter, payment, "O2")
    assert ("01", 1) == (counter.order("O1").status, len(counter.notices))


async def test_a_payment_that_was_undone_cannot_be_confirmed(counter: Counter) -> None:
    """12: reversed, declined or cancelled."""
    payment = await _paid(counter)
    await counter.reverse(counter.origin(10_000, stan=payment.stan))
    assert "12" == await _confirm(counter, payment)
    counter.banks.outcomes = [replied("51"), replied("00")]
    _, declined = await counter.pay("O1")
    assert "12" == await _confirm(counter, declined)
    _, again = await counter.pay("O1")
    assert "12" == await _confirm(counter, payment)
    cancel = OrderCancellationRequested(counter.order_origin(), "O1", named(again), again.rrn)
    assert "00" == await code_of(order_cancellation(counter.ports, cancel))
    assert "12" == await _confirm(counter, again)
    assert NOTHING == counter.money


async def test_a_confirmation_waits_while_the_order_is_held(counter: Counter) -> None:
    """For the end of a cancellation, after which it is refused: the money has gone back."""
    payment = await _paid(counter)
    codes: list[str] = []

    async def confirm() -> None:
        codes.append(await _confirm(counter, payment))

    async def meanwhile() -> None:
        nursery.start_soon(confirm)
        await trio.sleep(1)
        assert [] == codes

    counter.banks.meanwhile = meanwhile
    async with trio.open_nursery() as nursery:
        cancel = OrderCancellationRequested(
            counter.order_origin(), "O1", named(payment), payment.rrn
        )
        assert "00" == await code_of(order_cancellation(counter.ports, cancel))
    assert (["12"], NOTHING) == (codes, counter.money)


async def test_an_order_that_stays_held_stores_nothing(counter: Counter) -> None:
    """The terminal says it again."""
    payment = await _paid(counter)
    order = counter.order("O1")
    hold = UpdateOrder("M1", "O1", ("01", None, payment.id), ("01", 999, payment.id))
    assert counter.books.apply(hold) is None
    with pytest.raises(BookBusy):
        await _confirm(counter, payment)
    with pytest.raises(BookBusy):
        await _sign(counter, payment)
    assert ([payment], order.status) == (counter.entries, counter.order("O1").status)


async def test_a_confirmation_against_a_reversal_is_one_of_them(counter: Counter) -> None:
    """The reversal commits between read and commit: 12, and nothing is told of a confirmation."""
    payment = await _paid(counter)
    origin = counter.origin(10_000, stan=payment.stan)
    counter.books.meanwhile = [lambda: counter.reverse(origin)]
    assert "12" == await _confirm(counter, payment)
    assert (NOTHING, ["order.paid", "order.cancelled"]) == (
        counter.money,
        [notice.type for notice in counter.notices],
    )


@pytest.mark.parametrize("way", [_confirm, _sign])
async def test_what_cannot_be_stored_is_not_answered(counter: Counter, way: object) -> None:
    """No order moves, nothing is told; the next one is taken."""

    def fail() -> None:
        raise BookUnavailable("full")

    payment = await _paid(counter)
    say = partial(_sign if way is _sign else _confirm, counter, payment)
    counter.books.meanwhile = [fail]
    with pytest.raises(BookUnavailable):
        await say()
    assert ("01", 1) == (counter.order("O1").status, len(counter.notices))
    assert "00" == await say()


# --- receipt ----------------------------------------------------------------------------------


async def test_what_is_signed_for_is_confirmed_as_well(counter: Counter) -> None:
    """A signature that names the payment says that it stands, even if its confirmation was lost."""
    payment = await _paid(counter)
    assert "00" == await _sign(counter, payment)
    assert ("03", [CONFIRMED, SIGNED]) == (counter.order("O1").status, counter.notices[1:])
    assert "00" == await _sign(counter, payment)
    assert "00" == await _confirm(counter, payment)
    assert ("03", 3) == (counter.order("O1").status, len(counter.notices))
    body = list(counter.books.rows.events.values())[-1].body
    assert '"signed_by":"Li"' in body
    assert SOLD == counter.money


async def test_a_confirmed_order_is_signed_for_without_its_payment(counter: Counter) -> None:
    """Before, it must be named: only the terminal that may reverse it can say that it stands."""
    payment = await _paid(counter)
    assert "12" == await _sign(counter)
    await _confirm(counter, payment)
    assert "00" == await _sign(counter)
    assert [CONFIRMED, SIGNED] == counter.notices[1:]


async def test_another_payment_than_the_orders_is_refused(counter: Counter) -> None:
    """25 where there is no such, 12 where it is one that was undone."""
    undone = await _paid(counter)
    await counter.reverse(counter.origin(10_000, stan=undone.stan))
    assert "12" == await _sign(counter, undone)
    _, payment = await counter.pay("O1", means=Means.CASH)
    assert "12" == await _sign(counter, undone)
    assert "25" == await _sign(counter, replace(payment, stan="999999"))
    assert "01" == counter.order("O1").status


async def test_an_order_that_nobody_knows_here_is_not_signed_for(counter: Counter) -> None:
    """25: it was never asked about."""
    counter.owes("O1", 0)
    assert "25" == await _sign(counter)


async def _known(counter: Counter, amount_minor: int) -> None:
    counter.owes("O1", amount_minor)
    queried = OrderQueried(counter.order_origin(), "O1")
    assert "00" == await code_of(order_query(counter.ports, queried))


async def test_an_order_with_nothing_to_pay_is_signed_for(counter: Counter) -> None:
    """Without a payment; one that is to be paid is not (12)."""
    await _known(counter, 0)
    assert "00" == await _sign(counter)
    assert ("03", None) == (counter.order("O1").status, counter.order("O1").payment_id)
    assert [Notice("order.signed_for", "O1", "03", 0)] == counter.notices
    other = Counter()
    await _known(other, 10_000)
    assert ("12", []) == (await _sign(other), other.notices)


async def _in_parts(counter: Counter) -> None:
    """An order of which a part was opened here."""
    await _known(counter, 10_000)
    part = OrderRow("M1", "O1/1", "00", 4_000, "156", "123", "", 0, part_of="O1")
    assert counter.books.apply(PutOrder(part)) is None


@pytest.mark.parametrize(
    ("reply", "code", "stored"),
    [
        (OrderSystemDown("gone"), "91", 0),
        (OrderSystemSilent(), "68", 0),
        (UnknownOrder(), "25", 1),
    ],
)
async def test_an_order_in_parts_is_signed_for_as_its_merchant_has_it(
    counter: Counter, reply: OrderReply, code: str, stored: int
) -> None:
    """Nothing is stored while he cannot be asked; all paid in parts, there is nothing to pay."""
    await _in_parts(counter)
    counter.orders.facts["O1"] = reply
    before = len(counter.entries)
    assert (code, stored) == (await _sign(counter), len(counter.entries) - before)
    assert "12" == await _signed_with(counter, 6_000)
    assert "00" == await _signed_with(counter, 0)
    assert "03" == counter.order("O1").status


async def _signed_with(counter: Counter, amount_minor: int) -> str:
    counter.owes("O1", amount_minor)
    return await _sign(counter)


async def test_an_order_with_an_open_part_is_not_signed_for(counter: Counter) -> None:
    """12 while a part is paid and not confirmed, 91 while one is being paid."""
    await _in_parts(counter)
    counter.owes("O1", 0)
    move = partial(UpdateOrder, "M1", "O1/1")
    counter.books.apply(move(("00", None, None), ("00", 77, None)))
    assert "91" == await _sign(counter)
    counter.books.apply(move(("00", 77, None), ("01", None, 77)))
    assert "12" == await _sign(counter)
    counter.books.apply(move(("01", None, 77), ("02", None, 77)))
    assert "00" == await _sign(counter)


async def test_confirmations_name_the_courier_of_the_payment(counter: Counter) -> None:
    """Where the terminal does not say who confirms."""
    payment = await _paid(counter)
    origin = msgspec.structs.replace(counter.order_origin(), courier_id="")
    command = PaymentConfirmed(origin, "O1", named(payment))
    answered(await payment_confirmation(counter.ports, command))
    assert ("C1", State.APPROVED) == (
        counter.entry(origin).courier_id,
        counter.entry(origin).state,
    )
