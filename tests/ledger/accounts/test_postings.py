"""Posting rules: fees, splits and the transfers of a sale."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.ledger.accounts.postings import FeeRate, card_sale, fee_minor, split_minor

amounts = st.integers(0, 10**12)
rates = st.builds(
    FeeRate,
    basis_points=st.integers(0, 10_000),
    fixed_minor=st.integers(0, 500),
)


@given(amounts, rates)
def test_a_sale_posts_exactly_its_amount(amount_minor: int, rate: FeeRate) -> None:
    """Net and fee sum to the amount, and no posting is of zero."""
    postings = card_sale(amount_minor, rate, bank="demo", merchant_id="M1")
    assert amount_minor == sum(posting.amount_minor for posting in postings)
    assert all(posting.amount_minor > 0 for posting in postings)
    assert {"assets:scheme:demo"} >= {posting.debit for posting in postings}


@pytest.mark.parametrize(
    ("amount_minor", "rate", "fee"),
    [
        (10_000, FeeRate(120), 120),
        (41, FeeRate(120), 0),
        (42, FeeRate(120), 1),
        (125, FeeRate(120), 2),
        (10_000, FeeRate(120, fixed_minor=30), 150),
        (5, FeeRate(0, fixed_minor=10), 5),
        (10_000, FeeRate(), 0),
    ],
)
def test_fees_round_half_up_within_their_bounds(amount_minor: int, rate: FeeRate, fee: int) -> None:
    """Rounded once, and never above the payment."""
    assert fee == fee_minor(amount_minor, rate)


def test_a_zero_fee_gives_no_fee_posting() -> None:
    """The merchant gets all."""
    (posting,) = card_sale(500, FeeRate(), bank="demo", merchant_id="M1")
    assert (posting.credit, posting.amount_minor) == ("liabilities:merchant:M1", 500)


@given(st.integers(0, 10**9), st.lists(st.integers(0, 1000), min_size=1, max_size=8).filter(any))
def test_a_split_sums_and_the_largest_part_takes_the_remainder(
    total_minor: int, weights: list[int]
) -> None:
    """No cent is lost; every part but the largest is rounded down."""
    parts = split_minor(total_minor, weights)
    largest = weights.index(max(weights))
    assert total_minor == sum(parts)
    assert [total_minor * weight // sum(weights) for weight in weights][:largest] == parts[:largest]
    assert 0 <= parts[largest] - total_minor * weights[largest] // sum(weights) < len(weights)


def test_negative_rates_are_refused() -> None:
    """A fee that pays the merchant is a mistake of the configuration."""
    with pytest.raises(ValueError, match="no negative parts"):
        FeeRate(-1)
