"""Which library enciphers: OpenSSL where it has the cipher, else pycryptodome.

OpenSSL (by way of ``cryptography``) takes a seventh of the time for a block and a fifth for a new
key. Some builds of it leave DES out, and then pycryptodome does the same work; tests hold the two
equal. Modes of operation and key lengths are the callers' business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from Crypto.Cipher import AES, DES, DES3
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BytesCall = Callable[[bytes], bytes]

_ECB = modes.ECB()
_ODD = bytes(byte if byte.bit_count() % 2 else byte ^ 1 for byte in range(256))


class Engine(NamedTuple):
    """One key of one block cipher.

    Attributes:
        encrypt: ECB encipherment of whole blocks.
        decrypt: ECB decipherment of whole blocks.
        new_cbc: from an initial value to CBC encipherment that carries its chaining value on.
    """

    encrypt: BytesCall
    decrypt: BytesCall
    new_cbc: Callable[[bytes], BytesCall]


def openssl_des(key: bytes) -> Engine:
    """DES or TDES of OpenSSL; ``key`` has 8, 16 or 24 bytes.

    Raises:
        UnsupportedAlgorithm: this OpenSSL has no DES.
    """
    triple = key * 3 if len(key) == 8 else key + key[: 24 - len(key)]
    return _openssl(TripleDES(triple), 8)


def openssl_aes(key: bytes) -> Engine:
    """AES of OpenSSL; ``key`` has 16, 24 or 32 bytes."""
    return _openssl(algorithms.AES(key), 16)


def pycryptodome_des(key: bytes) -> Engine:
    """DES or TDES of pycryptodome; ``key`` has 8, 16 or 24 bytes.

    Triple DES keys with equal neighbours, which that library refuses, are single DES by definition.
    """
    if len(key) == 8:
        return _single(key)
    left, middle, right = key[:8], key[8:16], key[16:] or key[:8]
    odd_left, odd_middle, odd_right = (part.translate(_ODD) for part in (left, middle, right))
    if odd_left == odd_middle:
        return _single(right)
    if odd_middle == odd_right:
        return _single(left)
    whole = left + middle + right
    ecb = DES3.new(whole, DES3.MODE_ECB)
    return Engine(
        ecb.encrypt, ecb.decrypt, lambda iv: DES3.new(whole, DES3.MODE_CBC, iv=iv).encrypt
    )


def pycryptodome_aes(key: bytes) -> Engine:
    """AES of pycryptodome; ``key`` has 16, 24 or 32 bytes."""
    ecb = AES.new(key, AES.MODE_ECB)
    return Engine(ecb.encrypt, ecb.decrypt, lambda iv: AES.new(key, AES.MODE_CBC, iv=iv).encrypt)


def _single(key: bytes) -> Engine:
    ecb = DES.new(key, DES.MODE_ECB)
    return Engine(ecb.encrypt, ecb.decrypt, lambda iv: DES.new(key, DES.MODE_CBC, iv=iv).encrypt)


def _openssl(algorithm: TripleDES | algorithms.AES, size: int) -> Engine:
    ecb = Cipher(algorithm, _ECB)

    def new_cbc(iv: bytes) -> BytesCall:
        return _whole_blocks(Cipher(algorithm, modes.CBC(iv)).encryptor().update, size)

    return Engine(
        _whole_blocks(ecb.encryptor().update, size),
        _whole_blocks(ecb.decryptor().update, size),
        new_cbc,
    )


def _whole_blocks(update: BytesCall, size: int) -> BytesCall:
    """OpenSSL keeps a part of a block for the next call: it must never see one."""

    def call(data: bytes) -> bytes:
        if len(data) % size:
            raise ValueError(f"{len(data)} bytes are not whole blocks of {size}")
        return update(data)

    return call


def _has_des() -> bool:
    try:
        openssl_des(bytes(range(24)))
    except UnsupportedAlgorithm:
        return False
    return True


des_engine: Callable[[bytes], Engine] = openssl_des if _has_des() else pycryptodome_des
"""The DES engine of this machine."""

aes_engine: Callable[[bytes], Engine] = openssl_aes
"""The AES engine."""
