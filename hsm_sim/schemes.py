"""Key schemes: how a key is written under a master key, as text of host commands.

None and ``Z`` single length; ``U`` and ``T`` double and triple length with scheme variants; ``X``
and ``Y`` double and triple length in plain ECB (X9.17). Without a letter, 32 and 48 digits are the
old long forms, in ECB too. The same rules serve LMK pairs, zone and terminal master keys.
Source: docs/hsm.md, "Local master keys and key schemes".
"""

from __future__ import annotations

from acquirer.hsm_sim.crypto import des, lmk_variants
from acquirer.hsm_sim.errors import Refusal

KEY_BYTES = {"": 8, "0": 8, "Z": 8, "U": 16, "X": 16, "T": 24, "Y": 24}
"""Bytes of a key under each scheme; none and ``0`` say single length."""

PLAIN = ("", "0", "Z")
"""Schemes that write no letter."""


def key_bytes(scheme: str) -> int:
    """Length of a key under a scheme in bytes.

    Raises:
        Refusal: 26, there is no such scheme here.
    """
    length = KEY_BYTES.get(scheme)
    if length is None:
        raise Refusal("26", "there is no such key scheme")
    return length


def wrap(master: bytes, clear: bytes, scheme: str) -> str:
    """A key as text under a master key.

    Args:
        master: 8, 16 or 24 bytes; an LMK pair comes with its type variant.
        clear: 8, 16 or 24 bytes.
        scheme: a letter of :data:`KEY_BYTES`; none, ``0`` and ``Z`` write keys of any length
            without a letter.

    Returns:
        Scheme letter, if any, and upper-case hexadecimal digits.

    Raises:
        Refusal: 26 unknown scheme, 27 the key's length does not fit the scheme.
    """
    if scheme in PLAIN:
        return des.encrypt_ecb(master, clear).hex().upper()
    if key_bytes(scheme) != len(clear):
        raise Refusal("27", f"a key of {len(clear)} bytes does not fit scheme {scheme}")
    if scheme in "UT":
        return scheme + lmk_variants.encrypt_scheme(_double(master), clear).hex().upper()
    return scheme + des.encrypt_ecb(master, clear).hex().upper()


def unwrap(master: bytes, text: str) -> bytes:
    """The clear key behind a text of :func:`wrap`.

    Raises:
        Refusal: 26 unknown scheme, 15 no hexadecimal digits or a wrong number of them.
    """
    scheme = "" if text[:1] in "0123456789ABCDEFabcdef" else text[:1]
    digits = text[len(scheme) :]
    try:
        cryptogram = bytes.fromhex(digits)
    except ValueError:
        raise Refusal("15", "a key holds other characters than hexadecimal digits") from None
    if len(cryptogram) * 2 != len(digits) or len(cryptogram) not in (8, 16, 24):
        raise Refusal("15", "a key has a wrong number of hexadecimal digits")
    if scheme and key_bytes(scheme) != len(cryptogram):
        raise Refusal("15", f"scheme {scheme} asks for another number of digits")
    if scheme and scheme in "UT":
        return lmk_variants.decrypt_scheme(_double(master), cryptogram)
    return des.decrypt_ecb(master, cryptogram)


def _double(master: bytes) -> bytes:
    return master * 2 if len(master) == 8 else master
