"""PIN verification: Visa PVV and IBM 3624 with offsets.

Source: z/OS ICSF, "PIN formats and algorithms" (IBM 3624 offset generation, Visa PIN validation
value); ANSI X9.8 for the transformed security parameter.
"""

from __future__ import annotations

from acquirer.hsm_sim.crypto import des
from acquirer.hsm_sim.crypto.errors import KeyLengthError

_LETTERS_TO_DIGITS = str.maketrans("abcdef", "012345")


def pvv(key: bytes, pin: str, account_number: str, key_index: str) -> str:
    """Visa's PIN verification value.

    Args:
        key: PVK pair, 16 bytes.
        pin: the first four digits count.
        account_number: 12 digits; the rightmost 11 count.
        key_index: PVKI, 1 digit.

    Returns:
        4 digits.

    Raises:
        KeyLengthError: the key is not double length.
    """
    if len(key) != 16:
        raise KeyLengthError("a PVK pair is double length")
    parameter = bytes.fromhex(account_number[-11:] + key_index + pin[:4])
    result = des.encrypt_ecb(key, parameter).hex()
    digits = [char for char in result if char.isdecimal()]
    digits += [char.translate(_LETTERS_TO_DIGITS) for char in result if not char.isdecimal()]
    return "".join(digits[:4])


def natural_pin(key: bytes, table: str, validation_data: str, digits: int) -> str:
    """IBM 3624's natural PIN.

    Args:
        key: PVK, 8, 16 or 24 bytes.
        table: decimalisation table, 16 digits.
        validation_data: 16 hexadecimal digits.
        digits: 4 to 16.
    """
    cryptogram = des.encrypt_ecb(key, bytes.fromhex(validation_data)).hex()[:digits]
    return "".join(table[int(char, 16)] for char in cryptogram)


def offset(natural: str, pin: str) -> str:
    """IBM 3624's offset: the PIN minus the natural PIN, digit by digit modulo 10.

    >>> offset("9876", "1234")
    '2468'
    """
    return "".join(
        str((int(have) - int(base)) % 10) for have, base in zip(pin, natural, strict=False)
    )


def pin_from_offset(natural: str, offset_digits: str) -> str:
    """The PIN that belongs to an offset: their sum, digit by digit modulo 10."""
    return "".join(
        str((int(base) + int(add)) % 10) for base, add in zip(natural, offset_digits, strict=False)
    )
