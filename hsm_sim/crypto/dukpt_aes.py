"""Derived unique keys per transaction with AES: from a base key and a KSN to working keys.

Receiving side only. A KSN is 12 bytes: base key id 4, derivation id 4, counter 4. Derivation keys
are as long as the base key; a working key must not be stronger than it.
Source: ANSI X9.24-3:2017, 6.1 to 6.5 and annex B.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

from acquirer.hsm_sim.crypto import aes
from acquirer.hsm_sim.crypto.errors import KeyLengthError

KSN_BYTES = 12
KEYS_KEPT_MAX = 4096


class Usage(IntEnum):
    """Key usage indicators (6.3.2, table 2)."""

    KEY_ENCRYPTION = 0x0002
    PIN_ENCRYPTION = 0x1000
    MAC_GENERATION = 0x2000
    MAC_VERIFICATION = 0x2001
    MAC_BOTH_WAYS = 0x2002
    DATA_ENCRYPT = 0x3000
    DATA_DECRYPT = 0x3001
    DATA_BOTH_WAYS = 0x3002
    KEY_DERIVATION = 0x8000
    INITIAL_KEY = 0x8001


class KeyType(IntEnum):
    """Algorithm indicators (6.3.2, table 2)."""

    TDEA_2 = 0
    TDEA_3 = 1
    AES_128 = 2
    AES_192 = 3
    AES_256 = 4
    HMAC = 5


KEY_BYTES = {
    KeyType.TDEA_2: 16,
    KeyType.TDEA_3: 24,
    KeyType.AES_128: 16,
    KeyType.AES_192: 24,
    KeyType.AES_256: 32,
}
"""Length of a key by its type; an HMAC key may be 16, 24 or 32 bytes."""

_TYPE_OF_BYTES = {16: KeyType.AES_128, 24: KeyType.AES_192, 32: KeyType.AES_256}


def initial_key(bdk: bytes, ksn: bytes) -> bytes:
    """The key that a terminal is loaded with (6.3.1, initial key derivation).

    Args:
        bdk: base derivation key, 16, 24 or 32 bytes.
        ksn: 12 bytes, of which the first 8 count.

    Returns:
        As many bytes as the base key has.

    Raises:
        KeyLengthError: the base key or the KSN has another length.

    >>> bdk = bytes.fromhex("FEDCBA9876543210F1F1F1F1F1F1F1F1")
    >>> initial_key(bdk, bytes.fromhex("123456789012345600000001")).hex()
    '1273671ea26ac29afa4d1084127652a1'
    """
    if len(ksn) != KSN_BYTES:
        raise KeyLengthError("an AES key serial number has 12 bytes")
    return _derive(bdk, Usage.INITIAL_KEY, _type_of(bdk), len(bdk), ksn[:8])


def transaction_key(initial: bytes, ksn: bytes) -> bytes:
    """The derivation key of a transaction (6.4, host derivation).

    Args:
        initial: the terminal's initial key, 16, 24 or 32 bytes.
        ksn: 12 bytes.

    Returns:
        As many bytes as the initial key has; the initial key itself where the counter is 0.

    Raises:
        KeyLengthError: the key or the KSN has another length.
    """
    if len(ksn) != KSN_BYTES:
        raise KeyLengthError("an AES key serial number has 12 bytes")
    _type_of(initial)
    return _key_at(initial, ksn[4:8], int.from_bytes(ksn[8:], "big"))


def working_key(
    initial: bytes, ksn: bytes, usage: Usage, key_type: KeyType, length: int | None = None
) -> bytes:
    """A working key of a transaction (6.5).

    Args:
        initial: the terminal's initial key, 16, 24 or 32 bytes.
        ksn: 12 bytes.
        usage: what the key is for.
        key_type: what algorithm it is for.
        length: bytes of an HMAC key; other types have their own.

    Returns:
        The key, TDEA keys without adjusted parity.

    Raises:
        KeyLengthError: the initial key or the KSN has another length, or the working key would
            be stronger than the initial key.

    >>> ik = bytes.fromhex("1273671EA26AC29AFA4D1084127652A1")
    >>> ksn = bytes.fromhex("123456789012345600000001")
    >>> working_key(ik, ksn, Usage.PIN_ENCRYPTION, KeyType.AES_128).hex()
    'af8cb133a78f8dc2d1359f18527593fb'
    """
    size = KEY_BYTES.get(key_type, length or len(initial))
    if key_type > KeyType.TDEA_3 and size > len(initial):
        raise KeyLengthError("a working key must not be stronger than the initial key")
    derivation_key = transaction_key(initial, ksn)
    return _derive(derivation_key, usage, key_type, size, ksn[4:])


def _type_of(key: bytes) -> KeyType:
    found = _TYPE_OF_BYTES.get(len(key))
    if found is None:
        raise KeyLengthError("an AES base or initial key has 16, 24 or 32 bytes")
    return found


@lru_cache(maxsize=KEYS_KEPT_MAX)
def _key_at(initial: bytes, derivation_id: bytes, counter: int) -> bytes:
    """A derivation key follows from that of the counter without its lowest one bit (6.1)."""
    if not counter:
        return initial
    key = _key_at(initial, derivation_id, counter & (counter - 1))
    context = derivation_id + counter.to_bytes(4, "big")
    return _derive(key, Usage.KEY_DERIVATION, _type_of(initial), len(initial), context)


def _derive(key: bytes, usage: Usage, key_type: KeyType, size: int, context: bytes) -> bytes:
    """Derivation data enciphered block by block under the key (6.3.1, tables 2 and 3)."""
    tail = usage.to_bytes(2, "big") + key_type.to_bytes(2, "big") + (size * 8).to_bytes(2, "big")
    blocks = -(-size // 16)
    data = b"".join(bytes((1, number)) + tail + context for number in range(1, blocks + 1))
    return aes.cipher(key).encrypt(data)[:size]
