"""DES and triple DES in ECB and CBC, and the parity of DES keys.

Keys of 8, 16 and 24 bytes; parity bits play no part in encipherment. Triple DES keys whose halves
are alike fall back to single DES, to which they are equal. No padding happens here.
Source: NIST SP 800-67 rev. 2; FIPS 46-3 (withdrawn); ISO/IEC 18033-3.
"""

from __future__ import annotations

from functools import lru_cache

from Crypto.Cipher import DES, DES3

from acquirer.hsm_sim.crypto.cipher import BlockCipher, CbcMode
from acquirer.hsm_sim.crypto.errors import KeyLengthError

CIPHERS_KEPT_MAX = 8192

_ODD = bytes(byte if byte.bit_count() % 2 else byte ^ 1 for byte in range(256))


@lru_cache(maxsize=CIPHERS_KEPT_MAX)
def cipher(key: bytes) -> BlockCipher:
    """The kept cipher object of a DES key.

    Args:
        key: 8, 16 or 24 bytes.

    Raises:
        KeyLengthError: any other length.
    """
    if len(key) == 8:
        return _single(key)
    if len(key) not in (16, 24):
        raise KeyLengthError(f"a DES key has 8, 16 or 24 bytes, not {len(key)}")
    left, middle, right = key[:8], key[8:16], key[16:] or key[:8]
    odd_left, odd_middle, odd_right = (part.translate(_ODD) for part in (left, middle, right))
    if odd_left == odd_middle:
        return _single(right)
    if odd_middle == odd_right:
        return _single(left)
    ecb = DES3.new(left + middle + right, DES3.MODE_ECB)

    def new_cbc(iv: bytes) -> CbcMode:
        mode: CbcMode = DES3.new(left + middle + right, DES3.MODE_CBC, iv=iv)
        return mode

    return BlockCipher(8, ecb.encrypt, ecb.decrypt, new_cbc)


def _single(key: bytes) -> BlockCipher:
    ecb = DES.new(key, DES.MODE_ECB)

    def new_cbc(iv: bytes) -> CbcMode:
        mode: CbcMode = DES.new(key, DES.MODE_CBC, iv=iv)
        return mode

    return BlockCipher(8, ecb.encrypt, ecb.decrypt, new_cbc)


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
