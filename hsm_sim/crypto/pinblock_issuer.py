"""PIN blocks that an issuer sends to a chip card in order to change its PIN: formats 35, 41, 42.

They are made, never read, and never cross an acquirer's links; no command translates them.
Format 35 (Mastercard pay-now, pay-later) is published only as far as its layout equals ISO
format 2's. Source: Visa VIS 1.4, C.11.1 and C.11.2; EMV 4.3 Book 3, 6.5.10 (PIN change).
"""

from __future__ import annotations

from acquirer.hsm_sim.crypto.errors import KeyLengthError, PinBlockError
from acquirer.hsm_sim.crypto.pinblock import PIN_DIGITS_MAX, PIN_DIGITS_MIN, encode_iso2


def encode_pay_now(pin: str) -> bytes:
    """Format 35: control 2, length, PIN, ``F`` fill.

    Args:
        pin: the new PIN, 4 to 12 digits.

    Raises:
        PinBlockError: 24.

    >>> encode_pay_now("1234").hex()
    '241234ffffffffff'
    """
    return encode_iso2(pin)


def encode_visa_new(card_key: bytes, pin: str) -> bytes:
    """Format 41: the new PIN and half of the card's key A.

    Args:
        card_key: the card's master key for cryptograms, 16 bytes.
        pin: the new PIN, 4 to 12 digits.

    Returns:
        8 bytes in clear.

    Raises:
        KeyLengthError: the key is not double length.
        PinBlockError: 24.

    >>> key = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    >>> encode_visa_new(key, "1234").hex()
    '041234ff76543210'
    """
    if len(card_key) != 16:
        raise KeyLengthError("a card's master key is double length")
    field = int(f"{_checked(pin):02x}{pin}".ljust(16, "f"), 16)
    return (field ^ int.from_bytes(card_key[4:8], "big")).to_bytes(8, "big")


def encode_visa_change(card_key: bytes, pin: str, old_pin: str) -> bytes:
    """Format 42: as format 41, and the old PIN.

    Args:
        card_key: as :func:`encode_visa_new`.
        pin: the new PIN.
        old_pin: the old PIN, 4 to 12 digits.

    Raises:
        KeyLengthError: the key is not double length.
        PinBlockError: 24.
    """
    _checked(old_pin)
    delta = int.from_bytes(encode_visa_new(card_key, pin), "big") ^ int(old_pin.ljust(16, "0"), 16)
    return delta.to_bytes(8, "big")


def _checked(pin: str) -> int:
    if not (PIN_DIGITS_MIN <= len(pin) <= PIN_DIGITS_MAX and pin.isascii() and pin.isdecimal()):
        raise PinBlockError("24", "a PIN has 4 to 12 digits")
    return len(pin)
