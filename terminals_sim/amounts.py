"""Amounts as people type them, to and from minor units. No floats anywhere.

Two decimals: every currency of the terminal interface (DE49 ``156``) has them.
"""

from __future__ import annotations

import re

_AMOUNT = re.compile(r"([0-9]{1,10})(?:\.([0-9]{1,2}))?")


def parse_amount(text: str) -> int:
    """Minor units of a decimal amount.

    Raises:
        ValueError: not digits with at most two decimals.

    >>> parse_amount("12.5"), parse_amount("12.50"), parse_amount("7")
    (1250, 1250, 700)
    """
    found = _AMOUNT.fullmatch(text.strip())
    if not found:
        reason = "1 to 10 digits with at most two decimals, such as 12.50"
        raise ValueError(f"{text!r} is no amount: {reason}")
    return int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))


def format_amount(amount_minor: int) -> str:
    """The decimal form of minor units.

    >>> format_amount(1250), format_amount(-5)
    ('12.50', '-0.05')
    """
    sign = "-" if amount_minor < 0 else ""
    return f"{sign}{abs(amount_minor) // 100}.{abs(amount_minor) % 100:02d}"
