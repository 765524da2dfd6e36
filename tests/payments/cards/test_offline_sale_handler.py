"""The offline sale's handler alone: what it takes, refuses and owes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from counter import CARD, NOTHING, SOLD, Counter, Owed, code_of
from origins import BANK, MERCHANT

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.errors import BookUnavailable
from acquirer.ledger.journal.entries import (
    State,
)
from acquirer.payments.cards.offline_sale import OfflineSaleTold, offline_sale
from acquirer.payments.cards.refund import RefundRequested, refund
from acquirer.payments.kernel.commands import Repeat
from acquirer.routing.banks.choice import RouteRule, route_table

pytestmark = pytest.mark.anyio

ALLOWED = msgspec.structs.replace(MERCHANT, offline_sale=True, refund=True, debt_limit_minor=10**6)


def told(counter: Counter, amount_minor: int = 10_000, **changes: Any) -> OfflineSaleTold:
    """A sale that was approved by phone, at a merchant who may tell of such."""
    origin = counter.origin(amount_minor, **{"merchant": ALLOWED} | changes)
    return OfflineSaleTold(origin, CARD, "P12345")


async def test_it_is_posted_and_owed_though_no_bank_is_up(counter: Counter) -> None:
    """Nobody is asked; the bank is owed an advice, and the answer has the code that was given."""
    counter.banks.up = False
    command = told(counter)
    assert "00" == await code_of(offline_sale(counter.ports, command))
    (entry,) = counter.entries
    assert (State.APPROVED, "P12345", "P12345", BANK) == (
        entry.state,
        entry.approval_code,
        entry.reply.approval_code,
        entry.bank,
    )
    assert (SOLD, [Owed(BankMessage.ADVICE, entry.id, "00")]) == (counter.money, counter.owed)
    (item,) = counter.books.rows.saf.values()
    assert (entry.bank_stan, entry.transmission_at) == (item.stan, item.transmission_at)
    assert [] == counter.banks.sent


async def test_told_again_it_is_a_repeat(counter: Counter) -> None:
    """It is taken once."""
    command = told(counter)
    assert "00" == await code_of(offline_sale(counter.ports, command))
    assert isinstance(await offline_sale(counter.ports, command), Repeat)
    assert (SOLD, 1) == (counter.money, len(counter.owed))


@pytest.mark.parametrize(
    ("changes", "amount_minor", "code"),
    [
        ({"merchant": MERCHANT}, 100, "58"),
        ({}, 0, "13"),
        ({"currency_code": "840"}, 100, "13"),
    ],
)
async def test_what_is_refused(
    counter: Counter, changes: dict[str, Any], amount_minor: int, code: str
) -> None:
    """No right, a sale of nothing, a currency that is not the merchant's: none posts or owes."""
    command = told(counter, amount_minor, **changes)
    assert code == await code_of(offline_sale(counter.ports, command))
    assert (NOTHING, [], State.REFUSED) == (
        counter.money,
        counter.owed,
        counter.entry(command.origin).state,
    )


async def test_a_card_of_no_bank_is_refused() -> None:
    """Nobody could be told of it (92)."""
    counter = Counter(routes=route_table([RouteRule(BANK, bins=["4"])], [BANK]))
    assert "92" == await code_of(offline_sale(counter.ports, told(counter)))
    assert (NOTHING, []) == (counter.money, counter.owed)


async def test_what_the_bank_cannot_be_told_is_refused(counter: Counter) -> None:
    """30, instead of an advice that can never leave."""
    counter.banks.unfit_field = 35
    assert "30" == await code_of(offline_sale(counter.ports, told(counter)))
    assert (NOTHING, []) == (counter.money, counter.owed)


async def test_without_books_nothing_is_answered(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The terminal tells it again."""

    async def full(*steps: Any) -> None:
        raise BookUnavailable("full")

    monkeypatch.setattr(counter.books, "commit", full)
    with pytest.raises(BookUnavailable):
        await offline_sale(counter.ports, told(counter))


async def test_a_refund_gives_it_back_once_its_bank_knows_of_it(counter: Counter) -> None:
    """Before that a bank would refuse the refund for good (12); after it, as any payment."""
    command = told(counter)
    assert "00" == await code_of(offline_sale(counter.ports, command))
    (sale,) = counter.entries
    asked = [
        RefundRequested(counter.origin(10_000, merchant=ALLOWED), CARD.pan, rrn=sale.rrn)
        for _ in range(2)
    ]
    assert "12" == await code_of(refund(counter.ports, asked[0]))
    counter.books.rows.saf.clear()
    assert "00" == await code_of(refund(counter.ports, asked[1]))
    assert State.REFUNDED is counter.state(sale)
