"""A block cipher with its key schedule kept, in ECB and CBC.

Making a cipher object costs five times an encryption, so one object serves a key for as long as
it stays in a cache. CBC encryption runs on a kept CBC object too: its chaining value is cancelled
by XOR into the first block of the next message. Source: NIST SP 800-38A, 6.1 and 6.2.
"""

from __future__ import annotations

from threading import Lock

from acquirer.hsm_sim.crypto.engines import BytesCall, Engine


class BlockCipher:
    """One key of one block cipher.

    Attributes:
        block_bytes: 8 for DES and TDES, 16 for AES.
        encrypt: ECB encipherment of whole blocks.
        decrypt: ECB decipherment of whole blocks.
    """

    __slots__ = (
        "_cbc",
        "_engine",
        "_last",
        "_lock",
        "_subkeys",
        "block_bytes",
        "decrypt",
        "encrypt",
    )

    encrypt: BytesCall
    decrypt: BytesCall

    def __init__(self, block_bytes: int, engine: Engine) -> None:
        self.block_bytes = block_bytes
        self._engine = engine
        self._cbc: BytesCall | None = None
        self._last = 0
        self._lock = Lock()
        self._subkeys: tuple[int, int] | None = None

    def __getattr__(self, name: str) -> BytesCall:
        """A direction that was not used before; it stays at hand, as the engine made it."""
        if name not in ("encrypt", "decrypt"):
            raise AttributeError(name)
        made: BytesCall = getattr(self._engine, name)
        setattr(self, name, made)
        return made

    def encrypt_cbc(self, plaintext: bytes, iv: bytes | None = None) -> bytes:
        """Encipher whole blocks in CBC.

        Args:
            plaintext: at least one block, a multiple of the block size.
            iv: one block; zeros where it is left out.

        Raises:
            ValueError: the plaintext is empty or no multiple of the block size.
        """
        size = self.block_bytes
        if not plaintext or len(plaintext) % size:
            raise ValueError(f"{len(plaintext)} bytes are not whole blocks of {size}")
        with self._lock:
            if self._cbc is None:
                self._cbc = self._engine.new_cbc(bytes(size))
            mask = self._last if iv is None else self._last ^ int.from_bytes(iv, "big")
            first = (int.from_bytes(plaintext[:size], "big") ^ mask).to_bytes(size, "big")
            ciphertext = self._cbc(first + plaintext[size:])
            self._last = int.from_bytes(ciphertext[-size:], "big")
        return ciphertext

    def decrypt_cbc(self, ciphertext: bytes, iv: bytes | None = None) -> bytes:
        """Decipher whole blocks in CBC.

        Args:
            ciphertext: at least one block, a multiple of the block size.
            iv: one block; zeros where it is left out.

        Raises:
            ValueError: the ciphertext is empty or no multiple of the block size.
        """
        size, length = self.block_bytes, len(ciphertext)
        if not ciphertext or length % size:
            raise ValueError(f"{length} bytes are not whole blocks of {size}")
        chain = (bytes(size) if iv is None else iv) + ciphertext[:-size]
        plain = int.from_bytes(self.decrypt(ciphertext), "big") ^ int.from_bytes(chain, "big")
        return plain.to_bytes(length, "big")

    def cmac_subkeys(self) -> tuple[int, int]:
        """K1 and K2 of CMAC as integers (NIST SP 800-38B, 6.1), computed once."""
        if self._subkeys is None:
            bits = self.block_bytes * 8
            reduction = 0x1B if bits == 64 else 0x87
            first = _double(
                int.from_bytes(self.encrypt(bytes(self.block_bytes)), "big"), bits, reduction
            )
            self._subkeys = (first, _double(first, bits, reduction))
        return self._subkeys

    def __repr__(self) -> str:
        return f"<BlockCipher of {self.block_bytes}-byte blocks>"


def _double(value: int, bits: int, reduction: int) -> int:
    carry = value >> (bits - 1)
    return ((value << 1) & ((1 << bits) - 1)) ^ (reduction if carry else 0)
