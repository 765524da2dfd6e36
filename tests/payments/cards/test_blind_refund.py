"""Refunds of what nobody here knows, the handler alone: by right, within the debt limit."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from counter import (
    NOTHING,
    PAN,
    SCHEME,
    Counter,
    Owed,
    code_of,
)
from origins import BANK, MERCHANT
from ports import kinds_of, replied

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.accounts.postings import merchant_debt_account
from acquirer.ledger.journal.entries import (
    Entry,
)
from acquirer.payments.cards.refund import RefundRequested, refund
from acquirer.routing.banks.choice import RouteRule, route_table
from acquirer.routing.outcomes import NoReply

pytestmark = pytest.mark.anyio

DEBT = merchant_debt_account(MERCHANT.merchant_id)
RETURNS_FEE = msgspec.structs.replace(MERCHANT, refund=True, refund_fee="return")
BLIND = msgspec.structs.replace(RETURNS_FEE, blind_refund=True, debt_limit_minor=1_000)


def _advice(entry: Entry) -> Owed:
    return Owed(BankMessage.REFUND, entry.id, "98")


def _blind(counter: Counter, amount_minor: int | None, **changes: Any) -> RefundRequested:
    return RefundRequested(counter.origin(amount_minor, **{"merchant": BLIND} | changes), PAN)


async def test_a_merchant_may_be_allowed_to_refund_what_nobody_knows(counter: Counter) -> None:
    """At the bank that the card leads to, within his debt limit; no fee goes back."""
    command = _blind(counter, 1_000)
    assert "00" == await code_of(refund(counter.ports, command))
    assert (None, BANK) == (
        counter.entry(command.origin).original_id,
        counter.entry(command.origin).bank,
    )
    assert {DEBT: 1_000, SCHEME: -1_000} == counter.money
    assert "51" == await code_of(refund(counter.ports, _blind(counter, 1)))
    assert ([BankMessage.REFUND], None) == (
        kinds_of(counter.banks.sent),
        counter.banks.sent[0].original,
    )


async def test_a_blind_refund_that_cannot_be_made() -> None:
    """25 without the right, 13 for nothing, 92 without route, the bank's own code."""
    counter = Counter(routes=route_table([RouteRule(BANK, bins=["6"])], [BANK]))
    for code, amount_minor, changes in [
        ("25", 100, {"merchant": RETURNS_FEE}),
        ("13", 0, {}),
        ("13", None, {}),
    ]:
        blind = _blind(counter, amount_minor, **changes)
        assert code == await code_of(refund(counter.ports, blind))
    counter.banks.outcomes = [replied("14")]
    assert "14" == await code_of(refund(counter.ports, _blind(counter, 100)))
    counter.business = Counter(routes=route_table([RouteRule(BANK, bins=["4"])], [BANK])).business
    assert "92" == await code_of(refund(counter.ports, _blind(counter, 100)))
    assert (NOTHING, NOTHING, []) == (counter.money, counter.held, counter.owed)


async def test_a_blind_refund_without_answer_stands(counter: Counter) -> None:
    """As any other; and after a crash too."""
    counter.banks.outcomes = [NoReply()]
    command = _blind(counter, 1_000)
    assert "00" == await code_of(refund(counter.ports, command))
    assert [_advice(counter.entry(command.origin))] == counter.owed
    assert ({DEBT: 1_000, SCHEME: -1_000}, NOTHING) == (counter.money, counter.held)


async def test_a_blind_refund_in_another_currency_is_refused(counter: Counter) -> None:
    """13, as the merchant's debt limit is one of its own currency, not one of each there is."""
    command = _blind(counter, 1_000, currency_code="840")
    assert "13" == await code_of(refund(counter.ports, command))
    assert (NOTHING, NOTHING, []) == (counter.money, counter.held, counter.banks.sent)


async def test_a_suspended_merchant_refunds_only_what_it_names(counter: Counter) -> None:
    """What nobody knows gets 25: nothing holds the money to a payment that there was."""
    suspended = msgspec.structs.replace(BLIND, suspended=True)
    command = _blind(counter, 100, merchant=suspended)
    assert "25" == await code_of(refund(counter.ports, command))
    assert ({}, []) == (counter.money, counter.banks.sent)
