"""With what an order system is tried, and what came of it; ``trial.py`` tries."""

from __future__ import annotations

import msgspec


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What is tried.

    Attributes:
        order_no: an order that is to pay; it is paid, confirmed and given back.
        secret: the merchant's webhook secret.
        amount_minor: of a sample event; a trial goes by what the order system says.
        item: an item's code, where the merchant has shops; else nothing is opened.
        parts: whether the order may be paid in parts.
    """

    merchant_id: str
    order_no: str
    secret: str
    amount_minor: int = 1
    item: str = ""
    parts: bool = False


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One call: what was sent, what came, what should have come, and what is wrong with it.

    Attributes:
        status: of the answer, or None where none came.
        came: the beginning of the answer, or why there is none.
    """

    what: str
    sent: str
    body: str
    status: int | None
    came: str
    expected: str
    faults: tuple[str, ...]
