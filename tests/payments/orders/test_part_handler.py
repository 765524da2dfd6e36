"""Part payment, the handlers alone: an order and its parts never take more than its amount."""

from __future__ import annotations

from typing import Any

import pytest
from counter import CARD, NOTHING, SCHEME, Counter, answered, code_of, reversal_of
from ports import replied

from acquirer.codecs.order_codes import Means
from acquirer.ledger.journal.entries import (
    Entry,
    OrderRow,
)
from acquirer.ledger.journal.steps import (
    PutOrder,
    UpdateOrder,
)
from acquirer.payments.kernel.commands import Answer, Repeat
from acquirer.payments.orders.payment import OrderPaymentRequested, order_payment
from acquirer.payments.orders.query import OrderQueried, order_query
from acquirer.routing.orders.client import NotOpened, OrderSystemDown, OrderSystemSilent
from acquirer.routing.orders.messages import NewPart
from acquirer.routing.outcomes import NoReply

pytestmark = pytest.mark.anyio


def _ask(counter: Counter, amount_minor: int, order_no: str = "O1", **changes: Any) -> OrderQueried:
    return OrderQueried(counter.order_origin(**changes), order_no, part_minor=amount_minor)


async def _opened(counter: Counter, number: str, amount_minor: int) -> Answer:
    """A part, opened by its query."""
    counter.orders.opens = counter.owes(number, amount_minor, part_of="O1")
    return answered(await order_query(counter.ports, _ask(counter, amount_minor)))


@pytest.fixture
def owing(counter: Counter) -> Counter:
    """A counter where one order of 100.00 is owed."""
    counter.owes("O1")
    return counter


async def test_a_part_is_opened_by_its_query(owing: Counter) -> None:
    """The order system makes its number; part and order are known from then on."""
    answer = await _opened(owing, "O1/1", 4_000)
    assert ("00", "000000004000") == (answer.response_code, answer.reply.amount)
    (new,) = owing.orders.opened
    assert isinstance(new, NewPart)
    assert ("O1", 4_000, owing.entries[0].stan) == (new.of, new.amount_minor, new.part_id[-6:])
    assert ("O1", "00", 4_000) == (
        owing.order("O1/1").part_of,
        owing.order("O1/1").status,
        owing.order("O1/1").amount_minor,
    )
    assert ("00", 10_000, NOTHING) == (
        owing.order("O1").status,
        owing.order("O1").amount_minor,
        owing.money,
    )


async def test_the_same_query_opens_one_part(owing: Counter) -> None:
    """A repeat does not reach the order system: it would take the place of a newer part."""
    owing.orders.opens = owing.owes("O1/1", 4_000, part_of="O1")
    command = _ask(owing, 4_000)
    await order_query(owing.ports, command)
    assert isinstance(await order_query(owing.ports, command), Repeat)
    assert 1 == len(owing.orders.opened)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (NotOpened("conflict"), "94"),
        (NotOpened("unknown_item"), "25"),
        (NotOpened("part_not_allowed"), "57"),
        (NotOpened("part_too_large"), "61"),
        (NotOpened("refused"), "12"),
        (OrderSystemDown("gone"), "91"),
        (OrderSystemSilent(), "68"),
    ],
)
async def test_a_part_that_the_merchant_does_not_open(
    owing: Counter, reply: Any, code: str
) -> None:
    """His reason's code; nothing is known of a part."""
    owing.orders.opens = reply
    assert code == await code_of(order_query(owing.ports, _ask(owing, 4_000)))
    assert {} == owing.books.rows.orders


async def test_a_part_is_no_more_than_is_due(owing: Counter) -> None:
    """61, and the order system is not asked to open it; no courier 58."""
    assert "61" == await code_of(order_query(owing.ports, _ask(owing, 10_001)))
    assert "58" == await code_of(order_query(owing.ports, _ask(owing, 1, courier_id="C9")))
    assert [] == owing.orders.opened


async def test_what_is_paid_or_over_has_no_parts(owing: Counter) -> None:
    """94 paid or being paid, 12 cancelled, or itself a part."""
    row = OrderRow("M1", "O1", "00", 10_000, "156", "123", "", 0, paying_id=77)
    owing.books.apply(PutOrder(row))
    assert "94" == await code_of(order_query(owing.ports, _ask(owing, 1)))
    owing.books.apply(UpdateOrder("M1", "O1", ("00", 77, None), ("01", None, 77)))
    assert "94" == await code_of(order_query(owing.ports, _ask(owing, 1)))
    owing.owes("O2", status="04")
    assert "12" == await code_of(order_query(owing.ports, _ask(owing, 1, "O2")))
    owing.owes("O3/1", part_of="O3")
    assert "12" == await code_of(order_query(owing.ports, _ask(owing, 1, "O3/1")))
    assert [] == owing.orders.opened


@pytest.mark.parametrize("means", [Means.CARD, Means.CASH])
async def test_a_part_is_paid_as_any_order(owing: Counter, means: Means) -> None:
    """And counts as a change of its order, whose older answers count no more."""
    await _opened(owing, "O1/1", 4_000)
    answer, payment = await owing.pay("O1/1", 4_000, means)
    assert ("00", payment.id) == (answer.response_code, owing.order("O1/1").payment_id)
    assert 4_000 == max(owing.money.values())
    assert ("00", None, 1) == (
        owing.order("O1").status,
        owing.order("O1").payment_id,
        owing.order("O1").changes,
    )


async def test_a_part_that_was_not_opened_here_is_not_paid(counter: Counter) -> None:
    """12: nothing would keep its order from being paid beside it."""
    counter.owes("O1/1", 4_000, part_of="O1")
    assert "12" == (await counter.pay("O1/1", 4_000))[0].response_code
    assert NOTHING == counter.money


async def test_an_order_is_not_paid_while_its_part_is(owing: Counter) -> None:
    """94 at the same moment, each way round; the part in doubt lets go of both."""
    await _opened(owing, "O1/1", 4_000)
    codes: list[str] = []

    async def pay_whole() -> None:
        codes.append((await owing.pay("O1", means=Means.CASH))[0].response_code)

    owing.banks.meanwhile = pay_whole
    owing.banks.outcomes = [NoReply(), replied("00")]
    _, payment = await owing.pay("O1/1", 4_000)
    assert (["94"], NOTHING, [reversal_of(payment)]) == (codes, owing.money, owing.owed)

    async def pay_part() -> None:
        codes.append((await owing.pay("O1/1", 4_000, Means.CASH))[0].response_code)

    owing.banks.meanwhile = pay_part
    assert "00" == (await owing.pay("O1"))[0].response_code
    assert (["94", "94"], 10_000) == (codes, owing.money[SCHEME])


async def test_a_part_is_not_paid_once_its_order_is(owing: Counter) -> None:
    """91 until the merchant knows that it is, 94 from then on."""
    await _opened(owing, "O1/1", 4_000)
    await owing.pay("O1")
    assert "91" == (await owing.pay("O1/1", 4_000))[0].response_code
    owing.books.tell_all()
    assert "94" == (await owing.pay("O1/1", 4_000))[0].response_code
    assert 10_000 == owing.money[SCHEME]


async def test_of_two_payments_of_a_family_only_those_that_know_of_each_other_follow(
    owing: Counter,
) -> None:
    """A part is paid between the read and the commit of its order's payment: 94, and no bank."""
    await _opened(owing, "O1/1", 4_000)
    owing.books.meanwhile = [lambda: owing.pay("O1/1", 4_000, Means.CASH)]
    assert "94" == (await owing.pay("O1"))[0].response_code
    assert ([], 4_000) == (owing.banks.sent, max(owing.money.values()))


async def test_two_parts_at_once_are_paid_one_after_the_other(owing: Counter) -> None:
    """The one that did not know of the other gets 94, and is paid when it comes again."""
    await _opened(owing, "O1/1", 4_000)
    await _opened(owing, "O1/2", 6_000)
    owing.books.meanwhile = [lambda: owing.pay("O1/1", 4_000, Means.CASH)]
    assert "94" == (await owing.pay("O1/2", 6_000, Means.CASH))[0].response_code
    owing.books.tell_all()
    assert "00" == (await owing.pay("O1/2", 6_000, Means.CASH))[0].response_code
    assert 10_000 == max(owing.money.values())


async def test_an_order_in_parts_waits_for_its_merchant(owing: Counter) -> None:
    """91 until he knows of the paid part: until then nobody knows what is left."""
    await _opened(owing, "O1/1", 4_000)
    await owing.pay("O1/1", 4_000, Means.CASH)
    owing.owes("O1", 6_000)
    assert "91" == (await owing.pay("O1", 6_000))[0].response_code
    owing.books.tell_all()
    assert "00" == (await owing.pay("O1", 6_000))[0].response_code
    assert 10_000 == owing.money["assets:scheme:demo"] + owing.money["assets:courier:C1"]


async def test_a_part_whose_bank_declines_lets_its_order_be_paid(owing: Counter) -> None:
    """Nothing of the family is held afterwards."""
    await _opened(owing, "O1/1", 4_000)
    owing.banks.outcomes = [replied("51"), replied("00")]
    await owing.pay("O1/1", 4_000)
    origin = owing.order_origin(10_000)
    command = OrderPaymentRequested(origin, "O1", Means.CARD, card=CARD)
    assert "00" == await code_of(order_payment(owing.ports, command))
    entry: Entry = owing.entry(origin)
    assert (10_000, entry.id) == (owing.money[SCHEME], owing.order("O1").payment_id)
