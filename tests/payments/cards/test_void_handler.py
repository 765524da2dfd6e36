"""The void handler alone: which sale it undoes, and what stands where it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from counter import (
    CARD,
    NOTHING,
    OTHER_PAN,
    PAN,
    SOLD,
    Counter,
    answered,
    code_of,
    named,
    reversal_of,
)
from origins import MERCHANT
from ports import kinds_of, replied

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.errors import BookUnavailable
from acquirer.ledger.journal.entries import (
    Entry,
    State,
)
from acquirer.ledger.journal.steps import (
    UpdateEntry,
)
from acquirer.payments.cards.balance import BalanceRequested, balance
from acquirer.payments.cards.void import VoidRequested, void
from acquirer.payments.kernel.commands import Origin, Repeat
from acquirer.routing.outcomes import BankOutcome, NoReply, NotSent

pytestmark = pytest.mark.anyio


def a_void(
    counter: Counter, sale: Entry, amount_minor: int | None = 10_000, **changes: Any
) -> VoidRequested:
    """The void of a sale, as its slip says it."""
    usual: dict[str, Any] = {"sale": named(sale), "rrn": sale.rrn}
    return VoidRequested(counter.origin(amount_minor), **usual | changes)


async def _voided(counter: Counter, sale: Entry) -> tuple[str, Origin]:
    command = a_void(counter, sale)
    return await code_of(void(counter.ports, command)), command.origin


async def test_a_voided_sale_leaves_no_money_behind(counter: Counter) -> None:
    """The bank is told by the sale's own numbers; nothing is owed afterwards."""
    _, sale = await counter.sell()
    command = a_void(counter, sale, pan=PAN, approval_code="A12345", condition_code="00")
    answer = answered(await void(counter.ports, command))
    entry = counter.entry(command.origin)
    assert ("00", entry.rrn) == (answer.response_code, answer.reply.rrn)
    assert (State.APPROVED, State.VOIDED) == (entry.state, counter.state(sale))
    assert (NOTHING, []) == (counter.money, counter.owed)
    asked = counter.banks.sent[-1]
    assert asked.original is not None
    assert (BankMessage.VOID, PAN, 10_000, sale.bank_stan, sale.transmission_at) == (
        asked.kind,
        asked.pan,
        asked.amount_minor,
        asked.original.stan,
        asked.original.transmission_at,
    )
    assert isinstance(await void(counter.ports, command), Repeat)
    assert [BankMessage.SALE, BankMessage.VOID] == kinds_of(counter.banks.sent)


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("25", {"rrn": "000000000000"}),
        ("25", {"approval_code": "B12345"}),
        ("14", {"pan": OTHER_PAN}),
        ("61", {"amount_minor": 10_001}),
        ("13", {"amount_minor": 9_999}),
        ("13", {"amount_minor": None}),
    ],
)
async def test_a_void_that_names_the_sale_wrongly_is_refused(
    counter: Counter, code: str, changes: dict[str, Any]
) -> None:
    """The sale stands, and no bank is asked."""
    _, sale = await counter.sell()
    command = a_void(counter, sale, **changes)
    assert code == await code_of(void(counter.ports, command))
    assert (State.REFUSED, State.APPROVED) == (
        counter.entry(command.origin).state,
        counter.state(sale),
    )
    assert ([BankMessage.SALE], SOLD) == (kinds_of(counter.banks.sent), counter.money)
    assert isinstance(await void(counter.ports, command), Repeat)


async def test_an_unknown_sale_cannot_be_voided(counter: Counter) -> None:
    """25, as for what is no sale at all."""
    _, sale = await counter.sell()
    unknown = replace(sale, stan="999999")
    assert "25" == await code_of(void(counter.ports, a_void(counter, unknown)))
    inquiry = counter.origin()
    await balance(counter.ports, BalanceRequested(inquiry, CARD))
    other = counter.entry(inquiry)
    assert "25" == await code_of(void(counter.ports, a_void(counter, other, None)))
    assert SOLD == counter.money


@pytest.mark.parametrize("outcome", [replied("51"), NoReply(), NotSent("link down")])
async def test_a_sale_that_is_not_approved_cannot_be_voided(
    counter: Counter, outcome: BankOutcome
) -> None:
    """12: declined, in doubt or never sent."""
    counter.banks.outcomes = [outcome]
    _, sale = await counter.sell()
    counter.banks.outcomes = [replied("00")]
    assert ("12", NOTHING) == ((await _voided(counter, sale))[0], counter.money)


async def test_a_sale_is_voided_once(counter: Counter) -> None:
    """12 the second time, and after a reversal."""
    _, sale = await counter.sell()
    assert "00" == (await _voided(counter, sale))[0]
    assert "12" == (await _voided(counter, sale))[0]
    _, reversed_sale = await counter.sell()
    await counter.reverse(counter.origin(10_000, stan=reversed_sale.stan))
    assert "12" == (await _voided(counter, reversed_sale))[0]
    assert (NOTHING, [reversal_of(reversed_sale)]) == (counter.money, counter.owed)


async def test_a_bank_that_is_down_is_not_asked_to_void(counter: Counter) -> None:
    """91; the sale stands, and may be voided later."""
    _, sale = await counter.sell()
    counter.banks.up = False
    assert ("91", SOLD) == ((await _voided(counter, sale))[0], counter.money)
    counter.banks.up = True
    assert ("00", NOTHING) == ((await _voided(counter, sale))[0], counter.money)


async def test_a_card_that_does_not_open_cannot_be_voided(counter: Counter) -> None:
    """A7, where its row was altered; the sale stands."""
    _, sale = await counter.sell()
    assert sale.card is not None
    card = replace(sale.card, pan_cipher=bytes(44))
    counter.books.rows.entries[sale.id] = replace(sale, card=card)
    assert ("A7", SOLD) == ((await _voided(counter, sale))[0], counter.money)
    assert [BankMessage.SALE] == kinds_of(counter.banks.sent)


async def test_what_claims_the_sale_first_wins(counter: Counter) -> None:
    """12 where another void came between read and commit; nothing leaves for the bank."""
    _, sale = await counter.sell()
    claim = UpdateEntry.claim(sale.id, 999)
    counter.books.meanwhile = [lambda: counter.books.apply(claim)]
    assert ("12", SOLD) == ((await _voided(counter, sale))[0], counter.money)
    assert [BankMessage.SALE] == kinds_of(counter.banks.sent)


async def test_a_reversal_that_comes_first_wins(counter: Counter) -> None:
    """12 where the sale was reversed between read and commit."""
    _, sale = await counter.sell()
    take = UpdateEntry.unclaimed(sale.id, State.REVERSING)
    counter.books.meanwhile = [lambda: counter.books.apply(take)]
    assert "12" == (await _voided(counter, sale))[0]
    assert [BankMessage.SALE] == kinds_of(counter.banks.sent)


@pytest.mark.parametrize(
    ("outcome", "code", "state"),
    [
        (replied("12"), "12", State.DECLINED),
        (replied("A0"), "96", State.DECLINED),
        (NotSent("link down"), "91", State.REFUSED),
        (NotSent("format"), "96", State.REFUSED),
    ],
)
async def test_a_void_that_the_bank_has_not_done_leaves_the_sale_as_it_was(
    counter: Counter, outcome: BankOutcome, code: str, state: State
) -> None:
    """Neither claimed nor undone: it may be voided again."""
    _, sale = await counter.sell()
    counter.banks.outcomes = [outcome, replied("00")]
    given, origin = await _voided(counter, sale)
    assert (code, state, SOLD) == (given, counter.entry(origin).state, counter.money)
    assert [] == counter.owed
    assert ("00", NOTHING) == ((await _voided(counter, sale))[0], counter.money)


@pytest.mark.parametrize("outcome", [NoReply(), replied("ZZ"), replied("68")])
async def test_a_void_in_doubt_is_itself_undone(counter: Counter, outcome: BankOutcome) -> None:
    """98: the sale stands, claimed until the bank has undone the void."""
    _, sale = await counter.sell()
    counter.banks.outcomes = [outcome, replied("00")]
    given, origin = await _voided(counter, sale)
    entry = counter.entry(origin)
    assert ("98", State.TIMED_OUT, State.APPROVED) == (given, entry.state, counter.state(sale))
    assert (SOLD, [reversal_of(entry)]) == (counter.money, counter.owed)
    assert "12" == (await _voided(counter, sale))[0]


async def test_a_reversed_void_lets_its_sale_stand_again(counter: Counter) -> None:
    """The money is back, the bank is owed the void's reversal, and no second void overtakes it."""
    _, sale = await counter.sell()
    _, origin = await _voided(counter, sale)
    entry = counter.entry(origin)
    assert "00" == (await counter.reverse(origin)).response_code
    assert (State.REVERSING, State.APPROVED) == (counter.state(entry), counter.state(sale))
    assert (SOLD, [reversal_of(entry)]) == (counter.money, counter.owed)
    assert "12" == (await _voided(counter, sale))[0]


async def test_a_void_that_is_reversed_while_at_the_bank_undoes_nothing(counter: Counter) -> None:
    """94 instead of 00; the sale stands, claimed, and the void's reversal is owed."""
    _, sale = await counter.sell()
    command = a_void(counter, sale)

    async def reverse() -> None:
        assert "00" == (await counter.reverse(command.origin)).response_code

    counter.banks.meanwhile = reverse
    assert "94" == await code_of(void(counter.ports, command))
    entry = counter.entry(command.origin)
    assert (State.REVERSING, State.APPROVED) == (entry.state, counter.state(sale))
    assert (SOLD, [reversal_of(entry)]) == (counter.money, counter.owed)


async def test_a_void_that_cannot_be_recorded_does_not_leave(counter: Counter) -> None:
    """Commit 1 fails: the sale is not claimed, and no bank is asked."""

    def fail() -> None:
        raise BookUnavailable("full")

    _, sale = await counter.sell()
    counter.books.meanwhile = [fail]
    with pytest.raises(BookUnavailable):
        await _voided(counter, sale)
    assert ([BankMessage.SALE], None) == (
        kinds_of(counter.banks.sent),
        counter.books.rows.entries[sale.id].claimed_by,
    )


async def test_a_terminal_that_was_moved_voids_no_sale_of_its_former_merchant(
    counter: Counter,
) -> None:
    """25: a void names a sale of the merchant's own."""
    _, sale = await counter.sell()
    other = msgspec.structs.replace(MERCHANT, merchant_id="898110059610003")
    command = VoidRequested(counter.origin(10_000, merchant=other), named(sale), sale.rrn)
    assert "25" == await code_of(void(counter.ports, command))
    assert (SOLD, State.APPROVED) == (counter.money, counter.state(sale))
