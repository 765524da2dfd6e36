"""Several orders in one swipe, the handler alone: all of them are paid, or none."""

from __future__ import annotations

from typing import Any

import pytest
from counter import NOTHING, SOLD, Counter, Notice, reversal_of
from ports import replied

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.journal.details import GroupPayment
from acquirer.ledger.journal.entries import (
    Entry,
    OrderRow,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    PutOrder,
    UpdateOrder,
)
from acquirer.routing.orders.client import OrderSystemDown, UnknownOrder
from acquirer.routing.outcomes import BankOutcome, NoReply, NotSent

pytestmark = pytest.mark.anyio

ALL = ("O1", "O2", "O3")
AMOUNTS = dict(zip(ALL, (5_000, 3_000, 2_000), strict=True))


@pytest.fixture
def three(counter: Counter) -> Counter:
    """A counter where three orders are owed, of 100.00 together."""
    for number, amount_minor in AMOUNTS.items():
        counter.owes(number, amount_minor)
    return counter


def _shares(counter: Counter) -> list[Entry]:
    return [entry for entry in counter.entries if entry.kind is Kind.ORDER_SHARE]


async def test_one_swipe_pays_several_orders(three: Counter) -> None:
    """One authorisation and one posting of the sum; an entry and a notice for each order."""
    answer, entry = await three.pay("O1", further=ALL[1:])
    assert ("00", "A12345") == (answer.response_code, answer.reply.approval_code)
    assert (Kind.ORDER_GROUP, State.APPROVED, GroupPayment(ALL)) == (
        entry.kind,
        entry.state,
        entry.detail,
    )
    assert (SOLD, [], 1) == (three.money, three.owed, len(three.banks.sent))
    assert 10_000 == three.banks.sent[0].amount_minor
    for share, (number, amount_minor) in zip(_shares(three), AMOUNTS.items(), strict=True):
        assert (number, amount_minor, entry.id) == (
            share.order_no,
            share.amount_minor,
            share.original_id,
        )
        assert (State.APPROVED, "A12345") == (share.state, share.approval_code)
        assert ("01", share.id) == (three.order(number).status, three.order(number).payment_id)
    assert [
        Notice("order.paid", *one) for one in zip(ALL, ["01"] * 3, AMOUNTS.values(), strict=True)
    ] == three.notices


@pytest.mark.parametrize(
    ("outcome", "code", "state"),
    [
        (replied("51"), "51", State.DECLINED),
        (NotSent("link down"), "91", State.REFUSED),
        (NoReply(), "98", State.TIMED_OUT),
        (replied("10"), "98", State.TIMED_OUT),
    ],
)
async def test_what_is_not_approved_pays_none(
    three: Counter, outcome: BankOutcome, code: str, state: State
) -> None:
    """All orders are to pay again; a swipe in doubt owes one reversal, of the sum."""
    three.banks.outcomes = [outcome]
    answer, entry = await three.pay("O1", further=ALL[1:])
    assert (code, state, NOTHING, []) == (
        answer.response_code,
        entry.state,
        three.money,
        three.notices,
    )
    assert three.owed == ([reversal_of(entry)] if state is State.TIMED_OUT else [])
    assert [State.DECLINED] * 3 == [share.state for share in _shares(three)]
    for number in ALL:
        order = three.order(number)
        assert ("00", None, None) == (order.status, order.paying_id, order.payment_id)


async def _refused(three: Counter, code: str, **payment: Any) -> str:
    """A swipe is refused; no order is held or paid. Its answer's reference number."""
    payment.setdefault("further", ALL[1:])
    answer, entry = await three.pay("O1", **payment)
    assert (code, State.REFUSED, []) == (answer.response_code, entry.state, three.banks.sent)
    assert (NOTHING, [], []) == (three.money, three.owed, _shares(three))
    return answer.reply.rrn


async def test_one_order_that_cannot_be_paid_keeps_all_from_it(three: Counter) -> None:
    """Unknown 25, system down 91, way not taken 57, nothing to pay 13, over 12, twice 12."""
    three.orders.facts["O3"] = UnknownOrder()
    await _refused(three, "25")
    three.orders.facts["O3"] = OrderSystemDown("gone")
    await _refused(three, "91")
    three.owes("O3", 2_000, pay_ways="2")
    await _refused(three, "57")
    three.owes("O3", 0)
    await _refused(three, "13", amount_minor=8_000)
    three.owes("O3", 2_000, status="04")
    await _refused(three, "12")
    await _refused(three, "12", further=("O2", "O2"))
    assert {} == three.books.rows.orders


async def test_another_sum_than_is_due_is_refused(three: Counter) -> None:
    """64, for another amount or another currency."""
    await _refused(three, "64", amount_minor=9_999)
    await _refused(three, "64", currency_code="840")


async def test_a_part_and_its_order_are_not_paid_together(three: Counter) -> None:
    """12: each would change what the other was asked about."""
    three.owes("O1/1", 2_000, part_of="O1")
    await _refused(three, "12", further=("O1/1",), amount_minor=7_000)


async def test_an_order_that_is_paid_or_being_paid_keeps_all_from_it(three: Counter) -> None:
    """94, with the first payment's reference number where there is one."""
    row = OrderRow("M1", "O2", "00", 3_000, "156", "123", "", 0, paying_id=999)
    three.books.apply(PutOrder(row))
    assert "" == await _refused(three, "94")
    three.books.apply(UpdateOrder("M1", "O2", ("00", 999, None), ("00", None, None)))
    _, paid = await three.pay("O2", 3_000)
    three.banks.sent.clear()
    answer, _ = await three.pay("O1", further=ALL[1:])
    assert ("94", paid.rrn) == (answer.response_code, answer.reply.rrn)
    assert ([], []) == (three.banks.sent, _shares(three))


async def test_one_order_that_is_taken_meanwhile_keeps_all_from_it(three: Counter) -> None:
    """Between read and commit: 94, none is held, no bank is asked."""
    row = OrderRow("M1", "O2", "00", 3_000, "156", "123", "", 0)
    claim = UpdateOrder("M1", "O2", ("00", None, None), ("00", 999, None))
    three.books.meanwhile = [lambda: three.books.apply(PutOrder(row), claim)]
    assert "" == await _refused(three, "94")
    assert [("M1", "O2")] == list(three.books.rows.orders)


async def test_a_reversal_opens_all_orders_again(three: Counter) -> None:
    """The bank is owed one reversal of the sum; each order's merchant is told."""
    _, entry = await three.pay("O1", further=ALL[1:])
    assert "00" == (await three.reverse(three.origin(10_000, stan=entry.stan))).response_code
    assert (State.REVERSING, NOTHING) == (three.state(entry), three.money)
    assert [reversal_of(entry)] == three.owed
    assert [State.REVERSED] * 3 == [share.state for share in _shares(three)]
    for number, amount_minor in AMOUNTS.items():
        assert ("00", None) == (three.order(number).status, three.order(number).payment_id)
        assert Notice("order.cancelled", number, "00", amount_minor) in three.notices


async def test_once_an_order_is_confirmed_none_is_reversed(three: Counter) -> None:
    """12, and all stay paid."""
    _, entry = await three.pay("O1", further=ALL[1:])
    share = _shares(three)[1]
    three.books.apply(UpdateOrder("M1", "O2", ("01", None, share.id), ("02", None, share.id)))
    assert "12" == (await three.reverse(three.origin(10_000, stan=entry.stan))).response_code
    assert (SOLD, []) == (three.money, three.owed)
    assert [State.APPROVED] * 3 == [one.state for one in _shares(three)]


async def test_a_swipe_that_is_reversed_while_at_the_bank_pays_none(three: Counter) -> None:
    """94 instead of 00; all orders are let go in the reversal's own commit."""

    async def reverse() -> None:
        stan = three.entries[0].stan
        assert "00" == (await three.reverse(three.origin(10_000, stan=stan))).response_code

    three.banks.meanwhile = reverse
    answer, entry = await three.pay("O1", further=ALL[1:])
    assert ("94", State.REVERSING, NOTHING) == (answer.response_code, entry.state, three.money)
    assert ([reversal_of(entry)], []) == (three.owed, three.notices)
    assert [State.DECLINED] * 3 == [share.state for share in _shares(three)]
    assert [None] * 3 == [three.order(number).paying_id for number in ALL]
    assert [BankMessage.SALE] == [request.kind for request in three.banks.sent]
