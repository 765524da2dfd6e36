"""Instalments: what a terminal asks for in DE62, and what it is told there. Pure.

Asked for are 33 ASCII characters: periods 2 digits, plan 30 with blanks on the right, fee 1 digit.
Told are 28 digits: the first repayment 12, currency 3, the whole fee 12, the same fee digit. A bank
core is asked and answers the same in DE48, items ``IN`` and ``IR``.
Source: docs/interfaces/terminal.md, part 4 ("Instalment").
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from acquirer.codecs.errors import RemoteFormatError

PERIODS_MIN = 2
PLAN_CHARACTERS = 30
PARTS_PER_MILLION = 1_000_000
_ASKED = re.compile(rf"([0-9]{{2}})(?=.{{{PLAN_CHARACTERS}}}[01]\Z)([0-9A-Za-z]+) *([01])")
_TOLD = re.compile(r"([0-9]{12})([0-9]{3})([0-9]{12})([01])")


@dataclass(frozen=True, slots=True)
class InstalmentTerms:
    """What is asked for.

    Attributes:
        periods: how many repayments.
        plan_id: up to 30 letters and digits.
        is_spread: whether the fee is spread over the repayments; else it comes with the first.
    """

    periods: int
    plan_id: str
    is_spread: bool

    @classmethod
    def parse(cls, text: str, field: str = "62") -> InstalmentTerms:
        """Read the 33 characters.

        >>> InstalmentTerms.parse("06P06" + " " * 27 + "0")
        InstalmentTerms(periods=6, plan_id='P06', is_spread=False)

        Raises:
            RemoteFormatError: they are not such, or of fewer than two periods.
        """
        found = _ASKED.fullmatch(text)
        if found is None or int(found[1]) < PERIODS_MIN:
            raise RemoteFormatError(
                "an instalment is periods from 02, a plan of 30 characters and 0 or 1", field=field
            )
        return cls(int(found[1]), found[2], found[3] == "1")

    def format(self) -> str:
        """The 33 characters."""
        plan = self.plan_id.ljust(PLAN_CHARACTERS)
        return f"{self.periods:02d}{plan}{int(self.is_spread)}"


@dataclass(frozen=True, slots=True)
class Repayment:
    """What is told.

    Attributes:
        first_minor: the first repayment, with what of the fee comes with it.
        fee_minor: the whole fee.
        is_spread: as it was asked for.
    """

    first_minor: int
    currency_code: str
    fee_minor: int
    is_spread: bool

    @classmethod
    def of(
        cls, amount_minor: int, terms: InstalmentTerms, buyer_ppm: int, currency_code: str
    ) -> Repayment:
        """An amount under a plan: the fee rounded half up once, remainders in the first repayment.

        Args:
            buyer_ppm: the fee on the amount, over all periods, in parts per million.

        >>> plan = InstalmentTerms(3, "P03A", True)
        >>> Repayment.of(100_000, plan, 15_000, "156").format()
        '0000000338341560000000015001'
        """
        fee_minor = (amount_minor * buyer_ppm + PARTS_PER_MILLION // 2) // PARTS_PER_MILLION
        first_fee_minor = _first(fee_minor, terms.periods) if terms.is_spread else fee_minor
        first_minor = _first(amount_minor, terms.periods) + first_fee_minor
        return cls(first_minor, currency_code, fee_minor, terms.is_spread)

    @classmethod
    def parse(cls, text: str, field: str = "62") -> Repayment:
        """Read the 28 digits.

        Raises:
            RemoteFormatError: they are not such.
        """
        found = _TOLD.fullmatch(text)
        if found is None:
            raise RemoteFormatError("what an instalment brings is 28 digits", field=field)
        return cls(int(found[1]), found[2], int(found[3]), found[4] == "1")

    def format(self) -> str:
        """The 28 digits."""
        amounts = f"{self.first_minor:012d}{self.currency_code}{self.fee_minor:012d}"
        return f"{amounts}{int(self.is_spread)}"


def _first(amount_minor: int, periods: int) -> int:
    return amount_minor - (periods - 1) * (amount_minor // periods)
