"""Cards that are not there: a code that is shown, and orders by mail or telephone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from counter import CARD, NOTHING, PAN, SOLD, Counter, code_of, named, reversal_of
from origins import BANK, MERCHANT

from acquirer.ledger.journal.entries import (
    Entry,
    State,
)
from acquirer.payments.cards.balance import BalanceRequested, balance
from acquirer.payments.cards.refund import RefundRequested, refund
from acquirer.payments.cards.sale import SaleRequested, sale
from acquirer.payments.cards.void import VoidRequested, void
from acquirer.payments.kernel.commands import PresentedCard
from acquirer.payments.kernel.stand_in import StandInRule
from acquirer.routing.banks.choice import RouteRule, route_table
from acquirer.routing.outcomes import NoReply, NotSent

pytestmark = pytest.mark.anyio

GIVING = msgspec.structs.replace(MERCHANT, refund=True, debt_limit_minor=10**6)
KEYING = msgspec.structs.replace(GIVING, keyed=True)
MAILING = msgspec.structs.replace(KEYING, moto=True)
CODE = "6225881234567890123"
SHOWN = PresentedCard(None, entry_mode="032", condition_code="00", code=CODE)
KEYED = PresentedCard(PAN, expiry="3012", entry_mode="012", condition_code="00", cvn2="987")
MAILED = msgspec.structs.replace(KEYED, condition_code="08")


async def sold(counter: Counter, card: PresentedCard, **changes: Any) -> tuple[str, Entry]:
    """A sale of 100.00: its response code and its entry."""
    origin = counter.origin(10_000, **{"merchant": GIVING} | changes)
    return await code_of(sale(counter.ports, SaleRequested(origin, card))), counter.entry(origin)


async def test_a_code_is_asked_of_its_bank_without_a_card(counter: Counter) -> None:
    """The code leads to the bank and is told to it; nothing of it is kept."""
    code, entry = await sold(counter, SHOWN)
    assert ("00", State.APPROVED, SOLD) == (code, entry.state, counter.money)
    (asked,) = counter.banks.sent
    assert (None, f"QR019{CODE}", "032") == (asked.pan, asked.additional, asked.entry_mode)
    assert (None, BANK) == (entry.card, entry.bank)
    assert CODE not in repr((entry, asked, SHOWN))


async def test_a_code_goes_where_its_first_digits_lead() -> None:
    """As a card number would; nowhere is 92."""
    counter = Counter(routes=route_table([RouteRule(BANK, bins=["622588"])], [BANK]))
    assert "00" == (await sold(counter, SHOWN))[0]
    strange = msgspec.structs.replace(SHOWN, code="9" * 19)
    assert "92" == (await sold(counter, strange))[0]


async def test_a_payment_by_a_code_is_undone_without_a_card(counter: Counter) -> None:
    """Reversal, void and refund name it by its numbers; with a card they are another's (14)."""
    counter.banks.outcomes = [NoReply()]
    code, silent = await sold(counter, SHOWN)
    assert ("98", [reversal_of(silent)]) == (code, counter.owed)
    counter.banks.outcomes = Counter().banks.outcomes
    _, entry = await sold(counter, SHOWN)
    origin = counter.origin(10_000, merchant=GIVING)
    with_card = VoidRequested(origin, named(entry), entry.rrn, PAN)
    assert "14" == await code_of(void(counter.ports, with_card))
    voided = VoidRequested(counter.origin(10_000), named(entry), entry.rrn)
    assert "00" == await code_of(void(counter.ports, voided))
    assert (None, NOTHING) == (counter.banks.sent[-1].pan, counter.money)


async def test_a_refund_of_a_payment_by_a_code(counter: Counter) -> None:
    """Without a card; and one without a card gives back no card's payment, and no unknown one."""
    _, entry = await sold(counter, SHOWN)
    _, by_card = await sold(counter, CARD)

    def a_refund(of: Entry, pan: Any = None, **changes: Any) -> RefundRequested:
        origin = counter.origin(10_000, **{"merchant": GIVING} | changes)
        return RefundRequested(origin, pan, rrn=of.rrn)

    assert "14" == await code_of(refund(counter.ports, a_refund(entry, PAN)))
    assert "14" == await code_of(refund(counter.ports, a_refund(by_card)))
    blind = msgspec.structs.replace(GIVING, blind_refund=True)
    nobodys = replace(entry, rrn="632500009999")
    assert "25" == await code_of(refund(counter.ports, a_refund(nobodys, merchant=blind)))
    assert "00" == await code_of(refund(counter.ports, a_refund(entry)))
    assert (None, State.REFUNDED) == (counter.banks.sent[-1].pan, counter.state(entry))


@pytest.mark.parametrize("card", [SHOWN, MAILED])
async def test_nobody_stands_in_for_what_only_the_bank_can_check(card: PresentedCard) -> None:
    """A code, a CVN2: 91 where the bank is away."""
    anybody = StandInRule(10**6, known_cards_only=False)
    counter = Counter(stand_in=(anybody,))
    counter.banks.outcomes = [NotSent("link down")]
    code, _ = await sold(counter, card, merchant=MAILING)
    assert ("91", NOTHING, []) == (code, counter.money, counter.owed)


@pytest.mark.parametrize(
    ("card", "merchant", "code"),
    [
        (KEYED, GIVING, "58"),
        (KEYED, KEYING, "00"),
        (MAILED, KEYING, "58"),
        (MAILED, msgspec.structs.replace(GIVING, moto=True), "58"),
        (MAILED, MAILING, "00"),
    ],
)
async def test_who_may_key_a_card_in(
    counter: Counter, card: PresentedCard, merchant: Any, code: str
) -> None:
    """Keyed entry and orders by mail are rights of the merchant's; the CVN2 is told to the bank."""
    got, entry = await sold(counter, card, merchant=merchant)
    assert code == got
    assert [request.additional for request in counter.banks.sent] == ["CV003987"] * (code == "00")
    assert "987" not in repr(entry.reply)
    origin = counter.origin(merchant=merchant)
    assert code == await code_of(balance(counter.ports, BalanceRequested(origin, card)))


async def test_an_order_by_mail_is_undone_with_the_right_to_it(counter: Counter) -> None:
    """Void and refund of condition 08 need it, too."""
    _, entry = await sold(counter, MAILED, merchant=MAILING)
    for merchant, code in ((GIVING, "58"), (KEYING, "58"), (MAILING, "00")):
        origin = counter.origin(4_000, merchant=merchant)
        about = RefundRequested(origin, PAN, rrn=entry.rrn, condition_code="08")
        assert code == await code_of(refund(counter.ports, about))
    _, entry = await sold(counter, MAILED, merchant=MAILING)
    for merchant, code in ((GIVING, "58"), (MAILING, "00")):
        origin = counter.origin(10_000, merchant=merchant)
        about_sale = VoidRequested(origin, named(entry), entry.rrn, PAN, condition_code="08")
        assert code == await code_of(void(counter.ports, about_sale))
