"""Variants of local master keys: which pattern alters which byte.

A key type's variant alters the first byte of an LMK pair, a key scheme's variant the first byte
of the pair's right half, one pattern per 8-byte part of the key. The scheme rule also serves
schemes U and T under a zone master key. Source: public payShield implementations.
"""

from __future__ import annotations

from acquirer.hsm_sim.crypto import des

_TYPE_PATTERNS = (0x00, 0xA6, 0x5A, 0x6A, 0xDE, 0x2B, 0x50, 0x74, 0x9C, 0xFA)
_SCHEME_PATTERNS = {2: (0xA6, 0x5A), 3: (0x6A, 0xDE, 0x2B)}


def type_variant(pair: bytes, variant: int) -> bytes:
    """An LMK pair altered for a key type.

    Args:
        pair: 16 bytes.
        variant: 0 to 9; 0 leaves the pair as it is.
    """
    return bytes((pair[0] ^ _TYPE_PATTERNS[variant],)) + pair[1:]


def encrypt_scheme(master: bytes, key: bytes) -> bytes:
    """Encipher a double or triple key part by part under a master key's scheme variants.

    Args:
        master: an LMK pair or a zone master key of 16 bytes.
        key: 16 bytes (scheme U) or 24 (scheme T).

    Returns:
        As many bytes as the key has.
    """
    return b"".join(des.encrypt_ecb(under, part) for under, part in _parts(master, key))


def decrypt_scheme(master: bytes, cryptogram: bytes) -> bytes:
    """The reverse of :func:`encrypt_scheme`."""
    return b"".join(des.decrypt_ecb(under, part) for under, part in _parts(master, cryptogram))


def _parts(master: bytes, key: bytes) -> list[tuple[bytes, bytes]]:
    patterns = _SCHEME_PATTERNS[len(key) // 8]
    return [
        (master[:8] + bytes((master[8] ^ pattern,)) + master[9:], key[8 * n : 8 * n + 8])
        for n, pattern in enumerate(patterns)
    ]
