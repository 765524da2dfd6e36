"""PIN blocks that an issuer sends to a chip card in order to change its PIN: formats 35, 41, 42.

They are made, never read, and never cross an acquirer's links; no command translates them.
Source: the module's programmer's manual, "Format 35" (Mastercard pay-now, pay-later), "Format 41",
"Format 42"; Visa VIS 1.4, C.11.1 and C.11.2.
"""

from __future__ import annotations

from acquirer.hsm_sim.crypto.errors import KeyLengthError, PinBlockError
from acquirer.hsm_sim.crypto.pinblock import (
    PIN_DIGITS_MAX,
    PIN_DIGITS_MIN,
    account_field,
    encode_iso2,
)


def encode_pay_now(pin: str, account_number: str) -> bytes:
    """Format 35: control 2, length, PIN, ``F`` fill, XOR account number.

    Args:
        pin: the new PIN, 4 to 12 digits.
        account_number: the 12 rightmost digits of the card number without its check digit.

    Raises:
        PinBlockError: 24 for a PIN of a wrong length, 22 for a wrong account number.

    >>> encode_pay_now("34567", "400000123456").hex()
    '2534167fffedcba9'
    """
    field = int.from_bytes(encode_iso2(pin), "big")
    return (field ^ account_field(account_number)).to_bytes(8, "big")


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
