"""Cancellation by refund, the handler alone: what a bank does not void goes back beside it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from counter import (
    NOTHING,
    PAYABLE,
    SCHEME,
    Counter,
    Notice,
    Owed,
    answered,
    code_of,
)
from origins import MERCHANT
from ports import kinds_of, replied

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.order_codes import Means
from acquirer.ledger.accounts.postings import MDR_INCOME, merchant_debt_account
from acquirer.ledger.accounts.transfer_steps import Post, Posting
from acquirer.ledger.journal.details import Refund
from acquirer.ledger.journal.entries import (
    Entry,
    Role,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    UpdateEntry,
)
from acquirer.payments.orders.cancellation import order_cancellation

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


def _refund(counter: Counter) -> Entry:
    (found,) = [entry for entry in counter.entries if entry.kind is Kind.REFUND]
    return found


@pytest.mark.parametrize("code", ["12", "21", "25", "40", "57"])
async def test_what_the_bank_does_not_void_is_refunded(counter: Counter, code: str) -> None:
    """00: a refund of its own with an advice to the bank; the payment keeps its effect."""
    payment = await _paid(counter)
    counter.banks.outcomes = [replied(code)]
    command = counter.cancellation(payment, merchant=RETURNS_FEE)
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
    assert ("04", "12") == (counter.order("O1").status, await counter.cancel(payment))
    assert 2 == len(counter.banks.sent)


async def test_a_payment_of_an_earlier_day_is_refunded_without_a_question(
    counter: Counter,
) -> None:
    """The day is closed: the bank learns of it by the advice, whether or not it is up."""
    payment = await _paid(counter)
    counter.clock.at_ms += DAY_MS
    counter.banks.up = False
    assert "00" == await counter.cancel(payment, merchant=RETURNS_FEE)
    refund = _refund(counter)
    assert [Owed(BankMessage.REFUND, refund.id, "06")] == counter.owed
    assert (NOTHING, State.REFUNDED) == (counter.money, counter.state(payment))
    assert ([BankMessage.SALE], "12") == (
        kinds_of(counter.banks.sent),
        await counter.cancel(payment),
    )
    assert payment.business_date < refund.business_date


async def test_a_fee_that_we_keep_is_the_merchants_to_bear(counter: Counter) -> None:
    """What he is owed does not suffice then: the rest is his debt."""
    payment = await _paid(counter)
    counter.banks.outcomes = [replied("12")]
    assert "00" == await counter.cancel(payment, merchant=KEEPS_FEE)
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
    assert "00" == await counter.cancel(payment, merchant=RETURNS_FEE)
    assert {DEBT: 9_000, "liabilities:payout": -9_000} == counter.money
    assert (1, State.REFUNDED) == (len(counter.owed), counter.state(payment))


async def test_one_order_of_a_swipe_is_refunded_alone(counter: Counter) -> None:
    """Its share with its part of the fee; the bank is not asked, the others stay paid."""
    counter.owes("O1", 3_333)
    counter.owes("O2", 6_667)
    answer, swipe = await counter.pay("O1", further=("O2",))
    command = counter.cancellation(swipe, order_no="O1", amount_minor=3_333, merchant=RETURNS_FEE)
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
    assert "12" == await counter.cancel(swipe, order_no="O1", amount_minor=3_333)
    other = {"order_no": "O2", "amount_minor": 6_667, "merchant": RETURNS_FEE}
    assert "00" == await counter.cancel(swipe, **other)
    assert (NOTHING, 2) == (counter.money, len(counter.owed))
    assert [BankMessage.SALE] == kinds_of(counter.banks.sent)


async def test_a_swipe_with_a_refunded_order_is_not_reversed(counter: Counter) -> None:
    """12: what was given back of it is given back once."""
    counter.owes("O1", 4_000)
    counter.owes("O2", 6_000)
    _, swipe = await counter.pay("O1", further=("O2",))
    await counter.cancel(swipe, order_no="O1", amount_minor=4_000)
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
    assert ("12", []) == (
        await counter.cancel(swipe, order_no="O1", amount_minor=4_000),
        counter.owed,
    )
