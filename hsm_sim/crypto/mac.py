"""Message authentication codes: ISO 9797-1 algorithms 1 and 3, X9.9, X9.19, CMAC, CUP-ECB.

Every function gives the whole MAC; callers cut it. Keys are bytes, padding is part of the call.
Source: ISO/IEC 9797-1:2011, 6.3, 7.2, 7.4; ANSI X9.9, X9.19; NIST SP 800-38B; for CUP-ECB the
docs/interfaces/terminal.md, part 3 (no public standard holds it).
"""

from __future__ import annotations

from functools import reduce
from operator import xor
from struct import unpack
from typing import Literal

from acquirer.hsm_sim.crypto import aes, des
from acquirer.hsm_sim.crypto.cipher import BlockCipher
from acquirer.hsm_sim.crypto.errors import KeyLengthError

Padding = Literal[0, 1, 2, 3]


def pad(data: bytes, padding: Padding, block_bytes: int = 8) -> bytes:
    """Pad to whole blocks (ISO/IEC 9797-1, 6.3).

    Args:
        data: any length.
        padding: 0 none, 1 zeros (an empty message becomes one block), 2 ``80`` and zeros,
            3 a block with the length in bits, then the message with zeros.
        block_bytes: the block size.

    Raises:
        ValueError: padding 0 and the data is empty or not whole blocks.
    """
    if padding == 2:
        data += b"\x80"
    missing = -len(data) % block_bytes
    if padding == 0:
        if missing or not data:
            raise ValueError("without padding a message must be whole blocks")
        return data
    if padding == 3:
        length = (len(data) * 8).to_bytes(block_bytes, "big")
        return length + data + bytes(missing)
    return data + bytes(missing) if data else bytes(block_bytes)


def cbc_mac(key: bytes, data: bytes, padding: Padding = 1, iv: bytes | None = None) -> bytes:
    """ISO 9797-1 MAC algorithm 1 with DES or TDES, by the key's length.

    Args:
        key: 8, 16 or 24 bytes.
        data: the message.
        padding: see :func:`pad`.
        iv: the chaining value of an earlier part of the message, 8 bytes.

    Returns:
        8 bytes.

    Raises:
        KeyLengthError: the key has another length.
    """
    return des.cipher(key).encrypt_cbc(pad(data, padding), iv)[-8:]


def x99(key: bytes, data: bytes) -> bytes:
    """ANSI X9.9: CBC-MAC with zero padding under a single DES key.

    Args:
        key: 8 bytes.
        data: the message.

    Returns:
        8 bytes; X9.9 itself uses the first four.

    Raises:
        KeyLengthError: the key has another length.

    >>> x99(bytes.fromhex("0123456789ABCDEF"), b"7654321 Now is the time for ").hex()
    'f1d30f6849312ca4'
    """
    if len(key) != 8:
        raise KeyLengthError("X9.9 takes a single DES key")
    return cbc_mac(key, data)


def x919(key: bytes, data: bytes, padding: Padding = 1, iv: bytes | None = None) -> bytes:
    """ANSI X9.19 retail MAC = ISO 9797-1 MAC algorithm 3.

    All blocks but the last run through CBC under the left half; the last one is enciphered under
    the whole key, which equals the standard's extra decipherment and encipherment.

    Args:
        key: 8 (then plain CBC-MAC) or 16 bytes, or 24 for three different keys.
        data: the message.
        padding: see :func:`pad`.
        iv: the chaining value of an earlier part, 8 bytes.

    Returns:
        8 bytes.

    Raises:
        KeyLengthError: the key has another length.
    """
    return x919_with(des.cipher(key[:8]), des.cipher(key), pad(data, padding), iv)


def x919_with(
    left: BlockCipher, whole: BlockCipher, padded: bytes, iv: bytes | None = None
) -> bytes:
    """:func:`x919` over whole blocks with cipher objects at hand."""
    if len(padded) == 8:
        chain = 0 if iv is None else int.from_bytes(iv, "big")
    else:
        chain = int.from_bytes(left.encrypt_cbc(padded[:-8], iv)[-8:], "big")
    return whole.encrypt((chain ^ int.from_bytes(padded[-8:], "big")).to_bytes(8, "big"))


def cmac(key: bytes, data: bytes) -> bytes:
    """CMAC with TDES (NIST SP 800-38B).

    Args:
        key: 16 or 24 bytes (8 is taken too).
        data: the message.

    Returns:
        8 bytes.

    Raises:
        KeyLengthError: the key has another length.
    """
    return cmac_with(des.cipher(key), data)


def cmac_aes(key: bytes, data: bytes) -> bytes:
    """CMAC with AES (NIST SP 800-38B, RFC 4493).

    Args:
        key: 16, 24 or 32 bytes.
        data: the message.

    Returns:
        16 bytes.

    Raises:
        KeyLengthError: the key has another length.
    """
    return cmac_with(aes.cipher(key), data)


def cmac_with(cipher: BlockCipher, data: bytes, iv: bytes | None = None) -> bytes:
    """CMAC with a cipher object at hand; the result is one block of that cipher."""
    size = cipher.block_bytes
    whole, broken = cipher.cmac_subkeys()
    if data and len(data) % size == 0:
        head, tail, mask = data[:-size], data[-size:], whole
    else:
        cut = len(data) - len(data) % size
        head, tail, mask = data[:cut], data[cut:] + b"\x80", broken
        tail += bytes(size - len(tail))
    last = (int.from_bytes(tail, "big") ^ mask).to_bytes(size, "big")
    return cipher.encrypt_cbc(head + last, iv)[-size:]


def xor_fold(data: bytes) -> int:
    """XOR of all 8-byte blocks, the last one filled up with zeros, as one integer."""
    data += bytes(-len(data) % 8)
    return reduce(xor, unpack(f">{len(data) // 8}Q", data), 0)


def cup_ecb(key: bytes, data: bytes) -> bytes:
    """The MAC of UnionPay-style terminals, DE64 of their messages.

    Args:
        key: 8 or 16 bytes (DES or TDES by its length).
        data: the message from its MTI to the last field before DE64.

    Returns:
        8 ASCII bytes: upper-case hexadecimal digits.

    Raises:
        KeyLengthError: the key has another length.
        ValueError: never for the data; any length is taken.

    >>> cup_ecb(bytes.fromhex("C24A8FB57AA20123"), bytes.fromhex("4D08F434464FE7BF"))
    b'8A9E91B8'
    """
    return cup_ecb_with(des.cipher(key), data)


def cup_ecb_with(cipher: BlockCipher, data: bytes) -> bytes:
    """:func:`cup_ecb` with a cipher object at hand."""
    digits = b"%016X" % xor_fold(data)
    middle = int.from_bytes(cipher.encrypt(digits[:8]), "big") ^ int.from_bytes(digits[8:], "big")
    return cipher.encrypt(middle.to_bytes(8, "big"))[:4].hex().upper().encode("ascii")
