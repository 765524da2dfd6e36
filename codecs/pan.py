"""The card number as a type that masks itself.

A :class:`Pan` shows its first six and last four digits in ``repr``, ``str`` and format strings;
the digits come out only through :attr:`Pan.digits`, which a reader can search for.
Source: PCI DSS 4.0, 3.4.1 (at most BIN and last four are shown); ISO/IEC 7812-1 annex B (Luhn).
"""

from __future__ import annotations

import re

from acquirer.codecs.errors import RemoteFormatError

_CARD_NUMBER = re.compile(r"(?<!\d)\d{13,19}(?!\d)")


def mask_digits(digits: str) -> str:
    """Mask a card number: first six and last four stay, ``*`` between.

    Numbers of fewer than 13 digits are masked whole but for the last two.

    >>> mask_digits("6225880000000007")
    '622588******0007'
    """
    if len(digits) < 13:
        return "*" * max(len(digits) - 2, 0) + digits[-2:]
    return digits[:6] + "*" * (len(digits) - 10) + digits[-4:]


def mask_runs(text: str) -> str:
    """Mask every run of digits in a text that is as long as a card number, 13 to 19.

    >>> mask_runs("card 6225880000000007, order 17")
    'card 622588******0007, order 17'
    """
    return _CARD_NUMBER.sub(lambda run: mask_digits(run.group()), text)


def luhn_ok(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of the others (ISO/IEC 7812-1 annex B)."""
    total = 0
    for index, char in enumerate(reversed(digits)):
        value = ord(char) - 48
        if index % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


class Pan:
    """A primary account number of 8 to 19 digits that masks itself.

    >>> Pan("6225880000000007")
    Pan('622588******0007')
    >>> f"{Pan('6225880000000007')}"
    '622588******0007'
    """

    __slots__ = ("digits",)

    def __init__(self, digits: str) -> None:
        if not (digits.isascii() and digits.isdigit() and 8 <= len(digits) <= 19):
            raise RemoteFormatError("a card number is 8 to 19 digits", field="2")
        self.digits = digits

    @property
    def account_number(self) -> str:
        """The 12 rightmost digits without the check digit, 0-filled (ISO 9564-1, format 0)."""
        return self.digits[:-1][-12:].zfill(12)

    @property
    def luhn_ok(self) -> bool:
        """Whether the check digit is right."""
        return luhn_ok(self.digits)

    @property
    def masked(self) -> str:
        """First six, stars, last four."""
        return mask_digits(self.digits)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pan) and self.digits == other.digits

    def __hash__(self) -> int:
        return hash(self.digits)

    def __str__(self) -> str:
        return self.masked

    def __repr__(self) -> str:
        return f"Pan({self.masked!r})"
