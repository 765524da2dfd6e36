"""Payment in cash, the handler alone: what it costs, and how much a courier may have in hand."""

from __future__ import annotations

import msgspec
import pytest
from counter import (
    IN_HAND,
    PAYABLE,
    Counter,
)
from origins import COURIER, MERCHANT

from acquirer.codecs.order_codes import Means
from acquirer.ledger.accounts.postings import COD_FEE_INCOME
from acquirer.ledger.accounts.transfer_steps import Post, Posting
from acquirer.ledger.journal.entries import (
    State,
)

pytestmark = pytest.mark.anyio


async def test_cash_has_a_fee_of_its_own() -> None:
    """Basis points and a fixed amount, as the merchant's contract says."""
    merchant = msgspec.structs.replace(MERCHANT, cod_basis_points=50, cod_fixed_minor=7)
    counter = Counter(merchants={merchant.merchant_id: merchant})
    counter.owes("O1")
    await counter.pay("O1", means=Means.CASH, merchant=merchant)
    assert {IN_HAND: 10_000, PAYABLE: -9_943, COD_FEE_INCOME: -57} == counter.money


def _limited(limit_minor: int) -> Counter:
    courier = msgspec.structs.replace(COURIER, cash_limit_minor=limit_minor)
    counter = Counter(couriers={courier.courier_id: courier})
    counter.owes("O1", 6_000)
    counter.owes("O2", 4_000)
    return counter


async def test_a_courier_has_no_more_cash_in_hand_than_his_limit() -> None:
    """61 above it, 00 up to it; by card he may go on."""
    counter = _limited(10_000)
    await counter.pay("O1", 6_000, Means.CASH)
    counter.owes("O3", 4_001)
    assert "61" == (await counter.pay("O3", 4_001, Means.CASH))[0].response_code
    assert "00" == (await counter.pay("O2", 4_000, Means.CASH))[0].response_code
    assert "61" == (await counter.pay("O3", 4_001, Means.CASH))[0].response_code
    assert 10_000 == counter.money[IN_HAND]
    assert "00" == (await counter.pay("O3", 4_001))[0].response_code


async def test_the_cash_limit_is_decided_in_the_commit() -> None:
    """What he takes elsewhere between read and commit counts."""
    counter = _limited(10_000)
    taken = Posting(IN_HAND, PAYABLE, 7_000, "cash")
    counter.books.meanwhile = [
        lambda: counter.books.apply(Post(999, "156", "2026-11-21", (taken,)))
    ]
    answer, entry = await counter.pay("O1", 6_000, Means.CASH)
    assert ("61", State.REFUSED) == (answer.response_code, entry.state)
    assert {IN_HAND: 7_000, PAYABLE: -7_000} == counter.money
