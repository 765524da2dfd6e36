"""Clear PIN blocks: the layouts, not the encipherment.

Formats ISO 9564-1 0, 1, 2 and 3, Docutel, Diebold/IBM and PLUS, with payShield's two-digit codes
in :data:`FORMATS`. The account number is the 12 rightmost digits of the card number without its
check digit (PLUS: the 12 leftmost; the caller gives them). Fill digits are an argument.
Source: ISO 9564-1:2017, 9.3; payShield host command reference (format codes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from acquirer.hsm_sim.crypto.errors import PinBlockError

PIN_DIGITS_MIN = 4
PIN_DIGITS_MAX = 12
_DOCUTEL_DIGITS_MAX = 6

_HEAD = tuple(f"{length:x}" for length in range(16))
_FILL = tuple("f" * (14 - length) for length in range(15))
_TO_LETTERS = bytes(0x41 + byte % 6 for byte in range(256))
_TO_DIGITS = bytes(0x30 + byte % 10 for byte in range(256))

Encoder = Callable[[str, str, bytes], bytes]
Decoder = Callable[[bytes, str], str]


@dataclass(frozen=True, slots=True)
class PinBlockFormat:
    """One layout of an 8-byte PIN block.

    Attributes:
        code: payShield's two-digit code.
        name: what people call it.
        uses_account: whether the account number is part of the block.
        encode: (PIN, account number, ``fill_bytes`` random bytes) to 8 bytes.
        decode: (8 bytes, account number) to the PIN.
        fill_bytes: how many random bytes encoding takes.
    """

    code: str
    name: str
    uses_account: bool
    encode: Encoder
    decode: Decoder
    fill_bytes: int = 0


def encode_iso0(pin: str, account_number: str) -> bytes:
    """ISO 9564-1 format 0: ``0``, length, PIN, ``F`` fill, XOR account number.

    Args:
        pin: 4 to 12 digits.
        account_number: 12 digits.

    Returns:
        8 bytes in clear.

    Raises:
        PinBlockError: 24 for a PIN of a wrong length, 22 for a wrong account number.

    >>> encode_iso0("1234", "401234567890").hex()
    '041274edcba9876f'
    """
    length = _checked_length(pin)
    field = int(_HEAD[length] + pin + _FILL[length], 16)
    return (field ^ account_field(account_number)).to_bytes(8, "big")


def decode_iso0(block: bytes, account_number: str) -> str:
    """The PIN in a block of format 0.

    Args:
        block: 8 bytes in clear.
        account_number: 12 digits.

    Returns:
        The PIN, 4 to 12 digits.

    Raises:
        PinBlockError: 20 where the block holds no such PIN, 24 where its length is out of range,
            22 for a wrong account number.

    >>> decode_iso0(bytes.fromhex("041274edcba9876f"), "401234567890")
    '1234'
    """
    field = int.from_bytes(block, "big") ^ account_field(account_number)
    return _pin_and_fill(field.to_bytes(8, "big").hex(), "0")


def encode_iso1(pin: str, random: bytes) -> bytes:
    """ISO 9564-1 format 1: ``1``, length, PIN, any digits.

    Args:
        pin: 4 to 12 digits.
        random: at least 10 bytes that become fill digits.

    Raises:
        PinBlockError: 24 for a PIN of a wrong length.
    """
    length = _checked_length(pin)
    fill = random.translate(_TO_DIGITS).decode("ascii")
    return bytes.fromhex(("1" + _HEAD[length] + pin + fill)[:16])


def decode_iso1(block: bytes) -> str:
    """The PIN in a block of format 1; errors as :func:`decode_iso0`."""
    return _pin(block.hex(), "1")


def encode_iso2(pin: str) -> bytes:
    """ISO 9564-1 format 2, for chip cards: ``2``, length, PIN, ``F`` fill.

    Raises:
        PinBlockError: 24 for a PIN of a wrong length.

    >>> encode_iso2("1234").hex()
    '241234ffffffffff'
    """
    length = _checked_length(pin)
    return bytes.fromhex("2" + _HEAD[length] + pin + _FILL[length])


def decode_iso2(block: bytes) -> str:
    """The PIN in a block of format 2; errors as :func:`decode_iso0`."""
    return _pin_and_fill(block.hex(), "2")


def encode_iso3(pin: str, account_number: str, random: bytes) -> bytes:
    """ISO 9564-1 format 3: as format 0, but the fill is any of ``A`` to ``F``.

    Args:
        pin: 4 to 12 digits.
        account_number: 12 digits.
        random: at least 10 bytes that become fill digits.

    Raises:
        PinBlockError: as :func:`encode_iso0`.
    """
    length = _checked_length(pin)
    fill = random.translate(_TO_LETTERS).decode("ascii")
    field = int(("3" + _HEAD[length] + pin + fill)[:16], 16)
    return (field ^ account_field(account_number)).to_bytes(8, "big")


def decode_iso3(block: bytes, account_number: str) -> str:
    """The PIN in a block of format 3; errors as :func:`decode_iso0`."""
    field = (int.from_bytes(block, "big") ^ account_field(account_number)).to_bytes(8, "big").hex()
    pin = _pin(field, "3")
    if not all(digit in "abcdef" for digit in field[2 + len(pin) :]):
        raise PinBlockError("20", "the fill of the PIN block is wrong")
    return pin


def encode_diebold(pin: str) -> bytes:
    """Diebold and IBM cash machines: the PIN, ``F`` fill; no length, no account number.

    Raises:
        PinBlockError: 24 for a PIN of a wrong length.
    """
    return bytes.fromhex(pin + "FF" + _FILL[_checked_length(pin)])


def decode_diebold(block: bytes) -> str:
    """The PIN in a Diebold block; errors as :func:`decode_iso0`."""
    pin = block.hex().upper().rstrip("F")
    if not pin.isdecimal():
        raise PinBlockError("20", "the PIN block holds no digits")
    if not PIN_DIGITS_MIN <= len(pin) <= PIN_DIGITS_MAX:
        raise PinBlockError("24", "a PIN has 4 to 12 digits")
    return pin


def encode_docutel(pin: str, random: bytes) -> bytes:
    """Docutel cash machines: length, PIN in six digits with zeros after it, nine digits of fill.

    Args:
        pin: 4 to 6 digits.
        random: at least 9 bytes that become fill digits.

    Raises:
        PinBlockError: 24 for a PIN of a wrong length.
    """
    length = _checked_length(pin)
    if length > _DOCUTEL_DIGITS_MAX:
        raise PinBlockError("24", "a PIN in Docutel format has 4 to 6 digits")
    fill = random.translate(_TO_DIGITS).decode("ascii")
    return bytes.fromhex((f"{length}{pin}".ljust(7, "0") + fill)[:16])


def decode_docutel(block: bytes) -> str:
    """The PIN in a Docutel block; errors as :func:`decode_iso0`."""
    field = block.hex()
    if not field.isdecimal():
        raise PinBlockError("20", "the PIN block holds other characters than digits")
    length = int(field[0])
    if not PIN_DIGITS_MIN <= length <= _DOCUTEL_DIGITS_MAX:
        raise PinBlockError("24", "a PIN in Docutel format has 4 to 6 digits")
    if field[1 + length : 7].strip("0"):
        raise PinBlockError("20", "the fill of the PIN block is wrong")
    return field[1 : 1 + length]


def _is_pin(text: str) -> bool:
    return PIN_DIGITS_MIN <= len(text) <= PIN_DIGITS_MAX and text.isdecimal() and text.isascii()


def _checked_length(pin: str) -> int:
    if not _is_pin(pin):
        raise PinBlockError("24", "a PIN has 4 to 12 digits")
    return len(pin)


def account_field(account_number: str) -> int:
    """The account number as a block adds it: 12 digits, one to a nibble, as an integer.

    Raises:
        PinBlockError: 22, it does not have 12 digits.
    """
    if len(account_number) != 12 or not (account_number.isascii() and account_number.isdecimal()):
        raise PinBlockError("22", "an account number has 12 digits")
    return int(account_number, 16)


def _pin(field: str, control: str) -> str:
    """The PIN in a block's digits, its letters in lower case."""
    if len(field) != 16 or field[0] != control:
        raise PinBlockError("20", "the PIN block is of another format")
    length = int(field[1], 16)
    if not PIN_DIGITS_MIN <= length <= PIN_DIGITS_MAX:
        raise PinBlockError("24", "a PIN has 4 to 12 digits")
    pin = field[2 : 2 + length]
    if not pin.isdecimal():
        raise PinBlockError("20", "the PIN block holds no digits")
    return pin


def _pin_and_fill(field: str, control: str) -> str:
    pin = field[2:].rstrip("f")
    if field[:2] == control + _HEAD[len(pin)] and _is_pin(pin):
        return pin
    _pin(field, control)
    raise PinBlockError("20", "the fill of the PIN block is wrong")


FORMATS: dict[str, PinBlockFormat] = {
    entry.code: entry
    for entry in (
        PinBlockFormat(
            "01", "ISO 0", True, lambda pin, account, _: encode_iso0(pin, account), decode_iso0
        ),
        PinBlockFormat(
            "02",
            "Docutel",
            False,
            lambda pin, _, random: encode_docutel(pin, random),
            lambda block, _: decode_docutel(block),
            fill_bytes=9,
        ),
        PinBlockFormat(
            "03",
            "Diebold/IBM",
            False,
            lambda pin, _, __: encode_diebold(pin),
            lambda block, _: decode_diebold(block),
        ),
        PinBlockFormat(
            "04", "PLUS", True, lambda pin, account, _: encode_iso0(pin, account), decode_iso0
        ),
        PinBlockFormat(
            "05",
            "ISO 1",
            False,
            lambda pin, _, random: encode_iso1(pin, random),
            lambda block, _: decode_iso1(block),
            fill_bytes=10,
        ),
        PinBlockFormat(
            "34",
            "ISO 2",
            False,
            lambda pin, _, __: encode_iso2(pin),
            lambda block, _: decode_iso2(block),
        ),
        PinBlockFormat("47", "ISO 3", True, encode_iso3, decode_iso3, fill_bytes=10),
    )
}

PLUS = FORMATS["04"]
"""ISO format 0's layout over the account number's other end."""


def _needs_aes(*_: object) -> NoReturn:
    raise PinBlockError("23", "format 48 needs an AES key")


ISO_4 = PinBlockFormat("48", "ISO 4", True, _needs_aes, _needs_aes)
"""Stands for ISO format 4, which is no layout of 8 bytes: see :mod:`.pinblock_iso4`."""
