"""Cancellation, the handler alone: money goes back once, by void, by refund or from the hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from counter import (
    IN_CASH,
    NOTHING,
    OTHER_TERMINAL,
    PAN,
    PAYABLE,
    SCHEME,
    SOLD,
    TERMINAL,
    Counter,
    Notice,
    Owed,
    answered,
    code_of,
    named,
    reversal_of,
)
from origins import MERCHANT
from ports import kinds_of, replied

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.order_codes import Means
from acquirer.config.business import CourierSettings, OrderTypeSettings
from acquirer.ledger.accounts.postings import MDR_INCOME, merchant_debt_account
from acquirer.ledger.accounts.transfer_steps import Post, Posting
from acquirer.ledger.errors import BookUnavailable
from acquirer.ledger.journal.details import Refund
from acquirer.ledger.journal.entries import (
    Entry,
    OrderRow,
    PutOrder,
    Role,
    State,
    UpdateEntry,
    UpdateOrder,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.kernel.commands import Repeat
from acquirer.payments.orders.cancellation import OrderCancellationRequested, order_cancellation
from acquirer.payments.orders.types import OrderTypes
from acquirer.routing.outcomes import BankOutcome, NoReply, NotSent

pytestmark = pytest.mark.anyio

DEBT = merchant_debt_account(MERCHANT.merchant_id)
DAY_MS = 86_400_000
RETURNS_FEE = msgspec.structs.replace(MERCHANT, refund_fee="return")
KEEPS_FEE = msgspec.structs.replace(MERCHANT, refund_fee="keep")
CANCELLED = Notice("order.cancelled", "O1", "04", 10_000)
NEXT_DAY = "next day"


async def _paid(counter: Counter, means: Means = Means.CARD, amount_minor: int = 10_000) -> Entry:
    counter.owes("O1", amount_minor)
    return (await counter.pay("O1", amount_minor, means))[1]


def _cancel(counter: Counter, payment: Entry, **changes: Any) -> OrderCancellationRequested:
    fields = {name: changes.pop(name) for name in ("rrn", "order_no") if name in changes}
    usual = {"rrn": payment.rrn, "order_no": "O1"}
    return OrderCancellationRequested(
        counter.order_origin(**{"amount_minor": payment.amount_minor} | changes),
        payment=named(payment),
        **usual | fields,
    )


async def _cancelled(counter: Counter, payment: Entry, **changes: Any) -> str:
    command = _cancel(counter, payment, **changes)
    return await code_of(order_cancellation(counter.ports, command))


def _refund(counter: Counter) -> Entry:
    (found,) = [entry for entry in counter.entries if entry.kind is Kind.REFUND]
    return found


# --- by void ----------------------------------------------------------------------------------


async def test_a_card_payment_of_the_day_is_voided(counter: Counter) -> None:
    """By the payment's own numbers and the card that was kept; the merchant is told."""
    payment = await _paid(counter)
    command = _cancel(counter, payment)
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
    command = _cancel(counter, payment)
    assert code == await code_of(order_cancellation(counter.ports, command))
    assert (state, State.APPROVED) == (counter.entry(command.origin).state, counter.state(payment))
    assert (SOLD, [], 1) == (counter.money, counter.owed, len(counter.notices))
    assert "01" == counter.order("O1").status
    assert "00" == await _cancelled(counter, payment)
    assert NOTHING == counter.money


@pytest.mark.parametrize("outcome", [NoReply(), replied("ZZ"), replied("68")])
async def test_a_void_in_doubt_is_itself_undone(counter: Counter, outcome: BankOutcome) -> None:
    """98: paid as before, and no second void or refund until the bank has undone the first."""
    payment = await _paid(counter)
    counter.banks.outcomes = [outcome, replied("00")]
    command = _cancel(counter, payment)
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
        await _cancelled(counter, payment),
        await _cancelled(counter, payment, now_ms=counter.clock.at_ms + DAY_MS),
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
        code = await _cancelled(counter, payment)
        assert ("94", SOLD, []) == (code, counter.money, counter.owed)
        counter = Counter()
        payment = await _paid(counter)
        counter.banks.meanwhile = take


# --- by refund --------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["12", "21", "25", "40", "57"])
async def test_what_the_bank_does_not_void_is_refunded(counter: Counter, code: str) -> None:
    """00: a refund of its own with an advice to the bank; the payment keeps its effect."""
    payment = await _paid(counter)
    counter.banks.outcomes = [replied(code)]
    command = _cancel(counter, payment, merchant=RETURNS_FEE)
    assert "00" == await code_of(order_cancellation(counter.ports, command))
    refund = _refund(counter)
    assert (State.APPROVED, State.REFUNDED, State.APPROVED) == (
        counter.entry(command.origin).state,
        counter.state(payment),
        refund.state,
    )
    assert (10_000, payment.id, Role.REFUND, Refund(code, 120)) == (
        refund.amount_minor,
        refund.original_id,
        refund.role,
        refund.detail,
    )
    assert [Owed(BankMessage.REFUND, refund.id, code)] == counter.owed
    assert (NOTHING, [CANCELLED]) == (counter.money, counter.notices[1:])
    assert ("04", "12") == (counter.order("O1").status, await _cancelled(counter, payment))
    assert 2 == len(counter.banks.sent)


async def test_a_payment_of_an_earlier_day_is_refunded_without_a_question(
    counter: Counter,
) -> None:
    """The day is closed: the bank learns of it by the advice, whether or not it is up."""
    payment = await _paid(counter)
    counter.clock.at_ms += DAY_MS
    counter.banks.up = False
    assert "00" == await _cancelled(counter, payment, merchant=RETURNS_FEE)
    refund = _refund(counter)
    assert [Owed(BankMessage.REFUND, refund.id, "06")] == counter.owed
    assert (NOTHING, State.REFUNDED) == (counter.money, counter.state(payment))
    assert ([BankMessage.SALE], "12") == (
        kinds_of(counter.banks.sent),
        await _cancelled(counter, payment),
    )
    assert payment.business_date < refund.business_date


async def test_a_fee_that_we_keep_is_the_merchants_to_bear(counter: Counter) -> None:
    """What he is owed does not suffice then: the rest is his debt."""
    payment = await _paid(counter)
    counter.banks.outcomes = [replied("12")]
    assert "00" == await _cancelled(counter, payment, merchant=KEEPS_FEE)
    assert {DEBT: 120, MDR_INCOME: -120} == counter.money
    assert Refund("12", 0) == _refund(counter).detail


@pytest.mark.parametrize("when", ["12", NEXT_DAY])
async def test_what_the_merchant_is_owed_is_decided_in_the_commit(
    counter: Counter, when: str
) -> None:
    """Paid out between read and commit: what is missing is his debt, never a negative balance."""
    payment = await _paid(counter)
    out = Posting(PAYABLE, "liabilities:payout", 9_000, "payout")
    pay_out = Post(999, "156", "2026-11-21", (out,))
    meanwhile: list[Callable[[], object]] = [lambda: counter.books.apply(pay_out)]
    if when == NEXT_DAY:
        counter.clock.at_ms += DAY_MS
        counter.books.meanwhile = meanwhile
    else:
        counter.banks.outcomes = [replied(when)]
        counter.books.meanwhile = [lambda: None, *meanwhile]
    assert "00" == await _cancelled(counter, payment, merchant=RETURNS_FEE)
    assert {DEBT: 9_000, "liabilities:payout": -9_000} == counter.money
    assert (1, State.REFUNDED) == (len(counter.owed), counter.state(payment))


async def test_one_order_of_a_swipe_is_refunded_alone(counter: Counter) -> None:
    """Its share with its part of the fee; the bank is not asked, the others stay paid."""
    counter.owes("O1", 3_333)
    counter.owes("O2", 6_667)
    answer, swipe = await counter.pay("O1", further=("O2",))
    command = _cancel(counter, swipe, amount_minor=3_333, merchant=RETURNS_FEE)
    answer = answered(await order_cancellation(counter.ports, command))
    assert ("00", "000000003333") == (answer.response_code, answer.reply.amount)
    refund = _refund(counter)
    assert (3_333, swipe.id, Refund("06", 39)) == (
        refund.amount_minor,
        refund.original_id,
        refund.detail,
    )
    assert {SCHEME: 6_667, PAYABLE: -6_586, MDR_INCOME: -81} == counter.money
    assert ("04", "01") == (counter.order("O1").status, counter.order("O2").status)
    assert State.APPROVED == counter.state(swipe)
    assert "12" == await _cancelled(counter, swipe, amount_minor=3_333)
    other = {"order_no": "O2", "amount_minor": 6_667, "merchant": RETURNS_FEE}
    assert "00" == await _cancelled(counter, swipe, **other)
    assert (NOTHING, 2) == (counter.money, len(counter.owed))
    assert [BankMessage.SALE] == kinds_of(counter.banks.sent)


async def test_a_swipe_with_a_refunded_order_is_not_reversed(counter: Counter) -> None:
    """12: what was given back of it is given back once."""
    counter.owes("O1", 4_000)
    counter.owes("O2", 6_000)
    _, swipe = await counter.pay("O1", further=("O2",))
    await _cancelled(counter, swipe, amount_minor=4_000)
    before = counter.money
    assert "12" == (await counter.reverse(counter.origin(10_000, stan=swipe.stan))).response_code
    assert (before, 1) == (counter.money, len(counter.owed))


async def test_a_swipe_that_is_reversed_first_is_not_refunded(counter: Counter) -> None:
    """Between read and commit of the cancellation of one of its orders: 12."""
    counter.owes("O1", 4_000)
    counter.owes("O2", 6_000)
    _, swipe = await counter.pay("O1", further=("O2",))
    take = UpdateEntry.unclaimed(swipe.id, State.REVERSING)
    shares = [entry for entry in counter.entries if entry.kind is Kind.ORDER_SHARE]
    undone = [UpdateEntry.unclaimed(one.id, State.REVERSED) for one in shares]
    counter.books.meanwhile = [lambda: counter.books.apply(take, *undone)]
    assert ("12", []) == (await _cancelled(counter, swipe, amount_minor=4_000), counter.owed)


# --- from the hand ----------------------------------------------------------------------------


async def test_cash_goes_back_from_the_couriers_hand(counter: Counter) -> None:
    """At once, of whatever day; no bank is asked."""
    payment = await _paid(counter, Means.CASH)
    counter.clock.at_ms += DAY_MS
    command = _cancel(counter, payment)
    assert "00" == await code_of(order_cancellation(counter.ports, command))
    assert (NOTHING, [], [CANCELLED]) == (counter.money, counter.owed, counter.notices[1:])
    assert (State.VOIDED, "04") == (counter.state(payment), counter.order("O1").status)
    assert isinstance(await order_cancellation(counter.ports, command), Repeat)
    assert ("12", []) == (await _cancelled(counter, payment), counter.banks.sent)


async def test_an_order_with_nothing_to_pay_is_cancelled(counter: Counter) -> None:
    """No money moves."""
    payment = await _paid(counter, Means.NONE, 0)
    assert "00" == await _cancelled(counter, payment)
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
    command = _cancel(counter, payment, **changes)
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
    assert "00" == await _cancelled(counter, payment)
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
    assert ("00", NOTHING) == (await _cancelled(counter, payment, courier_id=""), counter.money)
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
    assert ("00", NOTHING) == (await _cancelled(counter, payment), counter.money)


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
        codes.append(await _cancelled(counter, payment))

    counter.banks.meanwhile = cancel
    assert "00" == await _cancelled(counter, payment)
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
    assert "00" == await _cancelled(counter, payment)


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
    assert ("12", before) == (await _cancelled(counter, payment), counter.money)
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
        await _cancelled(counter, payment)
    assert (asked, before, "01") == (
        len(counter.banks.sent),
        counter.money,
        counter.order("O1").status,
    )
