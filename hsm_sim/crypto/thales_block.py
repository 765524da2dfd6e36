"""Thales key blocks (scheme ``S``): version 0 under a TDES key, version 1 under an AES key.

Version 0 protects as TR-31 A does: the master key's variants 45 and 4D encipher (CBC, IV = the
header's first 8 characters) and authenticate (4 bytes of CBC-MAC). Version 1 derives both keys by
CMAC as TR-31 D does, enciphers in CBC with the header as IV and authenticates header and
ciphertext with 8 bytes of CMAC. The same rules serve LMKs and zone master keys.
Source: docs/hsm.md, "Local master keys and key schemes"; checked against published blocks.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import lru_cache

from acquirer.hsm_sim.crypto import aes, des, mac
from acquirer.hsm_sim.crypto.block_header import BlockHeader, header_text, read_header
from acquirer.hsm_sim.crypto.cipher import BlockCipher
from acquirer.hsm_sim.crypto.errors import KeyBlockError

TDES, AES = "0", "1"
KEY_BYTES = {"D": (8,), "T": (8, 16, 24), "A": (16, 24, 32)}
"""Lengths of a key by its header's algorithm."""

_MAC_BYTES = {TDES: 4, AES: 8}
_MASTERS_KEPT_MAX = 512


def wrap(
    version_id: str,
    master: bytes,
    header: BlockHeader,
    clear: bytes,
    random: Callable[[int], bytes],
    reserved: str = "FF",
) -> str:
    """A key as a key block.

    Args:
        version_id: ``0`` for a TDES, ``1`` for an AES master key.
        master: 16 or 24 bytes for TDES; 16, 24 or 32 bytes for AES.
        header: what the block says of the key.
        clear: the key's bytes.
        random: gives n random bytes, for padding.
        reserved: the header's last two characters: LMK id, or ``FF`` under a zone master key.

    Returns:
        Header, ciphertext and MAC as upper-case hexadecimal digits, without a scheme letter.

    Raises:
        KeyBlockError: ``A5``, ``AB``, ``AC`` the header cannot be written.
        KeyLengthError: the master key has another length.
    """
    cipher, authenticate = _protection(version_id, master)
    size = cipher.block_bytes
    plain = (len(clear) * 8).to_bytes(2, "big") + clear
    plain += random(-len(plain) % size)
    mac_bytes = _MAC_BYTES[version_id]
    head = header_text(header, version_id, (len(plain) + mac_bytes) * 2, size, reserved)
    written = head.encode("ascii")
    ciphertext = cipher.encrypt_cbc(plain, written[:size])
    tag = authenticate(written + ciphertext)[:mac_bytes]
    return head + (ciphertext + tag).hex().upper()


def unwrap(version_id: str, master: bytes, block: str) -> tuple[BlockHeader, bytes]:
    """The key in a key block.

    Args:
        version_id: as :func:`wrap`.
        master: as :func:`wrap`.
        block: without scheme letter.

    Returns:
        Header and key.

    Raises:
        KeyBlockError: ``A4`` it is not authentic, ``A5``, ``AB``, ``AC``, ``B2`` it cannot be read.
        KeyLengthError: the master key has another length.
    """
    header, at = read_header(block)
    if block[0] != version_id:
        raise KeyBlockError("A1", "the key block is of another version than the master key")
    cipher, authenticate = _protection(version_id, master)
    try:
        body = bytes.fromhex(block[at:])
    except ValueError:
        body = b""
    mac_bytes = _MAC_BYTES[version_id]
    ciphertext, tag = body[:-mac_bytes], body[-mac_bytes:]
    if len(body) * 2 != len(block) - at or not ciphertext or len(ciphertext) % cipher.block_bytes:
        raise KeyBlockError("A5", "the key block's ciphertext is not whole blocks")
    head = block[:at].encode("ascii")
    if not hmac.compare_digest(authenticate(head + ciphertext)[:mac_bytes], tag):
        raise KeyBlockError("A4", "the key block is not authentic under this master key")
    plain = cipher.decrypt_cbc(ciphertext, head[: cipher.block_bytes])
    length, rest = divmod(int.from_bytes(plain[:2], "big"), 8)
    if rest or length not in KEY_BYTES.get(header.algorithm, ()) or length > len(plain) - 2:
        raise KeyBlockError("A7", "the key's length does not fit its algorithm")
    return header, plain[2 : 2 + length]


@lru_cache(maxsize=_MASTERS_KEPT_MAX)
def _protection(version_id: str, master: bytes) -> tuple[BlockCipher, Callable[[bytes], bytes]]:
    """The cipher and the MAC function that a master key gives."""
    if version_id == TDES:
        authentic = bytes(byte ^ 0x4D for byte in master)
        return (
            des.cipher(bytes(byte ^ 0x45 for byte in master)),
            lambda data: mac.cbc_mac(authentic, data),
        )
    encrypting, authenticating = derived_aes_keys(master)
    return aes.cipher(encrypting), lambda data: mac.cmac_aes(authenticating, data)


def derived_aes_keys(master: bytes) -> tuple[bytes, bytes]:
    """Encryption and MAC key of an AES master key, each as long as it.

    Args:
        master: 16, 24 or 32 bytes.

    Raises:
        KeyLengthError: any other length.

    Source: X9.143:2022, 7.3 (key block version D), CMAC in counter mode.
    """
    cipher = aes.cipher(master)
    bits = len(master) * 8
    algorithm = {128: 2, 192: 3, 256: 4}[bits]

    def derive(usage: int) -> bytes:
        label = usage.to_bytes(2, "big") + bytes((0, 0, algorithm)) + bits.to_bytes(2, "big")
        blocks = (mac.cmac_with(cipher, bytes((n,)) + label) for n in (1, 2))
        return b"".join(blocks)[: len(master)]

    return derive(0), derive(1)
