"""The instalment plans of a bank: which it knows, and what a card's holder repays. Pure.

Source: docs/interfaces/bank-link.md, "DE48".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.instalments import InstalmentTerms, Repayment
from acquirer.config.business import InstalmentPlanSettings


@dataclass(frozen=True, slots=True)
class Plan:
    """What a plan offers.

    Attributes:
        counts: numbers of repayments.
        buyer_ppm: the fee, in millionths of the amount.
    """

    counts: tuple[int, ...]
    buyer_ppm: int


Plans = Mapping[str, Plan]
KNOWN: Plans = {
    "P03": Plan((3,), 20_000),
    "P06": Plan((6,), 40_000),
    "P12": Plan((12,), 80_000),
    "P03A": Plan((3,), 15_000),
}


def plans_of(bank: str, estate: Iterable[InstalmentPlanSettings]) -> Plans:
    """The plans that every bank simulator knows, and those of its estate."""
    own = {
        plan.id: Plan(tuple(plan.counts), plan.buyer_ppm) for plan in estate if bank in plan.banks
    }
    return {**KNOWN, **own}


def repayment_of(
    text: str, amount_minor: int, currency_code: str, plans: Plans
) -> Repayment | None:
    """What a holder repays who asks for these terms (``IN``); None where the bank has no such plan.

    >>> repayment_of("03P03" + " " * 27 + "0", 100_000, "156", KNOWN).format()
    '0000000353341560000000020000'
    """
    try:
        terms = InstalmentTerms.parse(text, "48.IN")
    except RemoteFormatError:
        return None
    plan = plans.get(terms.plan_id)
    if plan is None or terms.periods not in plan.counts:
        return None
    return Repayment.of(amount_minor, terms, plan.buyer_ppm, currency_code)
