"""Cipher feedback over a kept cipher object, in segments of one byte or of one block.

Source: NIST SP 800-38A, 6.3 (s = 8 and s = the block size).
"""

from __future__ import annotations

from acquirer.hsm_sim.crypto.cipher import BlockCipher


def encrypt(cipher: BlockCipher, data: bytes, iv: bytes, segment_bytes: int) -> bytes:
    """Encipher.

    Args:
        cipher: the key's cipher object.
        data: a multiple of the segment.
        iv: one block.
        segment_bytes: 1, or the block size.

    Returns:
        As many bytes as ``data`` has.
    """
    return _feed(cipher, data, iv, segment_bytes, backward=False)


def decrypt(cipher: BlockCipher, data: bytes, iv: bytes, segment_bytes: int) -> bytes:
    """Decipher; arguments as :func:`encrypt`."""
    return _feed(cipher, data, iv, segment_bytes, backward=True)


def _feed(
    cipher: BlockCipher, data: bytes, register: bytes, segment_bytes: int, *, backward: bool
) -> bytes:
    made = bytearray()
    for start in range(0, len(data), segment_bytes):
        segment = data[start : start + segment_bytes]
        stream = cipher.encrypt(register)[: len(segment)]
        mixed = int.from_bytes(segment, "big") ^ int.from_bytes(stream, "big")
        result = mixed.to_bytes(len(segment), "big")
        made += result
        register = (register + (segment if backward else result))[-cipher.block_bytes :]
    return bytes(made)
