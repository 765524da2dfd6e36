"""The refund of an order's payment, the handlers alone: what goes back, and what the order is then.

A part leaves the order as it is; the whole amount at once cancels it. Refund, cancellation and
reversal of one payment exclude each other.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from counter import (
    NOTHING,
    OTHER_TERMINAL,
    PAN,
    SOLD,
    Counter,
    Notice,
    Owed,
    answered,
    code_of,
    named,
)
from origins import MERCHANT
from ports import kinds_of, replied

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.order_codes import Means, OrderStatus
from acquirer.config.business import OrderSettings
from acquirer.ledger.errors import BookUnavailable
from acquirer.ledger.journal.details import Refund
from acquirer.ledger.journal.entries import Entry, OrderRow, State
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import UpdateOrder
from acquirer.payments.cards.refund import RefundRequested, refund
from acquirer.payments.kernel.commands import Repeat
from acquirer.payments.kernel.undo import undo_steps
from acquirer.payments.orders.confirmation import (
    PaymentConfirmed,
    ReceiptConfirmed,
    payment_confirmation,
    receipt_confirmation,
)
from acquirer.payments.orders.query import OrderQueried, order_query
from acquirer.payments.orders.unconfirmed import look
from acquirer.routing.outcomes import NoReply, NotSent

pytestmark = pytest.mark.anyio

GIVES_BACK = msgspec.structs.replace(MERCHANT, refund=True, refund_fee="return")
DAY_MS = 86_400_000


async def _paid(counter: Counter, status: str = OrderStatus.CONFIRMED) -> Entry:
    """An order of 100.00 that is paid by card, and as far along as that."""
    counter.owes("O1")
    _, payment = await counter.pay("O1")
    if status != OrderStatus.PAID:
        assert "00" == await _confirm(counter, payment)
    if status == OrderStatus.SIGNED_FOR:
        assert "00" == await _sign(counter, payment)
    return payment


async def _confirm(counter: Counter, payment: Entry) -> str:
    order_no = payment.order_no
    command = PaymentConfirmed(counter.order_origin(), order_no, named(payment))
    return await code_of(payment_confirmation(counter.ports, command))


async def _sign(counter: Counter, payment: Entry | None, order_no: str = "O1") -> str:
    about = named(payment) if payment else None
    command = ReceiptConfirmed(counter.order_origin(), order_no, "Li", about)
    return await code_of(receipt_confirmation(counter.ports, command))


def _asked(counter: Counter, payment: Entry, amount_minor: int, **changes: Any) -> RefundRequested:
    """A till's refund, by the reference number of the slip."""
    usual: dict[str, Any] = {"merchant": GIVES_BACK, "terminal_id": OTHER_TERMINAL}
    rrn = changes.pop("rrn", payment.rrn)
    return RefundRequested(counter.origin(amount_minor, **usual | changes), PAN, rrn=rrn)


async def _refund(counter: Counter, payment: Entry, amount_minor: int, **changes: Any) -> str:
    return await code_of(refund(counter.ports, _asked(counter, payment, amount_minor, **changes)))


def _row(counter: Counter, order_no: str = "O1") -> tuple[str, int | None, int | None]:
    order: OrderRow = counter.order(order_no)
    return order.status, order.paying_id, order.payment_id


STAYS = [OrderStatus.PAID, OrderStatus.CONFIRMED, OrderStatus.SIGNED_FOR]


@pytest.mark.parametrize("status", STAYS)
async def test_a_part_leaves_the_order_as_it_is(counter: Counter, status: str) -> None:
    """Its merchant is told what goes back, by the payment's reference number, once."""
    payment = await _paid(counter, status)
    before = len(counter.notices)
    command = _asked(counter, payment, 2_500)
    assert "00" == await code_of(refund(counter.ports, command))
    entry = counter.entry(command.origin)
    assert (State.APPROVED, "O1", payment.id, Refund("", 30)) == (
        entry.state,
        entry.order_no,
        entry.original_id,
        entry.detail,
    )
    assert [Notice("order.refunded", "O1", status, 2_500)] == counter.notices[before:]
    body = list(counter.books.rows.events.values())[-1].body
    data = msgspec.json.decode(body)["data"]
    assert (payment.rrn, payment.stan, payment.terminal_id, "card") == (
        data["rrn"],
        data["stan"],
        data["terminal_id"],
        data["means"],
    )
    assert ((status, None, payment.id), State.APPROVED) == (_row(counter), counter.state(payment))
    assert {name: balance * 3 // 4 for name, balance in SOLD.items()} == counter.money
    assert isinstance(await refund(counter.ports, command), Repeat)
    assert before + 1 == len(counter.notices)


async def test_parts_come_to_the_payment_and_no_further(counter: Counter) -> None:
    """61 beyond it; the last part is a part too: the order stays, and can still be signed for."""
    payment = await _paid(counter)
    told = len(counter.notices)
    assert "00" == await _refund(counter, payment, 4_000)
    assert "61" == await _refund(counter, payment, 6_001)
    assert "00" == await _refund(counter, payment, 6_000)
    assert [
        Notice("order.refunded", "O1", "02", 4_000),
        Notice("order.refunded", "O1", "02", 6_000),
    ] == counter.notices[told:]
    assert (NOTHING, State.REFUNDED) == (counter.money, counter.state(payment))
    assert (("02", None, payment.id), "61") == (_row(counter), await _refund(counter, payment, 1))
    assert ["00", "00"] == [await _confirm(counter, payment), await _sign(counter, payment)]
    assert "12" == await counter.cancel(payment)


@pytest.mark.parametrize("status", STAYS)
async def test_the_whole_amount_cancels_the_order(counter: Counter, status: str) -> None:
    """Before the receipt or after; no slip is to be confirmed: it may be offered anew at once."""
    payment = await _paid(counter, status)
    told = len(counter.notices)
    assert "00" == await _refund(counter, payment, 10_000)
    assert [Notice("order.cancelled", "O1", "04", 10_000)] == counter.notices[told:]
    assert (("04", None, None), NOTHING) == (_row(counter), counter.money)
    assert State.REFUNDED == counter.state(payment)
    assert ["61", "12", "12"] == [
        await _refund(counter, payment, 1),
        await counter.cancel(payment),
        await _confirm(counter, payment),
    ]
    undone = await counter.reverse(counter.order_origin(10_000, stan=payment.stan))
    assert ("00", NOTHING) == (undone.response_code, counter.money)
    counter.books.rows.events.clear()
    query = OrderQueried(counter.order_origin(), "O1")
    assert "00" == answered(await order_query(counter.ports, query)).response_code
    assert "00" == answered((await counter.pay("O1"))[0]).response_code


@pytest.mark.parametrize("days", [0, 1])
async def test_what_was_refunded_in_part_is_not_cancelled(counter: Counter, days: int) -> None:
    """12, by void or by refund: it would give back more than is left. No bank is asked."""
    payment = await _paid(counter)
    assert "00" == await _refund(counter, payment, 100)
    before = counter.money, len(counter.banks.sent), len(counter.notices)
    counter.clock.at_ms += days * DAY_MS
    assert "12" == await counter.cancel(payment)
    assert before == (counter.money, len(counter.banks.sent), len(counter.notices))
    assert (("02", None, payment.id), None) == (
        _row(counter),
        counter.books.rows.entries[payment.id].claimed_by,
    )


async def test_what_was_refunded_in_part_is_not_reversed(counter: Counter) -> None:
    """12, although nobody has confirmed it."""
    payment = await _paid(counter, OrderStatus.PAID)
    assert "00" == await _refund(counter, payment, 100)
    before = counter.money
    undone = await counter.reverse(counter.order_origin(10_000, stan=payment.stan))
    assert ("12", before) == (undone.response_code, counter.money)
    assert "00" == await _confirm(counter, payment)


@pytest.mark.parametrize("parts", [[100], [4_000, 6_000]])
@pytest.mark.parametrize("known", ["00", "25"])
async def test_what_was_refunded_stands_though_nobody_confirms_it(
    counter: Counter, parts: list[int], known: str
) -> None:
    """Whatever the rule says, and the bank: what has gone back of it goes back once."""
    payment = await _paid(counter, OrderStatus.PAID)
    for amount_minor in parts:
        assert "00" == await _refund(counter, payment, amount_minor)
    before = counter.money
    counter.banks.outcomes = [replied("00", DE48="00") if known == "00" else replied(known)]
    counter.clock.at_ms += 7_200_000
    await look(counter.ports, OrderSettings(decide_after_s=3600, unconfirmed="reverse"))
    assert ("02", None, payment.id) == _row(counter)
    assert (before, "order.payment_confirmed") == (counter.money, counter.notices[-1].type)


@pytest.mark.parametrize("amount_minor", [100, 10_000])
async def test_what_the_bank_refuses_leaves_the_order_paid(
    counter: Counter, amount_minor: int
) -> None:
    """Its code; nothing is told, nothing held, and the order may be cancelled."""
    payment = await _paid(counter)
    told = len(counter.notices)
    counter.banks.outcomes = [replied("05"), replied("00")]
    assert "05" == await _refund(counter, payment, amount_minor)
    assert (("02", None, payment.id), SOLD, NOTHING) == (
        _row(counter),
        counter.money,
        counter.held,
    )
    assert told == len(counter.notices)
    assert "00" == await counter.cancel(payment)


@pytest.mark.parametrize("outcome", [NoReply(), NotSent("link down"), replied("96")])
@pytest.mark.parametrize(
    ("amount_minor", "told"), [(100, "order.refunded"), (10_000, "order.cancelled")]
)
async def test_without_an_answer_it_stands_and_is_owed(
    counter: Counter, outcome: Any, amount_minor: int, told: str
) -> None:
    """00, the bank is told until it takes it, and the merchant at once."""
    payment = await _paid(counter)
    counter.banks.outcomes = [outcome]
    command = _asked(counter, payment, amount_minor)
    assert "00" == await code_of(refund(counter.ports, command))
    assert [Owed(BankMessage.REFUND, counter.entry(command.origin).id, "98")] == counter.owed
    assert (told, None) == (counter.notices[-1].type, _row(counter)[1])
    assert ["saf", "events"] == counter.told[-2:]


async def test_a_signature_meanwhile_is_what_the_notice_says(counter: Counter) -> None:
    """A part holds nothing: what is told is the status that the order has then."""
    payment = await _paid(counter)

    async def sign() -> None:
        assert "00" == await _sign(counter, payment)

    counter.banks.meanwhile = sign
    assert "00" == await _refund(counter, payment, 100)
    assert ("order.refunded", "03") == counter.notices[-1][0:3:2]
    assert ("03", None, payment.id) == _row(counter)


async def test_whoever_comes_between_the_look_and_the_commit(counter: Counter) -> None:
    """The order changes as commit 2 is made: it is looked at again."""
    payment = await _paid(counter)
    counter.books.meanwhile = [lambda: None, lambda: _move(counter, OrderStatus.SIGNED_FOR)]
    assert "00" == await _refund(counter, payment, 100)
    assert Notice("order.refunded", "O1", "03", 100) == counter.notices[-1]


def _move(counter: Counter, status: str) -> None:
    order = counter.order("O1")
    before = (order.status, order.paying_id, order.payment_id)
    counter.books.apply(
        UpdateOrder(order.merchant_id, "O1", before, (status, order.paying_id, order.payment_id))
    )


async def test_the_whole_amount_holds_the_order(counter: Counter) -> None:
    """While the bank is asked it is neither cancelled (94) nor paid, and nobody signs."""
    payment = await _paid(counter)
    codes: list[str] = []

    async def meanwhile() -> None:
        counter.banks.meanwhile = _nothing
        codes.append(await counter.cancel(payment))
        codes.append((await counter.pay("O1"))[0].response_code)
        assert counter.order("O1").paying_id is not None

    counter.banks.meanwhile = meanwhile
    assert "00" == await _refund(counter, payment, 10_000)
    assert (["94", "94"], ("04", None, None)) == (codes, _row(counter))
    assert NOTHING == counter.money


async def _nothing() -> None:
    pass


@pytest.mark.parametrize(
    ("amount_minor", "notice", "row"),
    [
        (100, Notice("order.refunded", "O1", "02", 100), ("02", None)),
        (10_000, Notice("order.cancelled", "O1", "04", 10_000), ("04", None)),
    ],
)
async def test_one_whose_process_died_stands_with_its_notice(
    counter: Counter, amount_minor: int, notice: Notice, row: tuple[str, None]
) -> None:
    """Recovery ends it as it would have ended without the bank's answer."""
    payment = await _paid(counter)
    command = _asked(counter, payment, amount_minor)

    async def die() -> None:
        raise BookUnavailable("killed")

    counter.banks.meanwhile = die
    with pytest.raises(BookUnavailable):
        await refund(counter.ports, command)
    entry = counter.entry(command.origin)
    assert (State.SENT, "order.payment_confirmed") == (entry.state, counter.notices[-1].type)
    assert None is await counter.books.commit(*await undo_steps(counter.ports, entry, "98", 0))
    assert (notice, row) == (counter.notices[-1], _row(counter)[:2])
    assert [Owed(BankMessage.REFUND, entry.id, "98")] == counter.owed
    assert None is counter.books.rows.entries[payment.id].claimed_by


async def test_cash_and_several_orders_in_one_swipe_are_not_refunded(counter: Counter) -> None:
    """12: cash goes back by hand; of one swipe for several, each order is cancelled by itself."""
    counter.owes("O1")
    _, cash = await counter.pay("O1", means=Means.CASH)
    assert "12" == await _refund(counter, cash, 100)
    counter.owes("O2")
    counter.owes("O3")
    _, group = await counter.pay("O2", 20_000, further=("O3",))
    assert "12" == await _refund(counter, group, 100)
    share = next(entry for entry in counter.entries if entry.kind is Kind.ORDER_SHARE)
    assert "12" == await _refund(counter, share, 100)
    assert 1 == len(counter.banks.sent)


async def test_a_cancelled_order_is_not_refunded(counter: Counter) -> None:
    """12, voided or refunded, confirmed as cancelled or not; 12 too while it was never paid."""
    payment = await _paid(counter)
    assert "00" == await counter.cancel(payment)
    assert "12" == await _refund(counter, payment, 100)
    counter.owes("O2")
    counter.banks.outcomes = [replied("51"), replied("00")]
    _, declined = await counter.pay("O2")
    assert "12" == await _refund(counter, declined, 100)
    assert BankMessage.REFUND not in kinds_of(counter.banks.sent)


async def _part(counter: Counter) -> Entry:
    """An order of 100.00 with a part of 40.00 that is paid and confirmed."""
    counter.owes("O1")
    counter.orders.opens = counter.owes("O1/1", 4_000, part_of="O1")
    query = OrderQueried(counter.order_origin(), "O1", part_minor=4_000)
    answered(await order_query(counter.ports, query))
    _, payment = await counter.pay("O1/1", 4_000)
    assert "00" == await _confirm(counter, payment)
    return payment


async def test_a_part_of_an_order_is_refunded_as_an_order(counter: Counter) -> None:
    """Some of it leaves it paid; all of it at once gives it back to its order."""
    payment = await _part(counter)
    assert "00" == await _refund(counter, payment, 1_000)
    assert ("02", None, payment.id) == _row(counter, "O1/1")
    other = await _part_again(counter)
    changes = counter.order("O1").changes
    assert "00" == await _refund(counter, other, 4_000)
    assert (("04", None, None), True) == (
        _row(counter, "O1/2"),
        counter.order("O1").changes > changes,
    )


async def _part_again(counter: Counter) -> Entry:
    counter.books.rows.events.clear()
    counter.owes("O1", 6_000)
    counter.orders.opens = counter.owes("O1/2", 4_000, part_of="O1")
    query = OrderQueried(counter.order_origin(), "O1", part_minor=4_000)
    answered(await order_query(counter.ports, query))
    _, payment = await counter.pay("O1/2", 4_000)
    assert "00" == await _confirm(counter, payment)
    return payment


async def test_once_the_order_is_signed_for_its_parts_are_not_given_back(counter: Counter) -> None:
    """12 for all of a part at once, which would open the order again; some of it goes back."""
    payment = await _part(counter)
    _move(counter, OrderStatus.SIGNED_FOR)
    assert "12" == await _refund(counter, payment, 4_000)
    assert "00" == await _refund(counter, payment, 3_999)
    assert ("02", None, payment.id) == _row(counter, "O1/1")
