"""Derived unique keys per transaction with triple DES: from a base key and a KSN to working keys.

Receiving side only: any transaction's key follows from base key and key serial number. A KSN is
10 bytes: 59 bits of identifiers and a counter of 21 bits; shorter ones are filled up on the left
with ``F``. The key of a counter is made from the key of that counter without its lowest one bit,
so a bounded cache of keys makes a terminal's next transaction cost one or two steps.
Source: ANSI X9.24-1:2009, annex A (the same as X9.24-3:2017, annex C).
"""

from __future__ import annotations

from functools import lru_cache

from acquirer.hsm_sim.crypto import des
from acquirer.hsm_sim.crypto.errors import KeyLengthError

KSN_BYTES = 10
KEYS_KEPT_MAX = 4096

_COUNTER = (1 << 21) - 1
_MASK = 0xC0C0C0C000000000
_PIN = 0x00000000000000FF_00000000000000FF
_MAC_REQUEST = 0x000000000000FF00_000000000000FF00
_MAC_RESPONSE = 0x00000000FF000000_00000000FF000000
_DATA_REQUEST = 0x0000000000FF0000_0000000000FF0000
_DATA_RESPONSE = 0x000000FF00000000_000000FF00000000


def whole_ksn(ksn: bytes) -> bytes:
    """A KSN of 10 bytes, filled up on the left with ``F``.

    Args:
        ksn: 6 to 10 bytes.

    Raises:
        KeyLengthError: any other length.
    """
    if not 6 <= len(ksn) <= KSN_BYTES:
        raise KeyLengthError("a key serial number has 6 to 10 bytes")
    return ksn.rjust(KSN_BYTES, b"\xff")


def initial_key(bdk: bytes, initial_ksn: bytes) -> bytes:
    """The key that a terminal is loaded with (annex A.6).

    Args:
        bdk: base derivation key, 16 or 24 bytes.
        initial_ksn: 10 bytes; the counter's bits do not matter.

    Returns:
        16 bytes, without adjusted parity.

    Raises:
        KeyLengthError: the base key or the KSN has another length.

    >>> bdk = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    >>> initial_key(bdk, bytes.fromhex("FFFF9876543210E00001")).hex()
    '6ac292faa1315b4d858ab3a3d7d5933a'
    """
    if len(bdk) not in (16, 24) or len(initial_ksn) != KSN_BYTES:
        raise KeyLengthError("a BDK is double or triple length, a KSN 10 bytes")
    return _initial_key(bdk, initial_ksn[:7] + bytes((initial_ksn[7] & 0xE0,)))


@lru_cache(maxsize=KEYS_KEPT_MAX)
def _initial_key(bdk: bytes, block: bytes) -> bytes:
    mask = _MASK.to_bytes(8, "big") * (len(bdk) // 8)
    masked = (int.from_bytes(bdk, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(bdk), "big")
    return des.encrypt_ecb(bdk, block) + des.encrypt_ecb(masked, block)


def transaction_key(initial: bytes, ksn: bytes) -> bytes:
    """The current key of a transaction, from which the working keys are made (annex A.3).

    Args:
        initial: the terminal's initial key, 16 bytes.
        ksn: 10 bytes.

    Returns:
        16 bytes, without adjusted parity; the initial key itself where the counter is 0.

    Raises:
        KeyLengthError: the key or the KSN has another length.
    """
    if len(initial) != 16 or len(ksn) != KSN_BYTES:
        raise KeyLengthError("an initial key is double length, a KSN 10 bytes")
    number = int.from_bytes(ksn[2:], "big")
    return _key_at(initial, number & ~_COUNTER, number & _COUNTER)


@lru_cache(maxsize=KEYS_KEPT_MAX)
def _key_at(initial: bytes, base: int, counter: int) -> bytes:
    if not counter:
        return initial
    key = _key_at(initial, base, counter & (counter - 1))
    return _next_key(key, base | counter)


def _next_key(key: bytes, register: int) -> bytes:
    """The non-reversible key generation process (annex A.2), both halves."""
    left, right = int.from_bytes(key[:8], "big"), int.from_bytes(key[8:], "big")
    return _half(left ^ _MASK, right ^ _MASK, register) + _half(left, right, register)


def _half(left: int, right: int, register: int) -> bytes:
    block = (register ^ right).to_bytes(8, "big")
    made = int.from_bytes(des.new_cipher(left.to_bytes(8, "big")).encrypt(block), "big")
    return (made ^ right).to_bytes(8, "big")


def pin_key(key: bytes) -> bytes:
    """The PIN encryption key of a transaction key (annex A.4.1); 16 bytes."""
    return _variant(key, _PIN)


def mac_request_key(key: bytes) -> bytes:
    """The MAC key of requests and of both ways (annex A.4.1); 16 bytes."""
    return _variant(key, _MAC_REQUEST)


def mac_response_key(key: bytes) -> bytes:
    """The MAC key of responses (annex A.4.1); 16 bytes."""
    return _variant(key, _MAC_RESPONSE)


def data_request_key(key: bytes) -> bytes:
    """The data encryption key of requests and of both ways (annex A.4.1); 16 bytes.

    The variant enciphers itself, one half after the other.
    """
    return _one_way(_variant(key, _DATA_REQUEST))


def data_response_key(key: bytes) -> bytes:
    """The data encryption key of responses (annex A.4.1); 16 bytes."""
    return _one_way(_variant(key, _DATA_RESPONSE))


def _variant(key: bytes, pattern: int) -> bytes:
    return (int.from_bytes(key, "big") ^ pattern).to_bytes(16, "big")


def _one_way(key: bytes) -> bytes:
    return des.encrypt_ecb(key, key)
