"""Keys on their way: how a key is written and read under a zone or terminal master key.

Variant schemes (none, Z, U, T, X, Y) under TDES keys, with Atalla variants; Thales blocks (S) under
TDES (version 0) and AES (version 1) keys; TR-31 blocks (R), versions A, B, C under TDES and D under
AES keys. Source: docs/hsm.md, "Local master keys and key schemes"; X9.143:2022.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from acquirer.hsm_sim import schemes
from acquirer.hsm_sim.crypto import des, thales_block, tr31
from acquirer.hsm_sim.crypto.block_header import BlockHeader
from acquirer.hsm_sim.crypto.errors import CryptoError, KeyBlockError
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_attributes import check_whole, standard_header
from acquirer.hsm_sim.lmk import WorkingKey

SCHEMES = "0ZUTXYSR"
"""Scheme letters that a request may name for a key under a master key."""


@dataclass(frozen=True, slots=True)
class Received:
    """A key as it came from under a master key.

    Attributes:
        clear: its bytes, DES keys of odd parity.
        header: what its block said; None where it came in none.
        mended: whether parity had to be put right.
    """

    clear: bytes
    header: BlockHeader | None
    mended: bool

    @property
    def is_aes(self) -> bool:
        """Whether it is an AES key."""
        return self.header is not None and self.header.algorithm == "A"


def receive(master: WorkingKey, text: str, atalla: int = 0) -> Received:
    """Open a key under a master key.

    Args:
        master: ZMK or TMK.
        text: the key in any scheme.
        atalla: Atalla variant of the master key, 0 = none; blocks know none.

    Raises:
        Refusal: 15, 26 the text is no key; 27 the master key does not serve this scheme; A4 to AC
            a block does not open, A9 it holds a component.
    """
    try:
        if text[:1] == "S":
            version_id = thales_block.AES if master.algorithm == "A" else thales_block.TDES
            header, clear = thales_block.unwrap(version_id, master.clear, text[1:])
        elif text[:1] == "R":
            if tr31.VERSIONS.get(text[1:2], master.algorithm) != master.algorithm:
                raise Refusal("A7", "the TR-31 block's version is for another algorithm of ZMK")
            header, clear = tr31.unwrap(master.clear, text[1:])
        else:
            clear = schemes.unwrap(_des_master(master, atalla), text)
            return Received(des.odd_parity(clear), None, not des.has_odd_parity(clear))
    except KeyBlockError as error:
        raise Refusal(error.code, str(error)) from None
    except CryptoError as error:
        raise Refusal("27", str(error)) from None
    check_whole(header)
    if header.algorithm == "A":
        return Received(clear, header, False)
    return Received(des.odd_parity(clear), header, not des.has_odd_parity(clear))


def send(
    master: WorkingKey,
    clear: bytes,
    header: BlockHeader | None,
    scheme: str,
    *,
    random: Callable[[int], bytes],
    tr31_version: str = "B",
    atalla: int = 0,
) -> str:
    """Write a key under a master key.

    Args:
        master: ZMK or TMK.
        clear: the key's bytes.
        header: what a block shall say; its algorithm counts in any scheme, None means DES.
        scheme: a letter of :data:`SCHEMES`, or none.
        random: gives n random bytes.
        tr31_version: version of TR-31 blocks under TDES keys.
        atalla: as :func:`receive`.

    Raises:
        Refusal: 26 unknown scheme, 27 lengths do not fit, A7 an AES key under a TDES key or outside
            a block, A6 a block without header.
    """
    if header is not None and header.algorithm == "A" and master.algorithm != "A":
        raise Refusal("A7", "an AES key does not leave under a TDES key")
    if scheme not in ("S", "R"):
        return schemes.wrap(_des_master(master, atalla), clear, scheme)
    if header is None:
        raise Refusal("A6", "a key block needs the key's usage")
    try:
        if scheme == "S":
            version_id = thales_block.AES if master.algorithm == "A" else thales_block.TDES
            return "S" + thales_block.wrap(version_id, master.clear, header, clear, random)
        version = "D" if master.algorithm == "A" else tr31_version
        return "R" + tr31.wrap(version, master.clear, standard_header(header), clear)
    except KeyBlockError as error:
        raise Refusal(error.code, str(error)) from None
    except CryptoError as error:
        raise Refusal("27", str(error)) from None


def _des_master(master: WorkingKey, atalla: int) -> bytes:
    if master.algorithm == "A":
        raise Refusal("26", "an AES key protects key blocks only")
    if not atalla:
        return master.clear
    pattern = bytes(((atalla * 8) & 0xFF,)) + bytes(7)
    mask = pattern * (len(master.clear) // 8)
    return bytes(a ^ b for a, b in zip(master.clear, mask, strict=True))
