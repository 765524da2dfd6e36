"""How much may be paid on one business date: a step of the commit that it guards, and its refusal.

Pure values; ``ledger/store/limit_counts.py`` counts. Source: docs/configuration.md,
"Limits".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class LimitDaily:
    """Conditional on the payments that stand of a business date, this unit's own included.

    What was refused, declined, timed out, voided or reversed does not stand. Those counted are of
    one currency and of all ``merchants``; or of one terminal or one card, where it is given.

    Attributes:
        merchants: whose; empty for any, where it is about a card.
        terminal_id: of which terminal of theirs; empty for all.
        pan_token: with which card; empty for all.
        measure: their number, or the sum of their amounts.
        maximum: at most so many, or so much in minor units.
        response_code: what the payment is refused with that goes above it.
    """

    business_date: str
    currency_code: str
    measure: Literal["count", "amount"]
    maximum: int
    response_code: str
    merchants: tuple[str, ...] = ()
    terminal_id: str = ""
    pan_token: bytes = b""
