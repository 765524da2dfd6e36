"""What of a payment's fee goes back to the merchant with a refund."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from origins import MERCHANT

from acquirer.ledger.accounts.postings import FeeRate, card_sale, refund
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.orders.refunds import returned_fee

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("basis_points", "fees_minor"),
    [(120, [0] * 9), (500, [1] + [0] * 8), (9_630, [3] + [2] * 8), (10_000, [3] * 9)],
)
async def test_a_part_returns_no_more_fee_than_it_was_paid(
    basis_points: int, fees_minor: list[int]
) -> None:
    """The largest part has the remainder of the split; its refund posts what its card gets."""
    posted = card_sale(27, FeeRate(basis_points), bank="demo", merchant_id="M1")
    parts: list[Any] = [
        SimpleNamespace(id=place, kind=Kind.ORDER_SHARE, amount_minor=3) for place in range(9)
    ]

    async def postings_of_event(_: int) -> Any:
        return posted

    async def entries_of_original(_: int) -> Any:
        return parts

    book = SimpleNamespace(
        postings_of_event=postings_of_event, entries_of_original=entries_of_original
    )
    ports: Any = SimpleNamespace(book=book)
    payment: Any = SimpleNamespace(id=99, merchant_id="M1")
    merchant = msgspec.structs.replace(MERCHANT, refund_fee="return")
    fees = [await returned_fee(ports, merchant, payment, one) for one in parts]
    assert fees_minor == fees
    for fee_minor in fees:
        lines = refund(3, fee_minor, 10_000, bank="demo", merchant_id="M1")
        assert all(line.amount_minor > 0 for line in lines)
        assert 3 == sum(line.amount_minor for line in lines)
