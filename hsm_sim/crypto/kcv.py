"""Key check values.

DES: the key enciphers eight zero bytes; AES: CMAC of one zero block. A check value of 6 digits is
usual, 16 digits is the legacy form. Source: X9.24-1:2017, 7.7 and A.4; TR-31 practice.
"""

from __future__ import annotations

from typing import Literal

from acquirer.hsm_sim.crypto import aes, des, mac

_ZEROS = bytes(8)


def kcv(key: bytes, digits: Literal[4, 6, 8, 16] = 6) -> str:
    """The check value of a DES key.

    Args:
        key: 8, 16 or 24 bytes.
        digits: how many hexadecimal digits.

    Returns:
        Upper-case hexadecimal digits.

    Raises:
        KeyLengthError: the key has another length.

    >>> kcv(bytes.fromhex("0123456789ABCDEF"))
    'D5D44F'
    """
    return des.new_cipher(key).encrypt(_ZEROS).hex().upper()[:digits]


def kcv_aes(key: bytes, digits: Literal[4, 6, 8, 10, 16] = 6) -> str:
    """The check value of an AES key: the head of CMAC over 16 zero bytes.

    Args:
        key: 16, 24 or 32 bytes.
        digits: how many hexadecimal digits.

    Raises:
        KeyLengthError: the key has another length.
    """
    return mac.cmac_with(aes.cipher(key), bytes(16)).hex().upper()[:digits]
