"""AES in ECB and CBC with kept cipher objects.

Keys of 16, 24 and 32 bytes; no padding happens here. Source: FIPS 197; NIST SP 800-38A.
"""

from __future__ import annotations

from functools import lru_cache

from Crypto.Cipher import AES

from acquirer.hsm_sim.crypto.cipher import BlockCipher, CbcMode
from acquirer.hsm_sim.crypto.errors import KeyLengthError

CIPHERS_KEPT_MAX = 4096


@lru_cache(maxsize=CIPHERS_KEPT_MAX)
def cipher(key: bytes) -> BlockCipher:
    """The kept cipher object of an AES key.

    Args:
        key: 16, 24 or 32 bytes.

    Raises:
        KeyLengthError: any other length.
    """
    if len(key) not in (16, 24, 32):
        raise KeyLengthError(f"an AES key has 16, 24 or 32 bytes, not {len(key)}")
    ecb = AES.new(key, AES.MODE_ECB)

    def new_cbc(iv: bytes) -> CbcMode:
        mode: CbcMode = AES.new(key, AES.MODE_CBC, iv=iv)
        return mode

    return BlockCipher(16, ecb.encrypt, ecb.decrypt, new_cbc)
