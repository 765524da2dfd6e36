"""Standing in for a bank, by the handlers alone: only what has not left, only within limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from counter import (
    CARD,
    NOTHING,
    OTHER_PAN,
    SCHEME,
    Counter,
    Owed,
    answered,
    code_of,
    named,
    reversal_of,
)
from ports import replied

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.journal.entries import (
    Entry,
    SafItem,
    State,
)
from acquirer.ledger.journal.steps import (
    InsertEntry,
    QueueSaf,
)
from acquirer.payments.cards.balance import BalanceRequested, balance
from acquirer.payments.cards.sale import SaleRequested, sale
from acquirer.payments.cards.void import VoidRequested, void
from acquirer.payments.kernel.stand_in import StandInRule
from acquirer.routing.outcomes import BankOutcome, NoReply, NotSent

pytestmark = pytest.mark.anyio

DOWN = NotSent("link down")


async def _counter(known: bool = True, **rule: Any) -> Counter:
    """A counter with a rule, whose card the bank has approved once; now the bank is down."""
    usual = {"floor_limit_minor": 10_000, "daily_count_max": 2, "daily_amount_max_minor": 15_000}
    counter = Counter(stand_in=(StandInRule(**usual | rule),))
    if known:
        inquiry = BalanceRequested(counter.origin(), CARD)
        assert "00" == await code_of(balance(counter.ports, inquiry))
    counter.banks.up, counter.banks.outcomes = False, [DOWN]
    return counter


def _taken(counter: Counter) -> int:
    """What the bank owes us for since it is down, minor units."""
    return counter.money.get(SCHEME, 0)


def _advice(entry: Entry) -> Owed:
    return Owed(BankMessage.ADVICE, entry.id, "00")


async def test_a_known_card_may_pay_while_its_bank_is_down() -> None:
    """00 with a code of our own; posted, and the bank is owed an advice by the sale's numbers."""
    counter = await _counter()
    answer, entry = await counter.sell()
    assert ("00", f"S{entry.id:05d}") == (answer.response_code, answer.reply.approval_code)
    assert (State.APPROVED, 10_000, [_advice(entry)]) == (
        entry.state,
        _taken(counter),
        counter.owed,
    )
    (item,) = counter.books.rows.saf.values()
    assert (entry.bank_stan, entry.transmission_at) == (item.stan, item.transmission_at)
    assert ["stood_in", "saf"] == counter.told


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("reason", ["link down", "window full"])
async def test_a_link_that_goes_down_meanwhile_counts_as_well(up: bool, reason: Any) -> None:
    """Nothing has left, whichever way that was found."""
    counter = await _counter()
    counter.banks.up, counter.banks.outcomes = up, [NotSent(reason)]
    assert "00" == (await counter.sell())[0].response_code
    assert 10_000 == _taken(counter)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (NoReply(), "98"),
        (replied("91"), "91"),
        (replied("ZZ"), "98"),
        (NotSent("expired"), "91"),
        (NotSent("format"), "96"),
        (NotSent("unknown bank"), "91"),
    ],
)
async def test_nobody_stands_in_for_what_may_have_left(outcome: BankOutcome, code: str) -> None:
    """Nor for what failed otherwise."""
    counter = await _counter()
    counter.banks.up, counter.banks.outcomes = True, [outcome]
    answer, entry = await counter.sell()
    assert (code, 0) == (answer.response_code, _taken(counter))
    assert counter.owed == ([reversal_of(entry)] if code == "98" else [])


async def _refused(counter: Counter, amount_minor: int = 10_000, **card: object) -> None:
    """91: not posted, not advised."""
    owed, taken = counter.owed, _taken(counter)
    origin = counter.origin(amount_minor)
    command = SaleRequested(origin, msgspec.structs.replace(CARD, **card))
    assert "91" == await code_of(sale(counter.ports, command))
    entry = counter.entry(origin)
    assert (State.REFUSED, owed, taken) == (entry.state, counter.owed, _taken(counter))


async def test_an_unknown_card_is_not_trusted() -> None:
    """One that the bank has not approved here within a day; unless the rule does without."""
    counter = await _counter()
    await _refused(counter, pan=OTHER_PAN)
    counter.now_s += 86_401
    await _refused(counter)
    trusting = await _counter(known=False, known_cards_only=False)
    assert "00" == (await trusting.sell())[0].response_code


async def test_a_pin_only_the_bank_can_check() -> None:
    """91, whether the bank was down before or goes down with it."""
    counter = await _counter()
    await _refused(counter, pin_block=bytes(8))
    counter.banks.up = True
    await _refused(counter, pin_block=bytes(8))


async def test_limits_hold() -> None:
    """Of an amount, a count within a day, and their sum; a day later there is room again."""
    counter = await _counter()
    await _refused(counter, 10_001)
    assert "00" == (await counter.sell(10_000))[0].response_code
    await _refused(counter, 5_001)
    assert "00" == (await counter.sell(5_000))[0].response_code
    await _refused(counter, 1)
    counter.clock.at_ms += 86_400_001
    assert "00" == (await counter.sell(5_000))[0].response_code


@pytest.mark.parametrize("rule", [{"banks": ["other"]}, {"kinds": ("order_payment",)}])
async def test_a_rule_is_for_its_banks_and_kinds(rule: dict[str, Any]) -> None:
    """91 beside them."""
    await _refused(await _counter(**rule))


async def test_an_inquiry_is_never_stood_in_for() -> None:
    """91: nobody but the bank knows a balance."""
    counter = await _counter()
    inquiry = BalanceRequested(counter.origin(), CARD)
    assert "91" == await code_of(balance(counter.ports, inquiry))


async def test_the_daily_limit_is_decided_in_the_commit() -> None:
    """What another process approves of the card between read and commit counts."""
    counter = await _counter()
    known = counter.entries[0]
    other = replace(known, id=900, rrn="9" * 12, stan="900000", amount_minor=9_000)
    at_ms = counter.clock.at_ms
    advice = SafItem(901, other.bank, BankMessage.ADVICE, 900, "00", at_ms, at_ms)

    def stand_in_elsewhere() -> None:
        assert counter.books.apply(InsertEntry(other), QueueSaf(advice)) is None

    counter.books.meanwhile = [lambda: None, stand_in_elsewhere]
    answer, entry = await counter.sell(10_000)
    assert ("91", State.REFUSED, 0) == (answer.response_code, entry.state, _taken(counter))
    assert [_advice(other)] == counter.owed
    assert "00" == (await counter.sell(6_000))[0].response_code


async def test_an_order_is_paid_in_the_banks_place() -> None:
    """Paid, told, and let go where the limit does not allow it."""
    counter = await _counter()
    counter.owes("O1", 9_000)
    counter.owes("O2", 9_000)
    assert "00" == (await counter.pay("O1", 9_000))[0].response_code
    assert "91" == (await counter.pay("O2", 9_000))[0].response_code
    assert ("01", "00", None) == (
        counter.order("O1").status,
        counter.order("O2").status,
        counter.order("O2").paying_id,
    )
    assert (9_000, ["order.paid"]) == (_taken(counter), [one.type for one in counter.notices])


async def test_what_was_stood_in_for_is_undone_as_any_sale() -> None:
    """Reversed: the bank is owed the advice and its reversal. Voided only once it is up."""
    counter = await _counter()
    _, first = await counter.sell(5_000)
    assert "00" == (await counter.reverse(counter.origin(5_000, stan=first.stan))).response_code
    assert (0, [_advice(first), reversal_of(first)]) == (_taken(counter), counter.owed)
    _, second = await counter.sell(5_000)

    def voiding() -> VoidRequested:
        return VoidRequested(counter.origin(5_000), named(second), second.rrn)

    assert "91" == await code_of(void(counter.ports, voiding()))
    counter.banks.up, counter.banks.outcomes = True, [replied("00")]
    assert "00" == answered(await void(counter.ports, voiding())).response_code
    assert 0 == _taken(counter)


async def test_a_sale_that_is_reversed_meanwhile_is_not_stood_in_for() -> None:
    """94: no advice, no posting, one reversal."""
    counter = await _counter()
    origin = counter.origin(10_000)

    async def reverse() -> None:
        assert "00" == (await counter.reverse(origin)).response_code

    counter.banks.meanwhile = reverse
    assert "94" == await code_of(sale(counter.ports, SaleRequested(origin, CARD)))
    assert (0, [reversal_of(counter.entry(origin))]) == (_taken(counter), counter.owed)


async def test_off_by_default(counter: Counter) -> None:
    """Without a rule nobody stands in."""
    counter.banks.outcomes = [replied("00"), DOWN]
    await balance(counter.ports, BalanceRequested(counter.origin(), CARD))
    answer, _ = await counter.sell()
    assert ("91", NOTHING, []) == (answer.response_code, counter.money, counter.owed)
