"""DES and triple DES in ECB and CBC, and the parity of DES keys.

Keys of 8, 16 and 24 bytes; parity bits play no part in encipherment. No padding happens here.
Source: NIST SP 800-67 rev. 2; FIPS 46-3 (withdrawn); ISO/IEC 18033-3.
"""

from __future__ import annotations

from functools import lru_cache

from acquirer.hsm_sim.crypto.cipher import BlockCipher
from acquirer.hsm_sim.crypto.engines import des_engine
from acquirer.hsm_sim.crypto.errors import KeyLengthError

CIPHERS_KEPT_MAX = 1024

_ODD = bytes(byte if byte.bit_count() % 2 else byte ^ 1 for byte in range(256))


def new_cipher(key: bytes) -> BlockCipher:
    """A cipher object of a DES key that is not kept, for keys that are used once.

    Args:
        key: 8, 16 or 24 bytes.

    Raises:
        KeyLengthError: any other length.
    """
    if len(key) not in (8, 16, 24):
        raise KeyLengthError(f"a DES key has 8, 16 or 24 bytes, not {len(key)}")
    return BlockCipher(8, des_engine(key))


@lru_cache(maxsize=CIPHERS_KEPT_MAX)
def cipher(key: bytes) -> BlockCipher:
    """The kept cipher object of a DES key; argument and errors as :func:`new_cipher`."""
    return new_cipher(key)


def encrypt_ecb(key: bytes, data: bytes) -> bytes:
    """Encipher whole 8-byte blocks in ECB.

    Args:
        key: 8, 16 or 24 bytes.
        data: a multiple of 8 bytes.

    Raises:
        KeyLengthError: the key has another length.
        ValueError: the data is not whole blocks.

    >>> encrypt_ecb(bytes.fromhex("133457799BBCDFF1"), bytes.fromhex("0123456789ABCDEF")).hex()
    '85e813540f0ab405'
    """
    return cipher(key).encrypt(data)


def decrypt_ecb(key: bytes, data: bytes) -> bytes:
    """Decipher whole 8-byte blocks in ECB; arguments and errors as :func:`encrypt_ecb`."""
    return cipher(key).decrypt(data)


def encrypt_cbc(key: bytes, data: bytes, iv: bytes | None = None) -> bytes:
    """Encipher whole blocks in CBC.

    Args:
        key: 8, 16 or 24 bytes.
        data: at least one block of 8 bytes, a multiple of 8.
        iv: 8 bytes, or None for zeros.

    Raises:
        KeyLengthError: the key has another length.
        ValueError: the data is empty or not whole blocks.
    """
    return cipher(key).encrypt_cbc(data, iv)


def decrypt_cbc(key: bytes, data: bytes, iv: bytes | None = None) -> bytes:
    """Decipher whole blocks in CBC; arguments and errors as :func:`encrypt_cbc`."""
    return cipher(key).decrypt_cbc(data, iv)


def odd_parity(key: bytes) -> bytes:
    """The same key with every byte's last bit set for odd parity."""
    return key.translate(_ODD)


def has_odd_parity(key: bytes) -> bool:
    """Whether every byte has an odd number of one bits."""
    return key == key.translate(_ODD)
