"""Cancellation, the handler alone: money goes back once, by void, by refund or from the hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from counter import (
    IN_CASH,
    NOTHING,
    OTHER_TERMINAL,
    PAN,
    SOLD,
    TERMINAL,
    Counter,
    Notice,
    code_of,
    reversal_of,
)
from origins import MERCHANT
from ports import kinds_of, replied

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.order_codes import Means
from acquirer.config.business import CourierSettings, OrderTypeSettings
from acquirer.ledger.errors import BookUnavailable
from acquirer.ledger.journal.entries import (
    Entry,
    OrderRow,
    State,
)
from acquirer.ledger.journal.steps import (
    PutOrder,
    UpdateEntry,
    UpdateOrder,
)
from acquirer.payments.kernel.commands import Repeat
from acquirer.payments.orders.cancellation import order_cancellation
from acquirer.payments.orders.types import OrderTypes
from acquirer.routing.outcomes import BankOutcome, NoReply, NotSent

pytestmark = pytest.mark.anyio

DAY_MS = 86_400_000
CANCELLED = Notice("order.cancelled", "O1", "04", 10_000)


async def _paid(counter: Counter, means: Means = Means.CARD, amount_minor: int = 10_000) -> Entry:
    counter.owes("O1", amount_minor)
    return (await counter.pay("O1", amount_minor, means))[1]


# --- by void ----------------------------------------------------------------------------------


async def test_a_card_payment_of_the_day_is_voided(counter: Counter) -> None:
    """By the payment's own numbers and the card that was kept; the merchant is told."""
    payment = await _paid(counter)
    command = counter.cancellation(payment)
    assert "00" == await code_of(order_cancellation(counter.ports, command))
    entry = counter.entry(command.origin)
    assert (State.APPROVED, State.VOIDED) == (entry.state, counter.state(payment))
    assert (NOTHING, [], [CANCELLED]) == (counter.money, counter.owed, counter.notices[1:])
    order = counter.order("O1")
    assert ("04", None, payment.id) == (order.status, order.paying_id, order.payment_id)
    asked = counter.banks.sent[-1]
    assert asked.original is not None
    assert (BankMessage.VOID, PAN, 10_000, payment.bank_stan) == (
        asked.kind,
        asked.pan,
        asked.amount_minor,
        asked.original.stan,
    )
    assert isinstance(await order_cancellation(counter.ports, command), Repeat)
    assert 2 == len(counter.banks.sent)


@pytest.mark.parametrize(
    ("outcome", "code", "state"),
    [
        (replied("05"), "05", State.DECLINED),
        (replied("51"), "51", State.DECLINED),
        (replied("A0"), "96", State.DECLINED),
        (NotSent("link down"), "91", State.REFUSED),
        (NotSent("format"), "96", State.REFUSED),
    ],
)
async def test_a_void_that_is_not_done_leaves_the_order_paid(
    counter: Counter, outcome: BankOutcome, code: str, state: State
) -> None:
    """Neither held nor claimed: it may be cancelled again."""
    payment = await _paid(counter)
    counter.banks.outcomes = [outcome, replied("00")]
    command = counter.cancellation(payment)
    assert code == await code_of(order_cancellation(counter.ports, command))
    assert (state, State.APPROVED) == (counter.entry(command.origin).state, counter.state(payment))
    assert (SOLD, [], 1) == (counter.money, counter.owed, len(counter.notices))
    assert "01" == counter.order("O1").status
    assert "00" == await counter.cancel(payment)
    assert NOTHING == counter.money


@pytest.mark.parametrize("outcome", [NoReply(), replied("ZZ"), replied("68")])
async def test_a_void_in_doubt_is_itself_undone(counter: Counter, outcome: BankOutcome) -> None:
    """98: paid as before, and no second void or refund until the bank has undone the first."""
    payment = await _paid(counter)
    counter.banks.outcomes = [outcome, replied("00")]
    command = counter.cancellation(payment)
    assert "98" == await code_of(order_cancellation(counter.ports, command))
    entry = counter.entry(command.origin)
    assert (State.TIMED_OUT, SOLD, [reversal_of(entry)]) == (
        entry.state,
        counter.money,
        counter.owed,
    )
    order = counter.order("O1")
    assert ("01", None, payment.id) == (order.status, order.paying_id, order.payment_id)
    assert ("91", "91") == (
        await counter.cancel(payment),
        await counter.cancel(payment, now_ms=counter.clock.at_ms + DAY_MS),
    )
    assert (SOLD, [BankMessage.SALE, BankMessage.VOID]) == (
        counter.money,
        kinds_of(counter.banks.sent),
    )


async def test_a_cancellation_that_recovery_took_over_settles_nothing(counter: Counter) -> None:
    """94; the money stays, and the order is held until recovery has ended it."""
    payment = await _paid(counter)

    async def take() -> None:
        entry = counter.entries[-1]
        assert not counter.books.apply(UpdateEntry(entry.id, (State.SENT,), new_owner="other#1.0"))

    counter.banks.meanwhile = take
    for outcome in (replied("00"), replied("12")):
        counter.banks.outcomes = [outcome]
        code = await counter.cancel(payment)
        assert ("94", SOLD, []) == (code, counter.money, counter.owed)
        counter = Counter()
        payment = await _paid(counter)
        counter.banks.meanwhile = take


# --- from the hand ----------------------------------------------------------------------------


async def test_cash_goes_back_from_the_couriers_hand(counter: Counter) -> None:
    """At once, of whatever day; no bank is asked."""
    payment = await _paid(counter, Means.CASH)
    counter.clock.at_ms += DAY_MS
    command = counter.cancellation(payment)
    assert "00" == await code_of(order_cancellation(counter.ports, command))
    assert (NOTHING, [], [CANCELLED]) == (counter.money, counter.owed, counter.notices[1:])
    assert (State.VOIDED, "04") == (counter.state(payment), counter.order("O1").status)
    assert isinstance(await order_cancellation(counter.ports, command), Repeat)
    assert ("12", []) == (await counter.cancel(payment), counter.banks.sent)


async def test_an_order_with_nothing_to_pay_is_cancelled(counter: Counter) -> None:
    """No money moves."""
    payment = await _paid(counter, Means.NONE, 0)
    assert "00" == await counter.cancel(payment)
    assert (NOTHING, State.VOIDED, "04") == (
        counter.money,
        counter.state(payment),
        counter.order("O1").status,
    )


# --- refusals ---------------------------------------------------------------------------------


async def _refused(counter: Counter, code: str, payment: Entry, **changes: Any) -> None:
    """A cancellation is refused, recorded, and changes nothing."""
    before = counter.money, counter.owed, counter.notices, dict(counter.books.rows.orders)
    asked = len(counter.banks.sent)
    command = counter.cancellation(payment, **changes)
    assert code == await code_of(order_cancellation(counter.ports, command))
    entry = counter.entry(command.origin)
    assert (State.REFUSED, code, asked) == (
        entry.state,
        entry.response_code,
        len(counter.banks.sent),
    )
    after = counter.money, counter.owed, counter.notices, dict(counter.books.rows.orders)
    assert before == after


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("25", {"rrn": "000000000000"}),
        ("25", {"order_no": "O2"}),
        ("61", {"amount_minor": 10_001}),
        ("13", {"amount_minor": 9_999}),
        ("58", {"courier_id": "C9"}),
    ],
)
@pytest.mark.parametrize("means", [Means.CARD, Means.CASH])
async def test_a_cancellation_that_names_the_payment_wrongly_is_refused(
    counter: Counter, means: Means, code: str, changes: dict[str, Any]
) -> None:
    """The order stays paid; with the right data it is cancelled."""
    payment = await _paid(counter, means)
    await _refused(counter, code, payment, **changes)
    assert "00" == await counter.cancel(payment)
    assert NOTHING == counter.money


async def test_another_terminal_cannot_cancel(counter: Counter) -> None:
    """58 without a courier there; with one 25, for it names a payment of its own."""
    payment = await _paid(counter)
    await _refused(counter, "58", payment, terminal_id=OTHER_TERMINAL, courier_id="")
    counter.sign_on("C1", OTHER_TERMINAL)
    await _refused(counter, "25", payment, terminal_id=OTHER_TERMINAL)


async def test_a_courier_who_was_dismissed_gives_nothing_back(counter: Counter) -> None:
    """58, though the books still have him signed on; whoever else is signed on there may."""
    payment = await _paid(counter, Means.CASH)
    successor = CourierSettings("C2", MERCHANT.merchant_id, "")
    stranger = CourierSettings("C0", "M2", "")
    counter.business = Counter(couriers={"C2": successor, "C0": stranger}).business
    counter.sign_on("C0", TERMINAL)
    await _refused(counter, "58", payment, courier_id="C1")
    await _refused(counter, "58", payment, courier_id="")
    counter.sign_on("C2", TERMINAL)
    assert ("00", NOTHING) == (await counter.cancel(payment, courier_id=""), counter.money)
    assert "C2" == counter.entries[-1].courier_id


@pytest.mark.parametrize("status", ["03", "04"])
async def test_an_order_that_is_over_is_not_cancelled(counter: Counter, status: str) -> None:
    """12, once it is signed for or cancelled."""
    payment = await _paid(counter)
    move = UpdateOrder("M1", "O1", ("01", None, payment.id), (status, None, payment.id))
    counter.books.apply(move)
    await _refused(counter, "12", payment)


async def test_a_confirmed_order_is_cancelled(counter: Counter) -> None:
    """Its payment can no longer be reversed, but undone it can be."""
    payment = await _paid(counter)
    move = UpdateOrder("M1", "O1", ("01", None, payment.id), ("02", None, payment.id))
    counter.books.apply(move)
    assert ("00", NOTHING) == (await counter.cancel(payment), counter.money)


async def test_a_payment_that_was_undone_is_not_cancelled(counter: Counter) -> None:
    """12: reversed, or of an order that another one pays now."""
    payment = await _paid(counter)
    await counter.reverse(counter.origin(10_000, stan=payment.stan))
    await _refused(counter, "12", payment)
    await counter.pay("O1", means=Means.CASH)
    await _refused(counter, "12", payment)
    assert IN_CASH == counter.money


async def test_an_order_that_is_held_is_not_cancelled(counter: Counter) -> None:
    """94 while another cancellation is at the bank."""
    payment = await _paid(counter)
    codes: list[str] = []

    async def cancel() -> None:
        codes.append(await counter.cancel(payment))

    counter.banks.meanwhile = cancel
    assert "00" == await counter.cancel(payment)
    assert (["94"], NOTHING, [CANCELLED]) == (codes, counter.money, counter.notices[1:])


async def test_what_cannot_reach_the_bank_is_not_cancelled(counter: Counter) -> None:
    """91 where it is down or not configured any more, A7 where the card does not open."""
    payment = await _paid(counter)
    counter.banks.up = False
    await _refused(counter, "91", payment)
    counter.banks.up = True
    counter.books.rows.entries[payment.id] = replace(payment, bank="gone")
    await _refused(counter, "91", payment)
    assert payment.card is not None
    card = replace(payment.card, pan_cipher=bytes(44))
    counter.books.rows.entries[payment.id] = replace(payment, card=card)
    await _refused(counter, "A7", payment)
    await _refused(counter, "A7", payment, now_ms=counter.clock.at_ms + DAY_MS)


async def test_a_payment_is_cancelled_within_its_time() -> None:
    """12 once it is older than the kind of order allows."""
    counter = Counter(order_types=OrderTypes([OrderTypeSettings("bill", cancel_within_s=60)]))
    payment = await _paid(counter)
    counter.clock.at_ms += 60_001
    await _refused(counter, "12", payment)
    counter.clock.at_ms -= 1
    assert "00" == await counter.cancel(payment)


async def test_a_part_of_an_order_that_was_signed_for_is_not_cancelled(counter: Counter) -> None:
    """12: the whole is with the customer."""
    whole = OrderRow("M1", "O", "00", 10_000, "156", "123", "", 0)
    part = replace(whole, order_no="O1", part_of="O")
    counter.books.apply(PutOrder(whole), PutOrder(part))
    counter.owes("O1", part_of="O")
    _, payment = await counter.pay("O1")
    signed = UpdateOrder("M1", "O", ("00", None, None), ("03", None, None))
    assert counter.books.apply(signed) is None
    await _refused(counter, "12", payment)


@pytest.mark.parametrize("means", [Means.CARD, Means.CASH])
async def test_a_signature_that_comes_first_wins(counter: Counter, means: Means) -> None:
    """Between read and commit: 12, and no money goes back."""
    payment = await _paid(counter, means)
    sign = UpdateOrder("M1", "O1", ("01", None, payment.id), ("03", None, payment.id))
    counter.books.meanwhile = [lambda: counter.books.apply(sign)]
    before = counter.money
    assert ("12", before) == (await counter.cancel(payment), counter.money)
    assert (1, []) == (len(counter.notices), counter.owed)


@pytest.mark.parametrize("means", [Means.CARD, Means.CASH])
async def test_what_cannot_be_recorded_gives_nothing_back(counter: Counter, means: Means) -> None:
    """Commit 1 fails: no bank is asked, and the order stays paid."""

    def fail() -> None:
        raise BookUnavailable("full")

    payment = await _paid(counter, means)
    asked, before = len(counter.banks.sent), counter.money
    counter.books.meanwhile = [fail]
    with pytest.raises(BookUnavailable):
        await counter.cancel(payment)
    assert (asked, before, "01") == (
        len(counter.banks.sent),
        counter.money,
        counter.order("O1").status,
    )
