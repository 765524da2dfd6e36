"""What orders are called on the wire: statuses (``OS``), reasons (``OX``), means and ways to pay.

Source: docs/interfaces/terminal.md, part 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class OrderStatus(StrEnum):
    """``OS``, two digits."""

    TO_PAY = "00"
    PAID = "01"
    CONFIRMED = "02"
    SIGNED_FOR = "03"
    CANCELLED = "04"
    EXCEPTION = "05"
    NOTHING_TO_PAY = "06"


STATUS_TEXTS: Mapping[str, str] = MappingProxyType(
    {
        OrderStatus.TO_PAY: "to pay",
        OrderStatus.NOTHING_TO_PAY: "nothing to pay",
        OrderStatus.PAID: "paid",
        OrderStatus.CONFIRMED: "confirmed",
        OrderStatus.SIGNED_FOR: "signed for",
        OrderStatus.CANCELLED: "cancelled",
        OrderStatus.EXCEPTION: "exception",
    }
)

RESCHEDULED = "06"
REASON_TEXTS: Mapping[str, str] = MappingProxyType(
    {
        "01": "address unknown",
        "02": "nobody there",
        "03": "refused",
        "04": "damaged",
        "05": "wrong goods",
        RESCHEDULED: "rescheduled",
        "99": "other",
    }
)


class Means(StrEnum):
    """How an order is paid."""

    CARD = "card"
    CASH = "cash"
    NONE = "none"


# DE3 of an order's payment, and the way's digit in ``OW``.
PROCESSING_CODES: Mapping[Means, str] = MappingProxyType(
    {Means.CARD: "000000", Means.CASH: "900000", Means.NONE: "910000"}
)
WAYS: Mapping[Means, str] = MappingProxyType({Means.CARD: "1", Means.CASH: "2", Means.NONE: "3"})
_MEANS = {code: means for means, code in PROCESSING_CODES.items()}


def means_of(processing_code: str) -> Means:
    """The means that a payment's DE3 says; a card's for all that is neither cash nor nothing.

    >>> means_of("900000"), means_of("000000")
    (<Means.CASH: 'cash'>, <Means.CARD: 'card'>)
    """
    return _MEANS.get(processing_code, Means.CARD)
