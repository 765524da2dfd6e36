"""PIN blocks of ISO format 4: 16 bytes under AES, bound to the whole card number.

Unlike the layouts of :mod:`acquirer.hsm_sim.crypto.pinblock` this one is a way of enciphering, so
it takes the key's cipher object. Source: ISO 9564-1:2017, 9.3.6 and annex on format 4.
"""

from __future__ import annotations

from acquirer.hsm_sim.crypto.cipher import BlockCipher
from acquirer.hsm_sim.crypto.errors import PinBlockError
from acquirer.hsm_sim.crypto.pinblock import PIN_DIGITS_MAX, PIN_DIGITS_MIN

FILL_BYTES = 8
PAN_DIGITS_MAX = 19

_CONTROL = "4"
_FILL = "a"


def encipher(cipher: BlockCipher, pin: str, pan: str, random: bytes) -> bytes:
    """A PIN as a block under a key.

    Args:
        cipher: an AES key's cipher object.
        pin: 4 to 12 digits.
        pan: the whole card number, 1 to 19 digits.
        random: 8 random bytes.

    Returns:
        16 bytes.

    Raises:
        PinBlockError: 24 for a PIN of a wrong length, 22 for a wrong card number, 23 where the
            key is no AES key.
    """
    _check_cipher(cipher)
    if not (PIN_DIGITS_MIN <= len(pin) <= PIN_DIGITS_MAX and pin.isascii() and pin.isdecimal()):
        raise PinBlockError("24", "a PIN has 4 to 12 digits")
    head = f"{_CONTROL}{len(pin):x}{pin}".ljust(16, _FILL)
    field = bytes.fromhex(head) + random[:FILL_BYTES]
    inner = int.from_bytes(cipher.encrypt(field), "big") ^ _pan_field(pan)
    return cipher.encrypt(inner.to_bytes(16, "big"))


def decipher(cipher: BlockCipher, block: bytes, pan: str) -> str:
    """The PIN in a block.

    Args:
        cipher: an AES key's cipher object.
        block: 16 bytes.
        pan: the whole card number.

    Returns:
        The PIN, 4 to 12 digits.

    Raises:
        PinBlockError: 20 where the block holds no PIN for this card, 24 where the PIN's length
            is out of range, 22 for a wrong card number, 23 where the key is no AES key.
    """
    _check_cipher(cipher)
    inner = int.from_bytes(cipher.decrypt(block), "big") ^ _pan_field(pan)
    field = cipher.decrypt(inner.to_bytes(16, "big")).hex()
    if field[0] != _CONTROL:
        raise PinBlockError("20", "the PIN block is of another format")
    length = int(field[1], 16)
    if not PIN_DIGITS_MIN <= length <= PIN_DIGITS_MAX:
        raise PinBlockError("24", "a PIN has 4 to 12 digits")
    pin, fill = field[2 : 2 + length], field[2 + length : 16]
    if not pin.isdecimal() or fill.strip(_FILL):
        raise PinBlockError("20", "the fill of the PIN block is wrong")
    return pin


def _pan_field(pan: str) -> int:
    if not (1 <= len(pan) <= PAN_DIGITS_MAX and pan.isascii() and pan.isdecimal()):
        raise PinBlockError("22", "a card number has 1 to 19 digits")
    padded = pan.rjust(12, "0")
    return int(f"{len(padded) - 12}{padded}".ljust(32, "0"), 16)


def _check_cipher(cipher: BlockCipher) -> None:
    if cipher.block_bytes != 16:
        raise PinBlockError("23", "format 4 needs an AES key")
