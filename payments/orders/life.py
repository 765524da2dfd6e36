"""The life of an order as a table: what may happen to it in which status, and what it is then.

Pure. A step that the table does not have is refused with :func:`refusal_code` and changes
nothing. :func:`life_table` prints it for ``docs/orders.md``, where a test holds it.
Source: docs/interfaces/terminal.md, part 5, ``OS`` and ``OX``.
"""

from __future__ import annotations

from acquirer.codecs.order_codes import STATUS_TEXTS, OrderStatus
from acquirer.codecs.response_codes import ResponseCode

TO_PAY, NOTHING_TO_PAY = OrderStatus.TO_PAY, OrderStatus.NOTHING_TO_PAY
PAID, CONFIRMED, SIGNED_FOR = OrderStatus.PAID, OrderStatus.CONFIRMED, OrderStatus.SIGNED_FOR
CANCELLED, EXCEPTION = OrderStatus.CANCELLED, OrderStatus.EXCEPTION

STEPS = {
    "pay": "payment",
    "reverse": "reversal (0400)",
    "confirm": "payment confirmation",
    "sign": "receipt confirmation",
    "cancel": "cancellation",
    "refund": "refund of the whole",
    "confirm_cancel": "cancellation confirmation",
    "except": "exception",
}

# (step, status before) → status after. A confirmation or signature that leaves the status as it
# is came again, and has no further effect.
NEXT: dict[tuple[str, str], OrderStatus] = {
    ("pay", TO_PAY): PAID,
    ("pay", NOTHING_TO_PAY): PAID,
    # Only where the exception was a rescheduling.
    ("pay", EXCEPTION): PAID,
    # To "nothing to pay" where the order's amount is zero.
    ("reverse", PAID): TO_PAY,
    ("confirm", PAID): CONFIRMED,
    ("confirm", CONFIRMED): CONFIRMED,
    ("confirm", SIGNED_FOR): SIGNED_FOR,
    ("sign", NOTHING_TO_PAY): SIGNED_FOR,
    ("sign", PAID): SIGNED_FOR,
    ("sign", CONFIRMED): SIGNED_FOR,
    ("sign", SIGNED_FOR): SIGNED_FOR,
    ("cancel", PAID): CANCELLED,
    ("cancel", CONFIRMED): CANCELLED,
    ("refund", PAID): CANCELLED,
    ("refund", CONFIRMED): CANCELLED,
    ("refund", SIGNED_FOR): CANCELLED,
    ("confirm_cancel", CANCELLED): CANCELLED,
    ("except", TO_PAY): EXCEPTION,
    ("except", NOTHING_TO_PAY): EXCEPTION,
    ("except", EXCEPTION): EXCEPTION,
}


def refusal_code(step: str, status: str) -> ResponseCode:
    """DE39 for a step that the table does not have: 12, or 94 for paying a paid order.

    >>> str(refusal_code("pay", CONFIRMED)), str(refusal_code("sign", CANCELLED))
    ('94', '12')
    """
    is_paid = step == "pay" and status in (PAID, CONFIRMED, SIGNED_FOR)
    return ResponseCode.DUPLICATE if is_paid else ResponseCode.INVALID_TRANSACTION


def life_table() -> str:
    """The table in Markdown: a row a status, a column a step; refusals as their code."""
    lines = [
        "| status | " + " | ".join(STEPS.values()) + " |",
        "|" + "---|" * (len(STEPS) + 1),
    ]
    for status, name in STATUS_TEXTS.items():
        cells = [_cell(step, status) for step in STEPS]
        lines.append(f"| `{status}` {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(step: str, status: str) -> str:
    after = NEXT.get((step, status))
    if after is None:
        return f"refused {refusal_code(step, status)}"
    return f"→ `{after}` {STATUS_TEXTS[after]}" if after != status else "00, stays"
