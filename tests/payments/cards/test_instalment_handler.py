"""The instalment's handler alone: what it offers, asks of the bank, posts and gives back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from counter import (
    CARD,
    NOTHING,
    PAYABLE,
    SCHEME,
    Counter,
    answered,
    code_of,
    named,
    reversal_of,
)
from origins import BANK, MERCHANT
from ports import replied

from acquirer.codecs.instalments import InstalmentTerms
from acquirer.config.business import InstalmentPlanSettings
from acquirer.ledger.accounts.postings import MDR_INCOME
from acquirer.ledger.journal.entries import (
    Entry,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.cards.instalment import InstalmentRequested, instalment
from acquirer.payments.cards.refund import RefundRequested, refund
from acquirer.payments.cards.void import VoidRequested, void
from acquirer.payments.kernel.commands import Answer, Repeat
from acquirer.payments.kernel.stand_in import StandInRule
from acquirer.routing.outcomes import NoReply, NotSent

pytestmark = pytest.mark.anyio

PLAN = InstalmentPlanSettings("P03A", [3], [BANK], 10_000, 500_000, 15_000)
ALLOWED = msgspec.structs.replace(
    MERCHANT, plans=["P03A", "OLD", "NEW"], refund=True, debt_limit_minor=10**6
)
TERMS = InstalmentTerms(3, "P03A", False)
TOLD = "0000000348341560000000015000"


def a_counter(**changes: Any) -> Counter:
    """A counter whose merchant offers a plan, and some that are not for today."""
    plan = msgspec.structs.replace(PLAN, **changes)
    old = msgspec.structs.replace(PLAN, id="OLD", valid_to="2026-11-20")
    new = msgspec.structs.replace(PLAN, id="NEW", valid_from="2026-11-22")
    others = msgspec.structs.replace(PLAN, id="OTHERS")
    return Counter(plans={one.id: one for one in (plan, old, new, others)})


def asked(
    counter: Counter, amount_minor: int = 100_000, terms: InstalmentTerms = TERMS, **changes: Any
) -> InstalmentRequested:
    """A card's holder asks for a plan."""
    origin = counter.origin(amount_minor, **{"merchant": ALLOWED} | changes)
    return InstalmentRequested(origin, CARD, terms)


async def sold(counter: Counter, **changes: Any) -> tuple[Answer, Entry]:
    """An instalment: its answer and its entry."""
    command = asked(counter, **changes)
    answer = answered(await instalment(counter.ports, command))
    return answer, counter.entry(command.origin)


async def test_it_posts_as_a_sale_and_says_what_is_repaid() -> None:
    """The bank is told of the plan; the plan's own fee comes on top, and rounds with the other."""
    counter = a_counter(merchant_ppm=1_005)
    answer, entry = await sold(counter)
    assert ("00", TOLD, State.APPROVED) == (
        answer.response_code,
        answer.reply.repayment,
        entry.state,
    )
    assert "IN03303P03A" + " " * 26 + "0" == counter.banks.sent[0].additional
    fee_minor = 1_301
    assert {SCHEME: 100_000, PAYABLE: fee_minor - 100_000, MDR_INCOME: -fee_minor} == counter.money


async def test_the_banks_word_on_the_repayment_counts() -> None:
    """Where it brings one of the same currency and fee; else the plan's is told, and it stands."""
    other = "0000000400001560000000020000"
    for brought, told in (
        ("IR028" + other, other),
        ("IR028" + other[:-1] + "1", TOLD),
        ("IR003ABC", TOLD),
        ("nonsense", TOLD),
        ("", TOLD),
    ):
        counter = a_counter()
        counter.banks.outcomes = [replied("00", "A12345", DE48=brought)]
        answer, _ = await sold(counter)
        assert ("00", told) == (answer.response_code, answer.reply.repayment), brought


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"terms": InstalmentTerms(6, "P03A", False)}, "57"),
        ({"terms": InstalmentTerms(3, "P99", False)}, "57"),
        ({"terms": InstalmentTerms(3, "OTHERS", False)}, "57"),
        ({"terms": InstalmentTerms(3, "OLD", False)}, "57"),
        ({"terms": InstalmentTerms(3, "NEW", False)}, "57"),
        ({"merchant": MERCHANT}, "57"),
        ({"amount_minor": 500_001}, "61"),
        ({"amount_minor": 9_999}, "13"),
        ({"amount_minor": 0}, "13"),
    ],
)
async def test_what_is_not_offered(changes: dict[str, Any], code: str) -> None:
    """Refused and recorded; the bank hears nothing."""
    counter = a_counter()
    answer, entry = await sold(counter, **changes)
    assert (code, State.REFUSED, []) == (answer.response_code, entry.state, counter.banks.sent)
    assert "" == answer.reply.repayment


async def test_a_card_of_another_bank_is_refused() -> None:
    """57: it is not that bank's plan."""
    counter = a_counter(banks=["other"])
    answer, _ = await sold(counter)
    assert ("57", []) == (answer.response_code, counter.banks.sent)


async def test_the_bank_decides() -> None:
    """Its refusal is the answer; silence is undone; nobody stands in for it."""
    counter = a_counter()
    counter.banks.outcomes = [replied("51"), NoReply(), NotSent("link down")]
    declined, _ = await sold(counter)
    assert ("51", "") == (declined.response_code, declined.reply.repayment)
    silent, entry = await sold(counter)
    assert ("98", [reversal_of(entry)]) == (silent.response_code, counter.owed)
    anybody = StandInRule(10**6, kinds=(Kind.INSTALMENT,), known_cards_only=False)
    ruled = replace(counter.business, stand_in=(anybody,))
    away, _ = await sold(counter, business=ruled)
    assert ("91", NOTHING) == (away.response_code, counter.money)


async def test_the_same_again_is_a_repeat() -> None:
    """It is asked once."""
    counter = a_counter()
    command = asked(counter)
    assert "00" == await code_of(instalment(counter.ports, command))
    assert isinstance(await instalment(counter.ports, command), Repeat)
    assert 1 == len(counter.banks.sent)


async def test_its_void_and_what_is_not() -> None:
    """The whole amount only (64); a sale's void does not find it (25)."""
    counter = a_counter()
    _, entry = await sold(counter)

    def a_void(amount_minor: int = 100_000, of: Kind = Kind.INSTALMENT) -> VoidRequested:
        return VoidRequested(counter.origin(amount_minor), named(entry), entry.rrn, of=of)

    assert "25" == await code_of(void(counter.ports, a_void(of=Kind.SALE)))
    assert "64" == await code_of(void(counter.ports, a_void(99_999)))
    assert "64" == await code_of(void(counter.ports, a_void(100_001)))
    voiding = a_void()
    assert "00" == await code_of(void(counter.ports, voiding))
    assert (State.VOIDED, NOTHING) == (counter.state(entry), counter.money)
    assert "00" == (await counter.reverse(voiding.origin)).response_code
    assert State.APPROVED is counter.state(entry)


async def test_reversals() -> None:
    """An approved one is undone; of a voided one the void stands, and the instalment is over."""
    counter = a_counter()
    command = asked(counter)
    await instalment(counter.ports, command)
    assert "00" == (await counter.reverse(command.origin)).response_code
    assert (State.REVERSING, NOTHING) == (
        counter.entry(command.origin).state,
        counter.money,
    )
    again = asked(counter)
    await instalment(counter.ports, again)
    entry = counter.entry(again.origin)
    about = VoidRequested(counter.origin(100_000), named(entry), entry.rrn, of=Kind.INSTALMENT)
    assert "00" == await code_of(void(counter.ports, about))
    assert "00" == (await counter.reverse(again.origin)).response_code
    assert (State.REVERSED, NOTHING) == (counter.state(entry), counter.money)


async def test_refunds() -> None:
    """On its own business date the whole only (64); a part afterwards."""
    counter = a_counter()
    _, entry = await sold(counter)

    def a_refund(amount_minor: int, **changes: Any) -> RefundRequested:
        origin = counter.origin(amount_minor, **{"merchant": ALLOWED} | changes)
        return RefundRequested(origin, CARD.pan, rrn=entry.rrn)

    assert "64" == await code_of(refund(counter.ports, a_refund(99_999)))
    assert "64" == await code_of(refund(counter.ports, a_refund(100_001)))
    tomorrow_ms = counter.clock.at_ms + 86_400_000
    assert "00" == await code_of(refund(counter.ports, a_refund(40_000, now_ms=tomorrow_ms)))
    assert "61" == await code_of(refund(counter.ports, a_refund(60_001, now_ms=tomorrow_ms)))
    assert "00" == await code_of(refund(counter.ports, a_refund(60_000, now_ms=tomorrow_ms)))
    assert State.REFUNDED is counter.state(entry)
