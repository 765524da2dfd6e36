"""The order payment's handler alone: who may pay what, in which way, and what becomes of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from counter import (
    CARD,
    IN_CASH,
    NOTHING,
    OTHER_TERMINAL,
    PAN,
    SOLD,
    Counter,
    Notice,
    code_of,
    named,
    reversal_of,
)
from origins import BANK
from ports import kinds_of, replied

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.order_codes import Means
from acquirer.config.business import CourierSettings, OrderTypeSettings
from acquirer.ledger.errors import BookUnavailable
from acquirer.ledger.journal.entries import (
    State,
)
from acquirer.ledger.journal.steps import (
    UpdateEntry,
    UpdateOrder,
)
from acquirer.payments.kernel.commands import Repeat
from acquirer.payments.kernel.errors import InvalidCommand
from acquirer.payments.orders.confirmation import PaymentConfirmed, payment_confirmation
from acquirer.payments.orders.exception import OrderNotDelivered, order_exception
from acquirer.payments.orders.payment import OrderPaymentRequested, order_payment
from acquirer.payments.orders.types import OrderTypes
from acquirer.routing.banks.choice import RouteRule, route_table
from acquirer.routing.orders.client import (
    OrderReply,
    OrderSystemDown,
    OrderSystemSilent,
    UnknownOrder,
)
from acquirer.routing.outcomes import BankOutcome, NoReply, NotSent

pytestmark = pytest.mark.anyio

PAID = Notice("order.paid", "O1", "01", 10_000)


async def test_a_payment_by_card_pays_its_order(counter: Counter) -> None:
    """Posted as a sale; the order is paid by it, and the merchant is told."""
    counter.owes("O1")
    answer, entry = await counter.pay("O1")
    assert ("00", "A12345") == (answer.response_code, answer.reply.approval_code)
    assert (State.APPROVED, "O1", "C1") == (entry.state, entry.order_no, entry.courier_id)
    assert (SOLD, [], [PAID]) == (counter.money, counter.owed, counter.notices)
    order = counter.order("O1")
    assert ("01", None, entry.id) == (order.status, order.paying_id, order.payment_id)
    (asked,) = counter.banks.sent
    assert (BankMessage.SALE, PAN, 10_000) == (asked.kind, asked.pan, asked.amount_minor)


async def test_a_payment_in_cash_is_the_couriers_to_owe(counter: Counter) -> None:
    """No bank is asked; what he has in hand is the merchant's."""
    counter.owes("O1")
    answer, entry = await counter.pay("O1", means=Means.CASH)
    assert ("00", State.APPROVED) == (answer.response_code, entry.state)
    assert (IN_CASH, [], [PAID]) == (counter.money, counter.owed, counter.notices)
    assert ([], entry.id) == (counter.banks.sent, counter.order("O1").payment_id)


@pytest.mark.parametrize("amount_minor", [0, None])
async def test_an_order_with_nothing_to_pay_is_handed_over(
    counter: Counter, amount_minor: int | None
) -> None:
    """No money moves; the order counts as paid, and may be confirmed."""
    counter.owes("O1", 0)
    answer, entry = await counter.pay("O1", amount_minor, Means.NONE)
    assert ("00", NOTHING, []) == (answer.response_code, counter.money, counter.banks.sent)
    assert ("01", entry.id) == (counter.order("O1").status, counter.order("O1").payment_id)
    assert [Notice("order.paid", "O1", "01", 0)] == counter.notices


async def _refused(counter: Counter, code: str, order_no: str = "O1", **payment: Any) -> None:
    """A payment is refused with a code, recorded, and moves nothing."""
    before = counter.money, counter.owed, counter.notices, dict(counter.books.rows.orders)
    answer, entry = await counter.pay(order_no, **payment)
    assert (code, State.REFUSED, code) == (
        answer.response_code,
        entry.state,
        entry.response_code,
    )
    after = counter.money, counter.owed, counter.notices, dict(counter.books.rows.orders)
    assert before == after


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (UnknownOrder(), "25"),
        (OrderSystemDown("gone"), "91"),
        (OrderSystemSilent(), "68"),
    ],
)
@pytest.mark.parametrize("means", [Means.CARD, Means.CASH, Means.NONE])
async def test_an_order_that_cannot_be_had_is_not_paid(
    counter: Counter, reply: OrderReply, code: str, means: Means
) -> None:
    """25, 91 or 68, in every way of paying."""
    counter.orders.facts["O1"] = reply
    await _refused(counter, code, means=means)
    assert [] == counter.banks.sent


async def test_an_order_in_another_currency_is_not_paid(counter: Counter) -> None:
    """91: at its word it would be paid in the merchant's own; 64 where the terminal says it."""
    counter.owes("O1", currency_code="840")
    await _refused(counter, "91")
    reason = "another currency than the merchant's"
    fault = OrderSystemDown(reason, "currency_code", '"840"')
    assert [("M1", "O1", "query", fault)] == counter.orders.faults
    counter.owes("O1")
    await _refused(counter, "64", currency_code="840")
    await _refused(counter, "64", means=Means.CASH, currency_code="840")


@pytest.mark.parametrize("means", [Means.CARD, Means.CASH, Means.NONE])
async def test_a_courier_must_be_signed_on_at_the_terminal(counter: Counter, means: Means) -> None:
    """58 at another one, for nobody's courier and for another merchant's."""
    counter.owes("O1")
    await _refused(counter, "58", means=means, terminal_id=OTHER_TERMINAL)
    await _refused(counter, "58", means=means, courier_id="C9")
    theirs = CourierSettings("C2", "M2", "")
    counter.business = Counter(couriers={"C2": theirs}).business
    counter.sign_on("C2", "10000001")
    await _refused(counter, "58", means=means, courier_id="C2")


async def test_cash_needs_somebody_who_takes_it(counter: Counter) -> None:
    """58 where no courier is named; by card an order is paid without one."""
    counter.owes("O1")
    await _refused(counter, "58", means=Means.CASH, courier_id="")
    assert "00" == (await counter.pay("O1", courier_id=""))[0].response_code


@pytest.mark.parametrize("means", [Means.CARD, Means.CASH])
@pytest.mark.parametrize("amount_minor", [None, 0, 9_999, 10_001])
async def test_another_amount_than_is_due_is_refused(
    counter: Counter, means: Means, amount_minor: int | None
) -> None:
    """64."""
    counter.owes("O1")
    await _refused(counter, "64", amount_minor=amount_minor, means=means)


@pytest.mark.parametrize("means", [Means.CARD, Means.CASH])
async def test_nothing_cannot_be_paid_with_money(counter: Counter, means: Means) -> None:
    """13."""
    counter.owes("O1", 0)
    await _refused(counter, "13", amount_minor=0, means=means)


async def test_something_cannot_be_paid_with_nothing(counter: Counter) -> None:
    """64, where the terminal names another amount than is due."""
    counter.owes("O1")
    await _refused(counter, "64", amount_minor=0, means=Means.NONE)


@pytest.mark.parametrize(
    ("means", "ways"),
    [(Means.CARD, "23"), (Means.CASH, "13"), (Means.NONE, "12"), (Means.CARD, "")],
)
async def test_a_way_that_the_merchant_does_not_take_is_refused(
    counter: Counter, means: Means, ways: str
) -> None:
    """57."""
    amount_minor = 0 if means is Means.NONE else 10_000
    counter.owes("O1", amount_minor, pay_ways=ways)
    await _refused(counter, "57", amount_minor=amount_minor, means=means)


@pytest.mark.parametrize("means", [Means.CARD, Means.CASH])
async def test_a_paid_order_is_not_paid_again(counter: Counter, means: Means) -> None:
    """94 with the first payment's reference number, also once it is confirmed."""
    counter.owes("O1")
    _, first = await counter.pay("O1")
    for _ in range(2):
        answer, _ = await counter.pay("O1", means=means)
        assert ("94", first.rrn) == (answer.response_code, answer.reply.rrn)
        confirmed = PaymentConfirmed(counter.order_origin(), "O1", named(first))
        assert "00" == await code_of(payment_confirmation(counter.ports, confirmed))
    assert (SOLD, 1) == (counter.money, len(counter.banks.sent))


async def test_an_order_that_is_being_paid_is_not_paid(counter: Counter) -> None:
    """94 without reference number: nobody knows yet how the first will end."""
    counter.owes("O1")
    answers = []

    async def pay() -> None:
        answers.append((await counter.pay("O1", means=Means.CASH))[0])

    counter.banks.meanwhile = pay
    answer, _ = await counter.pay("O1")
    assert "00" == answer.response_code
    assert [("94", "")] == [(one.response_code, one.reply.rrn) for one in answers]
    assert (SOLD, [PAID]) == (counter.money, counter.notices)


@pytest.mark.parametrize("means", [Means.CARD, Means.CASH])
async def test_who_comes_first_pays(counter: Counter, means: Means) -> None:
    """Another pays between this one's read and its commit: 94, and no bank is asked."""
    counter.owes("O1")
    firsts = []

    async def pay() -> None:
        firsts.append((await counter.pay("O1", means=Means.CASH))[1])

    counter.books.meanwhile = [pay]
    answer, _ = await counter.pay("O1", means=means)
    assert ("94", firsts[0].rrn) == (answer.response_code, answer.reply.rrn)
    assert (IN_CASH, []) == (counter.money, counter.banks.sent)


@pytest.mark.parametrize(
    ("outcome", "code", "state"),
    [
        (replied("51"), "51", State.DECLINED),
        (replied("A0"), "96", State.DECLINED),
        (NotSent("link down"), "91", State.REFUSED),
        (NotSent("format"), "96", State.REFUSED),
        (NoReply(), "98", State.TIMED_OUT),
        (replied("ZZ"), "98", State.TIMED_OUT),
    ],
)
async def test_a_payment_that_the_bank_does_not_approve_lets_go_of_the_order(
    counter: Counter, outcome: BankOutcome, code: str, state: State
) -> None:
    """To pay as before, by whatever means; what is in doubt is owed its reversal."""
    counter.owes("O1")
    counter.banks.outcomes = [outcome]
    answer, entry = await counter.pay("O1")
    assert (code, state, NOTHING, []) == (
        answer.response_code,
        entry.state,
        counter.money,
        counter.notices,
    )
    assert counter.owed == ([reversal_of(entry)] if state is State.TIMED_OUT else [])
    order = counter.order("O1")
    assert ("00", None, None) == (order.status, order.paying_id, order.payment_id)
    assert "00" == (await counter.pay("O1", means=Means.CASH))[0].response_code
    assert IN_CASH == counter.money


async def test_a_card_is_refused_before_anything_is_held(counter: Counter) -> None:
    """A PIN in another form 99, a field without room 30, a bank that is down 91, no route 92."""
    counter.owes("O1")
    unfit = msgspec.structs.replace(CARD, is_pin_unfit=True)
    await _refused(counter, "99", card=unfit)
    counter.banks.unfit_field = 55
    await _refused(counter, "30")
    counter.banks.unfit_field, counter.banks.up = None, False
    await _refused(counter, "91")
    counter.business = Counter(routes=route_table([RouteRule(BANK, bins=["4"])], [BANK])).business
    await _refused(counter, "92")
    assert [] == counter.banks.sent


async def test_a_payment_by_card_without_card_is_no_command(counter: Counter) -> None:
    """Whoever asked must ask otherwise; nothing is recorded."""
    counter.owes("O1")
    with pytest.raises(InvalidCommand):
        await counter.pay("O1", card=None)
    assert [] == counter.entries


@pytest.mark.parametrize("keyed", [(), ("7",), ("7", " "), ("7", "8", "9")])
async def test_what_the_merchant_asks_for_must_be_keyed_in(keyed: tuple[str, ...]) -> None:
    """One value for each name, none empty; then it goes to the merchant."""
    types = OrderTypes([OrderTypeSettings("utility", ask=["meter", "room"])])
    counter = Counter(order_types=types)
    counter.owes("O1")
    with pytest.raises(InvalidCommand):
        await counter.pay("O1", keyed=keyed)
    assert [] == counter.entries
    assert "00" == (await counter.pay("O1", keyed=("7", "8")))[0].response_code
    (event,) = counter.books.rows.events.values()
    assert '"fields":{"meter":"7","room":"8"}' in event.body


async def test_a_repeat_pays_once(counter: Counter) -> None:
    """The number is taken, by card and in cash."""
    for number, means in enumerate((Means.CARD, Means.CASH)):
        counter.owes(f"O{number}")
        origin = counter.order_origin(10_000, means)
        command = OrderPaymentRequested(origin, f"O{number}", means, card=CARD)
        assert "00" == await code_of(order_payment(counter.ports, command))
        before = counter.money
        counter.owes(f"P{number}")
        again = msgspec.structs.replace(command, order_no=f"P{number}")
        assert isinstance(await order_payment(counter.ports, again), Repeat)
        assert (before, 1) == (counter.money, len(counter.banks.sent))


@pytest.mark.parametrize(("reason", "code"), [("02", "12"), ("06", "00")])
async def test_an_order_that_was_not_delivered_is_paid_only_if_rescheduled(
    counter: Counter, reason: str, code: str
) -> None:
    """12, unless its newest exception says "rescheduled"."""
    counter.owes("O1")
    told = OrderNotDelivered(counter.order_origin(), "O1", reason)
    assert "00" == await code_of(order_exception(counter.ports, told))
    amount_minor = 10_000
    if code == "12":
        await _refused(counter, code, amount_minor=amount_minor)
    else:
        assert code == (await counter.pay("O1"))[0].response_code
        assert SOLD == counter.money


@pytest.mark.parametrize("status", ["04", "05"])
async def test_an_order_that_is_over_is_not_paid(counter: Counter, status: str) -> None:
    """12, cancelled or not to be delivered."""
    counter.owes("O1", status=status)
    await _refused(counter, "12")


async def test_a_payment_that_is_reversed_while_at_the_bank_pays_nothing(
    counter: Counter,
) -> None:
    """94 instead of 00; the order is to pay, nothing posted, one reversal owed."""
    counter.owes("O1")
    origin = counter.order_origin(10_000)

    async def reverse() -> None:
        assert "00" == (await counter.reverse(origin)).response_code

    counter.banks.meanwhile = reverse
    command = OrderPaymentRequested(origin, "O1", Means.CARD, card=CARD)
    assert "94" == await code_of(order_payment(counter.ports, command))
    entry, order = counter.entry(origin), counter.order("O1")
    assert (State.REVERSING, NOTHING, []) == (entry.state, counter.money, counter.notices)
    assert ([reversal_of(entry)], "00", None) == (counter.owed, order.status, order.paying_id)


async def test_a_payment_that_recovery_took_over_settles_nothing(counter: Counter) -> None:
    """94; order and entry are recovery's to end."""
    counter.owes("O1")

    async def take() -> None:
        (entry,) = counter.entries
        assert not counter.books.apply(UpdateEntry(entry.id, (State.SENT,), new_owner="other#1.0"))

    counter.banks.meanwhile = take
    answer, entry = await counter.pay("O1")
    assert ("94", State.SENT, NOTHING, []) == (
        answer.response_code,
        entry.state,
        counter.money,
        counter.notices,
    )
    assert entry.id == counter.order("O1").paying_id


async def test_an_order_that_was_let_go_meanwhile_is_not_paid(counter: Counter) -> None:
    """Whatever let go of the claim: no approval is shown, and nothing posted for the order."""
    counter.owes("O1")

    async def let_go() -> None:
        (entry,) = counter.entries
        free = UpdateOrder("M1", "O1", ("00", entry.id, None), ("00", None, None))
        assert counter.books.apply(free) is None

    counter.banks.meanwhile = let_go
    answer, _ = await counter.pay("O1")
    assert ("94", NOTHING, []) == (answer.response_code, counter.money, counter.notices)


@pytest.mark.parametrize("means", [Means.CARD, Means.CASH, Means.NONE])
async def test_what_cannot_be_recorded_pays_nothing(counter: Counter, means: Means) -> None:
    """Commit 1 fails: no bank is asked, no money owed, no order held."""

    def fail() -> None:
        raise BookUnavailable("full")

    amount_minor = 0 if means is Means.NONE else 10_000
    counter.owes("O1", amount_minor)
    counter.books.meanwhile = [fail]
    with pytest.raises(BookUnavailable):
        await counter.pay("O1", amount_minor, means)
    assert ([], NOTHING, {}) == (counter.entries, counter.money, counter.books.rows.orders)
    assert [] == kinds_of(counter.banks.sent)
