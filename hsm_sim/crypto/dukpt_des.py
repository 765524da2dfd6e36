"""Derived unique keys per transaction with single DES, as the oldest terminals use them.

Only the legacy commands CI and CK reach it. Key serial numbers are those of
:mod:`acquirer.hsm_sim.crypto.dukpt_tdes`; a PIN block is not simply enciphered, but with the key
added before and after. Source: ANSI X9.24-1:1998, annex A (withdrawn; the 2004 edition replaced it
by triple DES); IBM 4758 CCA Basic Services Reference, appendix E, "UKPT Calculation Methods".
"""

from __future__ import annotations

from functools import lru_cache

from acquirer.hsm_sim.crypto import des
from acquirer.hsm_sim.crypto.dukpt_tdes import KSN_BYTES
from acquirer.hsm_sim.crypto.errors import KeyLengthError

KEYS_KEPT_MAX = 1024

_COUNTER = (1 << 21) - 1
_PIN = 0xFF


def initial_key(bdk: bytes, ksn: bytes) -> bytes:
    """The key that a terminal is loaded with.

    Args:
        bdk: base derivation key, 16 bytes.
        ksn: 10 bytes.

    Returns:
        8 bytes.

    Raises:
        KeyLengthError: the base key or the KSN has another length.

    >>> bdk = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    >>> initial_key(bdk, bytes.fromhex("FFFF9876543210E00001")).hex()
    '6ac292faa1315b4d'
    """
    if len(bdk) != 16 or len(ksn) != KSN_BYTES:
        raise KeyLengthError("a BDK is double length, a KSN 10 bytes")
    return des.encrypt_ecb(bdk, ksn[:7] + bytes((ksn[7] & 0xE0,)))


def pin_key(initial: bytes, ksn: bytes) -> bytes:
    """The PIN encryption key of a transaction.

    Args:
        initial: the terminal's initial key, 8 bytes.
        ksn: 10 bytes.

    Returns:
        8 bytes.

    Raises:
        KeyLengthError: the key or the KSN has another length.
    """
    if len(initial) != 8 or len(ksn) != KSN_BYTES:
        raise KeyLengthError("an initial key is single length, a KSN 10 bytes")
    number = int.from_bytes(ksn[2:], "big")
    key = _key_at(int.from_bytes(initial, "big"), number & ~_COUNTER, number & _COUNTER)
    return (key ^ _PIN).to_bytes(8, "big")


def decipher_pin_block(key: bytes, block: bytes) -> bytes:
    """A PIN block in clear, by the standard's special decipherment.

    Args:
        key: the transaction's PIN encryption key, 8 bytes.
        block: 8 bytes as the terminal sends them.

    Returns:
        8 bytes.

    Raises:
        KeyLengthError: the key has another length.
        ValueError: the block is not one block.

    >>> key = bytes.fromhex("35FDB4BBAEE6A293")
    >>> decipher_pin_block(key, bytes.fromhex("6B1431D0D9B23093")).hex()
    '041274edcba9876f'
    """
    if len(key) != 8:
        raise KeyLengthError("a single DES key has 8 bytes")
    return _xor(key, des.decrypt_ecb(key, _xor(key, block)))


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


@lru_cache(maxsize=KEYS_KEPT_MAX)
def _key_at(initial: int, base: int, counter: int) -> int:
    if not counter:
        return initial
    key = _key_at(initial, base, counter & (counter - 1))
    block = ((base | counter) ^ key).to_bytes(8, "big")
    return int.from_bytes(des.new_cipher(key.to_bytes(8, "big")).encrypt(block), "big") ^ key
