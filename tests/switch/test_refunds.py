"""What of a payment's fee goes back to the merchant with a refund."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.ledger.postings import FeeRate, card_sale, fee_minor, refund
from acquirer.switch.refunds import returned_fee

pytestmark = pytest.mark.anyio


@given(st.lists(st.integers(1, 20), min_size=1, max_size=9), st.integers(0, 10_000), st.data())
async def test_a_part_returns_no_more_fee_than_it_was_paid(
    amounts: list[int], basis_points: int, data: st.DataObject
) -> None:
    """The largest part has the remainder of the split; its refund posts what its card gets."""
    rate = FeeRate(basis_points)
    posted = card_sale(sum(amounts), rate, bank="demo", merchant_id="M1")
    parts = [
        SimpleNamespace(id=place, kind="order_part", amount_minor=amount)
        for place, amount in enumerate(amounts)
    ]

    async def postings_of_event(_: int) -> Any:
        return posted

    async def entries_of_original(_: int) -> Any:
        return parts

    context: Any = SimpleNamespace(
        merchants={"M1": SimpleNamespace(refund_fee="return")},
        book=SimpleNamespace(
            postings_of_event=postings_of_event, entries_of_original=entries_of_original
        ),
    )
    payment: Any = SimpleNamespace(id=99, merchant_id="M1")
    one: Any = data.draw(st.sampled_from(parts))
    fee = await returned_fee(context, payment, one)
    assert 0 <= fee <= min(one.amount_minor, fee_minor(sum(amounts), rate))
    lines = refund(one.amount_minor, fee, 10_000, bank="demo", merchant_id="M1")
    assert all(line.amount_minor > 0 for line in lines)
    assert one.amount_minor == sum(line.amount_minor for line in lines)
