"""Which library enciphers: OpenSSL where it has the cipher, else pycryptodome.

OpenSSL (by way of ``cryptography``) takes a seventh of the time for a block and a fifth for a new
key. Some builds of it leave DES out, and then pycryptodome does the same work; tests hold the two
equal. Modes of operation and key lengths are the callers' business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from Crypto.Cipher import AES, DES, DES3
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BytesCall = Callable[[bytes], bytes]
Kind = Literal["encrypt", "decrypt", "cbc"]
NewContext = Callable[[bytes, Kind, bytes], BytesCall]
"""From a key, what the context is for, and the initial value of CBC, to the context's call."""

_ECB = modes.ECB()
_ODD = bytes(byte if byte.bit_count() % 2 else byte ^ 1 for byte in range(256))


class Engine:
    """One key of one block cipher.

    Each direction is made ready when it is first used: a context takes a kilobyte, and most keys
    serve one direction only.

    Attributes:
        encrypt: ECB encipherment of whole blocks.
        decrypt: ECB decipherment of whole blocks.
    """

    __slots__ = ("_key", "_new", "decrypt", "encrypt")

    encrypt: BytesCall
    decrypt: BytesCall

    def __init__(self, new: NewContext, key: bytes) -> None:
        """Args: ``new`` makes a context of a key, of one kind; ``key`` as it wants it."""
        self._new = new
        self._key = key

    def __getattr__(self, name: str) -> BytesCall:
        """A direction that was not used before."""
        if name not in ("encrypt", "decrypt"):
            raise AttributeError(name)
        made = self._new(self._key, "encrypt" if name == "encrypt" else "decrypt", b"")
        setattr(self, name, made)
        return made

    def new_cbc(self, iv: bytes) -> BytesCall:
        """CBC encipherment from an initial value on, which carries its chaining value on."""
        return self._new(self._key, "cbc", iv)


def openssl_des(key: bytes) -> Engine:
    """DES or TDES of OpenSSL; ``key`` has 8, 16 or 24 bytes."""
    return Engine(_openssl_des, key * 3 if len(key) == 8 else key + key[: 24 - len(key)])


def openssl_aes(key: bytes) -> Engine:
    """AES of OpenSSL; ``key`` has 16, 24 or 32 bytes."""
    return Engine(_openssl_aes, key)


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
    return Engine(_pycryptodome_des3, left + middle + right)


def pycryptodome_aes(key: bytes) -> Engine:
    """AES of pycryptodome; ``key`` has 16, 24 or 32 bytes."""
    return Engine(_pycryptodome_aes, key)


def _single(key: bytes) -> Engine:
    return Engine(_pycryptodome_des, key)


def _openssl(algorithm: TripleDES | algorithms.AES, size: int, kind: Kind, iv: bytes) -> BytesCall:
    cipher = Cipher(algorithm, modes.CBC(iv) if kind == "cbc" else _ECB)
    context = cipher.decryptor() if kind == "decrypt" else cipher.encryptor()
    return _whole_blocks(context.update, size)


def _openssl_des(key: bytes, kind: Kind, iv: bytes) -> BytesCall:
    return _openssl(TripleDES(key), 8, kind, iv)


def _openssl_aes(key: bytes, kind: Kind, iv: bytes) -> BytesCall:
    return _openssl(algorithms.AES(key), 16, kind, iv)


def _pycryptodome_des(key: bytes, kind: Kind, iv: bytes) -> BytesCall:
    if kind == "cbc":
        return DES.new(key, DES.MODE_CBC, iv=iv).encrypt
    ecb = DES.new(key, DES.MODE_ECB)
    return ecb.decrypt if kind == "decrypt" else ecb.encrypt


def _pycryptodome_des3(key: bytes, kind: Kind, iv: bytes) -> BytesCall:
    if kind == "cbc":
        return DES3.new(key, DES3.MODE_CBC, iv=iv).encrypt
    ecb = DES3.new(key, DES3.MODE_ECB)
    return ecb.decrypt if kind == "decrypt" else ecb.encrypt


def _pycryptodome_aes(key: bytes, kind: Kind, iv: bytes) -> BytesCall:
    if kind == "cbc":
        return AES.new(key, AES.MODE_CBC, iv=iv).encrypt
    ecb = AES.new(key, AES.MODE_ECB)
    return ecb.decrypt if kind == "decrypt" else ecb.encrypt


def _whole_blocks(update: BytesCall, size: int) -> BytesCall:
    """OpenSSL keeps a part of a block for the next call: it must never see one."""

    def call(data: bytes) -> bytes:
        if len(data) % size:
            raise ValueError(f"{len(data)} bytes are not whole blocks of {size}")
        return update(data)

    return call


def _has_des() -> bool:
    try:
        openssl_des(bytes(range(24))).encrypt(bytes(8))
    except UnsupportedAlgorithm:
        return False
    return True


des_engine: Callable[[bytes], Engine] = openssl_des if _has_des() else pycryptodome_des
"""The DES engine of this machine."""

aes_engine: Callable[[bytes], Engine] = openssl_aes
"""The AES engine."""
