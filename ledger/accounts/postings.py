"""Posting rules: from a business fact to the transfers that record it. Pure, integers only.

One function per row of the postings table in the design documents, from which the account names
and the rounding rules come: a fee is rounded half up once per payment, and the remainder of a
split goes to the largest part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from acquirer.ledger.accounts.transfer_steps import Posting

MDR_INCOME = "income:mdr"
COD_FEE_INCOME = "income:cod-fee"
CASH_EXCESS_INCOME = "income:cash-excess"
# The code of a fee that goes back to the merchant with a refund.
MDR_RETURNED = "mdr-returned"


@dataclass(frozen=True, slots=True)
class FeeRate:
    """What a merchant pays for one payment.

    Attributes:
        basis_points: hundredths of a per cent of the amount.
        fixed_minor: added to that, minor units.
        ppm: millionths of the amount beside the basis points; both round together.
    """

    basis_points: int = 0
    fixed_minor: int = 0
    ppm: int = 0

    def __post_init__(self) -> None:
        if min(self.basis_points, self.fixed_minor, self.ppm) < 0:
            raise ValueError("a fee rate has no negative parts")


def fee_minor(amount_minor: int, rate: FeeRate) -> int:
    """The fee on one payment, rounded half up once, never above the payment itself.

    Args:
        amount_minor: the payment, minor units, at least 0.
        rate: the merchant's rate.

    Returns:
        Minor units, 0 to ``amount_minor``.

    >>> fee_minor(10000, FeeRate(basis_points=120))
    120
    >>> fee_minor(125, FeeRate(basis_points=120))
    2
    """
    share = (amount_minor * (rate.basis_points * 100 + rate.ppm) + 500_000) // 1_000_000
    return min(share + rate.fixed_minor, amount_minor)


def split_minor(total_minor: int, weights: Sequence[int]) -> list[int]:
    """Split an amount by weights; what rounding down leaves goes to the largest part.

    Args:
        total_minor: minor units, at least 0.
        weights: at least one, none negative, not all zero.

    Returns:
        One amount per weight; they sum to ``total_minor``.

    >>> split_minor(100, [1, 1, 1])
    [34, 33, 33]
    """
    whole = sum(weights)
    if whole <= 0 or min(weights) < 0:
        raise ValueError("weights are not negative, and one is above zero")
    parts = [total_minor * weight // whole for weight in weights]
    parts[max(range(len(weights)), key=weights.__getitem__)] += total_minor - sum(parts)
    return parts


def scheme_account(bank: str) -> str:
    """The receivable from the scheme behind a bank group."""
    return f"assets:scheme:{bank}"


def merchant_account(merchant_id: str) -> str:
    """What is owed to a merchant."""
    return f"liabilities:merchant:{merchant_id}"


def merchant_debt_account(merchant_id: str) -> str:
    """What a merchant owes, for whom nothing is left to take it from."""
    return f"assets:merchant-debt:{merchant_id}"


def courier_account(courier_id: str) -> str:
    """Cash that a courier has in hand and owes."""
    return f"assets:courier:{courier_id}"


def station_account(station: str) -> str:
    """Cash that lies at a station."""
    return f"assets:station:{station}"


def card_sale(
    amount_minor: int, rate: FeeRate, *, bank: str, merchant_id: str
) -> tuple[Posting, ...]:
    """Transfers of an approved card sale: the merchant gets the net, the fee is income.

    They sum to the amount. A fee of zero gives no fee posting, a net of zero no posting to the
    merchant, an amount of zero none at all.

    >>> [p.amount_minor for p in card_sale(
    ...     10000, FeeRate(basis_points=120), bank="demo", merchant_id="M1")]
    [9880, 120]
    """
    fee = fee_minor(amount_minor, rate)
    receivable = scheme_account(bank)
    net = Posting(receivable, merchant_account(merchant_id), amount_minor - fee, "sale")
    income = Posting(receivable, MDR_INCOME, fee, "mdr")
    return tuple(posting for posting in (net, income) if posting.amount_minor)


def tip(
    sale_minor: int, tip_minor: int, rate: FeeRate, *, bank: str, merchant_id: str
) -> tuple[Posting, ...]:
    """Transfers of a tip: its fee is that of the whole less that of the sale.

    >>> [p.amount_minor for p in tip(
    ...     10040, 1000, FeeRate(basis_points=120), bank="demo", merchant_id="M1")]
    [988, 12]
    """
    fee = fee_minor(sale_minor + tip_minor, rate) - fee_minor(sale_minor, rate)
    receivable = scheme_account(bank)
    net = Posting(receivable, merchant_account(merchant_id), tip_minor - fee, "tip")
    income = Posting(receivable, MDR_INCOME, fee, "mdr")
    return tuple(posting for posting in (net, income) if posting.amount_minor)


def preauth(amount_minor: int, *, bank: str, merchant_id: str) -> tuple[Posting, ...]:
    """Transfers of a pre-authorisation, to be pending: what the merchant may get of the scheme."""
    return (Posting(scheme_account(bank), merchant_account(merchant_id), amount_minor, "preauth"),)


def completion(
    amount_minor: int, held_minor: int, rate: FeeRate, *, bank: str, merchant_id: str
) -> tuple[int, tuple[Posting, ...]]:
    """What a completion posts of the pending transfer, and its further transfers.

    Together they are those of a card sale.

    Args:
        amount_minor: what is taken, minor units, above 0; it may be above what was held.
        held_minor: the pending transfer's amount.

    >>> taken, more = completion(
    ...     11000, 10000, FeeRate(basis_points=120), bank="demo", merchant_id="M1")
    >>> taken, [(p.credit, p.amount_minor) for p in more]
    (10000, [('liabilities:merchant:M1', 868), ('income:mdr', 132)])
    """
    whole = card_sale(amount_minor, rate, bank=bank, merchant_id=merchant_id)
    payable = merchant_account(merchant_id)
    taken = min(sum(one.amount_minor for one in whole if one.credit == payable), held_minor)
    rest = (
        replace(one, amount_minor=one.amount_minor - taken) if one.credit == payable else one
        for one in whole
    )
    return taken, tuple(one for one in rest if one.amount_minor)


def refund(
    amount_minor: int, fee_minor: int, payable_minor: int, *, bank: str, merchant_id: str
) -> tuple[Posting, ...]:
    """Transfers of a refund: the merchant gives back the net, as far as we owe him anything.

    They sum to the amount.

    Args:
        amount_minor: what the card gets back, minor units, above 0.
        fee_minor: the share of the payment's fee that is returned, 0 up to the amount.
        payable_minor: what is owed to the merchant now; what it falls short of is his debt.

    >>> [(p.debit, p.amount_minor) for p in refund(
    ...     10000, 120, 9000, bank="demo", merchant_id="M1")]
    [('liabilities:merchant:M1', 9000), ('assets:merchant-debt:M1', 880), ('income:mdr', 120)]
    """
    receivable = scheme_account(bank)
    net = amount_minor - fee_minor
    covered = min(net, max(payable_minor, 0))
    parts = (
        Posting(merchant_account(merchant_id), receivable, covered, "refund"),
        Posting(merchant_debt_account(merchant_id), receivable, net - covered, "refund"),
        Posting(MDR_INCOME, receivable, fee_minor, MDR_RETURNED),
    )
    return tuple(posting for posting in parts if posting.amount_minor)


def cash_on_delivery(
    amount_minor: int, rate: FeeRate, *, courier_id: str, merchant_id: str
) -> tuple[Posting, ...]:
    """Transfers of an order paid in cash: the courier owes it, the merchant gets the net.

    >>> [p.debit for p in cash_on_delivery(2000, FeeRate(), courier_id="C1", merchant_id="M1")]
    ['assets:courier:C1']
    """
    fee = fee_minor(amount_minor, rate)
    cash = courier_account(courier_id)
    net = Posting(cash, merchant_account(merchant_id), amount_minor - fee, "cash")
    income = Posting(cash, COD_FEE_INCOME, fee, "cod-fee")
    return tuple(posting for posting in (net, income) if posting.amount_minor)


def cash_handed_in(
    expected_minor: int, counted_minor: int, *, courier_id: str, station: str
) -> tuple[Posting, ...]:
    """Transfers of a courier's hand-in: his account is empty afterwards, whatever he brought.

    What is missing stays his debt (shortage); what is too much is income until somebody claims it.

    Args:
        expected_minor: what he owes, minor units, at least 0.
        counted_minor: what lies on the table, minor units, at least 0.

    >>> short = cash_handed_in(500, 480, courier_id="C1", station="S1")
    >>> [(p.debit, p.amount_minor) for p in short]
    [('assets:station:S1', 480), ('assets:courier-shortage:C1', 20)]
    """
    cash, drawer = courier_account(courier_id), station_account(station)
    taken = min(expected_minor, counted_minor)
    parts = (
        Posting(drawer, cash, taken, "hand-in"),
        Posting(
            f"assets:courier-shortage:{courier_id}", cash, expected_minor - taken, "cash-shortage"
        ),
        Posting(drawer, CASH_EXCESS_INCOME, counted_minor - taken, "cash-excess"),
    )
    return tuple(posting for posting in parts if posting.amount_minor)
