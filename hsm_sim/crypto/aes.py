"""AES in ECB and CBC with kept cipher objects.

Keys of 16, 24 and 32 bytes; no padding happens here. Source: FIPS 197; NIST SP 800-38A.
"""

from __future__ import annotations

from functools import lru_cache

from acquirer.hsm_sim.crypto.cipher import BlockCipher
from acquirer.hsm_sim.crypto.engines import aes_engine
from acquirer.hsm_sim.crypto.errors import KeyLengthError

CIPHERS_KEPT_MAX = 1024


def new_cipher(key: bytes) -> BlockCipher:
    """A cipher object of an AES key that is not kept, for keys that are used once.

    Args:
        key: 16, 24 or 32 bytes.

    Raises:
        KeyLengthError: any other length.
    """
    if len(key) not in (16, 24, 32):
        raise KeyLengthError(f"an AES key has 16, 24 or 32 bytes, not {len(key)}")
    return BlockCipher(16, aes_engine(key))


@lru_cache(maxsize=CIPHERS_KEPT_MAX)
def cipher(key: bytes) -> BlockCipher:
    """The kept cipher object of an AES key; argument and errors as :func:`new_cipher`."""
    return new_cipher(key)
