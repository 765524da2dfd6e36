"""The shop's part of ``acquirer demo``: what its clerk keys in, and what must be on the shelves.

Pure. ``demo.py`` plays it; ``agreement.py`` holds the merchant's stock against the shelves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from acquirer.config.estate import Item
from acquirer.terminals_sim.shop import Product


@dataclass(frozen=True, slots=True)
class Deal:
    """One order at the till.

    Attributes:
        goods: quantity by item code.
        card: who pays with it; empty where nobody does.
        taken_back: whether the customer returns it at once.
    """

    what: str
    product: Product
    goods: dict[str, int]
    way: str = "delivery"
    card: str = ""
    taken_back: bool = False

    @property
    def lines(self) -> list[str]:
        """As the clerk keys it in."""
        return [f"{code}*{quantity}" for code, quantity in self.goods.items()]


LOOKED_UP = "2000000000046"
DEALS = (
    Deal("sale by card, erin", "sale", {"1001": 2, "1005": 3}, "card", "erin"),
    Deal("sale in cash", "sale", {"1002": 1, "1006": 2}, "cash"),
    Deal("sale by card, kate", "sale", {"1004": 2}, "card", "kate", taken_back=True),
    Deal("goods taken in", "stock_in", {"1001": 24, "1002": 10}),
    Deal("count: one bottle is broken", "count", {"1004": 11, "1003": 60}),
)


def shelves(items: Iterable[Item], merchant_id: str) -> dict[str, int]:
    """What lies on the shop's shelves after all that, by item code."""
    found = {item.code: item.stock for item in items if item.merchant_id == merchant_id}
    for deal in DEALS:
        for code, quantity in deal.goods.items():
            if deal.product == "count":
                found[code] = quantity
            elif not deal.taken_back:
                found[code] += quantity if deal.product == "stock_in" else -quantity
    return found
