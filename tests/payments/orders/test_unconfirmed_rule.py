"""Payments that nobody confirms, the rule alone: asked for, then decided once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from counter import IN_CASH, NOTHING, SOLD, TERMINAL, Counter, Notice, code_of, named, reversal_of
from ports import kinds_of, replied

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.order_codes import Means
from acquirer.config.business import OrderSettings
from acquirer.ledger.journal.entries import (
    Entry,
    Role,
    State,
)
from acquirer.ledger.journal.steps import (
    UpdateOrder,
)
from acquirer.payments.orders.confirmation import PaymentConfirmed, payment_confirmation
from acquirer.payments.orders.unconfirmed import DECIDED_A_LOOK_MAX, look
from acquirer.routing.outcomes import BankOutcome, NoReply, NotSent

pytestmark = pytest.mark.anyio

CONFIRM = OrderSettings(ask_after_s=60, decide_after_s=3600)
REVERSE = OrderSettings(ask_after_s=60, decide_after_s=3600, unconfirmed="reverse")
ASKED_MS, DECIDED_MS, LATE_MS = 60_000, 3_600_000, 7_200_000
STANDS = ["order.paid", "order.payment_confirmed"]
UNDONE = ["order.paid", "order.cancelled"]
KNOWN, DECLINED_THERE, UNKNOWN = replied("00", DE48="00"), replied("00", DE48="51"), replied("25")


async def _paid(counter: Counter, means: Means = Means.CARD) -> Entry:
    counter.owes("O1")
    _, payment = await counter.pay("O1", means=means)
    counter.told.clear()
    return payment


def _types(counter: Counter) -> list[str]:
    return [notice.type for notice in counter.notices]


async def test_a_terminal_is_asked_first(counter: Counter) -> None:
    """From a first age on, until the payment is confirmed; nothing is decided yet."""
    payment = await _paid(counter)
    counter.clock.at_ms += ASKED_MS - 1
    await look(counter.ports, CONFIRM)
    assert set() == counter.ports.to_ask
    counter.clock.at_ms += 1
    await look(counter.ports, CONFIRM)
    assert ({TERMINAL}, "01", 1) == (
        counter.ports.to_ask,
        counter.order("O1").status,
        len(counter.banks.sent),
    )
    confirmed = PaymentConfirmed(counter.order_origin(), "O1", named(payment))
    assert "00" == await code_of(payment_confirmation(counter.ports, confirmed))
    await look(counter.ports, CONFIRM)
    assert set() == counter.ports.to_ask


@pytest.mark.parametrize(
    ("settings", "outcome", "undone"),
    [
        (CONFIRM, KNOWN, False),
        (CONFIRM, UNKNOWN, True),
        (CONFIRM, DECLINED_THERE, True),
        (REVERSE, KNOWN, True),
        (REVERSE, UNKNOWN, True),
    ],
)
async def test_a_card_payment_is_decided_by_the_banks_word_and_the_rule(
    counter: Counter, settings: OrderSettings, outcome: BankOutcome, undone: bool
) -> None:
    """It stands, or is undone as by its terminal; what the bank does not know is undone."""
    payment = await _paid(counter)
    counter.banks.outcomes = [outcome]
    counter.clock.at_ms += DECIDED_MS
    for _ in range(2):
        await look(counter.ports, settings)
    inquiry = counter.banks.sent[1]
    assert [BankMessage.SALE, BankMessage.INQUIRY] == kinds_of(counter.banks.sent)
    assert inquiry.original is not None
    assert (payment.rrn, payment.bank_stan) == (inquiry.rrn, inquiry.original.stan)
    order = counter.order("O1")
    if undone:
        assert (NOTHING, [reversal_of(payment)], UNDONE) == (
            counter.money,
            counter.owed,
            _types(counter),
        )
        assert ("00", None, State.REVERSING) == (
            order.status,
            order.payment_id,
            counter.state(payment),
        )
    else:
        assert (SOLD, [], STANDS) == (counter.money, counter.owed, _types(counter))
        assert ("02", payment.id, State.APPROVED) == (
            order.status,
            order.payment_id,
            counter.state(payment),
        )
    assert ["saf", "events"] == counter.told


async def test_a_reversal_that_comes_after_the_rules_own_gets_00(counter: Counter) -> None:
    """Undone once, whoever asks."""
    payment = await _paid(counter)
    counter.banks.outcomes = [UNKNOWN]
    counter.clock.at_ms += DECIDED_MS
    await look(counter.ports, CONFIRM)
    assert "00" == (await counter.reverse(counter.origin(10_000, stan=payment.stan))).response_code
    assert (NOTHING, [reversal_of(payment)]) == (counter.money, counter.owed)


@pytest.mark.parametrize(
    "outcome",
    [NoReply(), NotSent("link down"), replied("96"), replied("00"), replied("00", DE48="ZZ")],
)
@pytest.mark.parametrize("settings", [CONFIRM, REVERSE])
async def test_a_bank_that_does_not_say_is_waited_for(
    counter: Counter, outcome: BankOutcome, settings: OrderSettings
) -> None:
    """Until twice the age; then the rule decides alone."""
    payment = await _paid(counter)
    counter.banks.outcomes = [outcome]
    counter.clock.at_ms += LATE_MS - 1
    await look(counter.ports, settings)
    assert (SOLD, [], "01") == (counter.money, counter.owed, counter.order("O1").status)
    counter.clock.at_ms += 1
    await look(counter.ports, settings)
    stands = settings is CONFIRM
    assert (SOLD if stands else NOTHING, STANDS if stands else UNDONE) == (
        counter.money,
        _types(counter),
    )
    assert ([] if stands else [reversal_of(payment)]) == counter.owed


@pytest.mark.parametrize(
    ("settings", "money", "types"), [(CONFIRM, IN_CASH, STANDS), (REVERSE, NOTHING, UNDONE)]
)
async def test_cash_is_decided_by_the_rule(
    counter: Counter, settings: OrderSettings, money: dict[str, int], types: list[str]
) -> None:
    """No bank is asked or owed anything."""
    payment = await _paid(counter, Means.CASH)
    counter.clock.at_ms += DECIDED_MS
    await look(counter.ports, settings)
    assert (money, types, [], []) == (
        counter.money,
        _types(counter),
        counter.owed,
        counter.banks.sent,
    )
    assert counter.state(payment) in (State.APPROVED, State.REVERSED)


async def test_an_order_of_a_swipe_stands(counter: Counter) -> None:
    """A part of a payment cannot be undone alone, whatever the rule says."""
    counter.owes("O1", 4_000)
    counter.owes("O2", 6_000)
    await counter.pay("O1", further=("O2",))
    counter.clock.at_ms += DECIDED_MS
    await look(counter.ports, REVERSE)
    assert (SOLD, []) == (counter.money, counter.owed)
    assert ["02", "02"] == [counter.order(number).status for number in ("O1", "O2")]
    assert Notice("order.payment_confirmed", "O1", "02", 4_000) in counter.notices


@pytest.mark.parametrize("settings", [CONFIRM, REVERSE])
async def test_what_comes_while_the_bank_is_asked_wins(
    counter: Counter, settings: OrderSettings
) -> None:
    """A confirmation or a reversal: nothing is decided or told a second time."""
    payment = await _paid(counter)
    counter.banks.outcomes = [KNOWN]
    counter.clock.at_ms += DECIDED_MS

    async def confirm() -> None:
        command = PaymentConfirmed(counter.order_origin(), "O1", named(payment))
        assert "00" == await code_of(payment_confirmation(counter.ports, command))

    counter.banks.meanwhile = confirm
    await look(counter.ports, settings)
    assert (SOLD, [], STANDS) == (counter.money, counter.owed, _types(counter))

    other = Counter()
    payment = await _paid(other)
    other.banks.outcomes = [KNOWN]
    other.clock.at_ms += DECIDED_MS

    async def reverse() -> None:
        assert "00" == (await other.reverse(other.origin(10_000, stan=payment.stan))).response_code

    other.banks.meanwhile = reverse
    await look(other.ports, settings)
    assert (NOTHING, [reversal_of(payment)], UNDONE) == (other.money, other.owed, _types(other))


@pytest.mark.parametrize("settings", [CONFIRM, REVERSE])
async def test_the_decision_is_made_in_its_commit(
    counter: Counter, settings: OrderSettings
) -> None:
    """A cancellation that takes the order between read and commit: nothing is decided."""
    payment = await _paid(counter)
    counter.banks.outcomes = [KNOWN]
    counter.clock.at_ms += DECIDED_MS
    hold = UpdateOrder("M1", "O1", ("01", None, payment.id), ("01", 999, payment.id))
    counter.books.meanwhile = [lambda: counter.books.apply(hold)]
    await look(counter.ports, settings)
    assert (SOLD, [], ["order.paid"]) == (counter.money, counter.owed, _types(counter))
    assert [] == counter.told
    await look(counter.ports, settings)
    assert (SOLD, ["order.paid"]) == (counter.money, _types(counter))


async def test_one_that_cannot_be_decided_holds_up_no_other(counter: Counter) -> None:
    """Its bank is not in the configuration: it fails alone, counted, and is asked for."""
    lost = await _paid(counter)
    counter.books.rows.entries[lost.id] = replace(lost, bank="gone")
    counter.owes("O2")
    await counter.pay("O2", means=Means.CASH)
    counter.clock.at_ms += DECIDED_MS
    counter.told.clear()
    await look(counter.ports, CONFIRM)
    assert ["row_failed", "saf", "events"] == counter.told
    assert ("01", "02") == (counter.order("O1").status, counter.order("O2").status)
    assert {TERMINAL} == counter.ports.to_ask


async def test_one_look_decides_so_many(counter: Counter) -> None:
    """The rest is the next look's, oldest first."""
    count = DECIDED_A_LOOK_MAX + 3
    for number in range(count):
        counter.owes(f"O{number}", 100)
        await counter.pay(f"O{number}", 100, Means.CASH)
    counter.clock.at_ms += DECIDED_MS

    def confirmed() -> int:
        return sum(row.status == "02" for row in counter.books.rows.orders.values())

    await look(counter.ports, CONFIRM)
    assert (DECIDED_A_LOOK_MAX, "01") == (confirmed(), counter.order(f"O{count - 1}").status)
    await look(counter.ports, CONFIRM)
    assert count == confirmed()


async def test_what_the_rule_does_is_in_the_journal(counter: Counter) -> None:
    """A confirmation under the rule's own name, a reversal under the payment's number."""
    payment = await _paid(counter)
    counter.banks.outcomes = [KNOWN]
    counter.clock.at_ms += DECIDED_MS
    await look(counter.ports, CONFIRM)
    entry = counter.entries[-1]
    assert ("SWITCH", payment.id, State.APPROVED) == (
        entry.terminal_id,
        entry.original_id,
        entry.state,
    )
    other = Counter()
    payment = await _paid(other, Means.CASH)
    other.clock.at_ms += DECIDED_MS
    await look(other.ports, REVERSE)
    entry = other.entries[-1]
    assert (payment.stan, Role.REVERSAL, 10_000) == (entry.stan, entry.role, entry.amount_minor)
