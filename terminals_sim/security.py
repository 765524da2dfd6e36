"""A terminal's cryptography: working keys out of DE62, PIN blocks, MACs. Pure functions.

Working keys exist in clear only in memory, as a :class:`KeyRing` that never shows them. Source:
docs/interfaces/terminal.md, part 3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from acquirer.codecs.de59 import De59
from acquirer.codecs.pan import Pan
from acquirer.codecs.private_fields import WorkingKeys
from acquirer.codecs.track2 import ciphered_part
from acquirer.hsm_sim.crypto import aes, des, mac, pinblock, pinblock_iso4
from acquirer.terminals_sim.errors import KeyCheckError

NO_PAN = "0" * 12

_MACS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "cup_ecb": mac.cup_ecb,
    "x919": mac.x919,
    "cmac": mac.cmac,
    "cmac_aes": lambda key, message: mac.cmac_aes(key, message)[:8],
}


AES_KSN_DIGITS = 24


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The working keys of one sign-on or, where keys are derived, of one message, in clear.

    ``repr`` shows none.

    Attributes:
        ksn: the serial number of derived keys, hexadecimal; else empty.
        reply_key: of the reply's MAC, where it has one of its own.
    """

    pin_key: bytes = field(repr=False)
    mac_key: bytes = field(repr=False)
    track_key: bytes = field(default=b"", repr=False)
    ksn: str = ""
    reply_key: bytes = field(default=b"", repr=False)

    @property
    def is_aes(self) -> bool:
        """Whether they are AES keys: the PIN then goes in ISO format 4."""
        return len(self.ksn) == AES_KSN_DIGITS

    @property
    def algorithm(self) -> int:
        """DE53's second digit: 0 single DES, 6 double-length."""
        return 0 if len(self.pin_key) == 8 else 6


def unwrap(tmk: bytes, wrapped: WorkingKeys) -> KeyRing:
    """Decipher working keys and check each against its KCV.

    Args:
        tmk: the terminal master key, 8 or 16 bytes.
        wrapped: DE62 of a sign-on reply, keys enciphered under the TMK in ECB.

    Raises:
        KeyCheckError: a KCV (first 4 bytes of eight zero bytes enciphered) does not fit.
    """
    found = []
    for name, cryptogram, kcv in (
        ("PIN", wrapped.pin_key, wrapped.pin_kcv),
        ("MAC", wrapped.mac_key, wrapped.mac_kcv),
        ("track", wrapped.track_key, wrapped.track_kcv),
    ):
        key = des.decrypt_ecb(tmk, cryptogram) if cryptogram else b""
        if key and des.encrypt_ecb(key, bytes(8))[:4] != kcv:
            raise KeyCheckError(f"the check value of the {name} key does not fit")
        found.append(key)
    pin_key, mac_key, track_key = found
    return KeyRing(pin_key, mac_key, track_key)


def enciphered_pin(keys: KeyRing, pin: str, pan: str = NO_PAN) -> bytes:
    """A PIN as DE52 carries it, or under AES item ``PB`` of DE59.

    Args:
        keys: the working keys.
        pin: 4 to 12 digits.
        pan: the card number; zeros for a courier's password.

    Returns:
        8 bytes: ISO 9564 format 0 under the PIN key; 16 under an AES key: format 4, whose random
        digits here follow from the key, which serves once.

    Raises:
        PinBlockError: the PIN is not 4 to 12 digits.
    """
    if keys.is_aes:
        fill = hashlib.sha256(keys.pin_key).digest()[: pinblock_iso4.FILL_BYTES]
        return pinblock_iso4.encipher(aes.cipher(keys.pin_key), pin, pan, fill)
    account = Pan(pan).account_number
    return des.encrypt_ecb(keys.pin_key, pinblock.encode_iso0(pin, account))


def pin_fields(keys: KeyRing, pin: str, pan: str = NO_PAN) -> dict[int, str]:
    """The data element that carries a PIN."""
    block = enciphered_pin(keys, pin, pan).hex().upper()
    return {59: De59.build({"PB": block}).hex} if keys.is_aes else {52: block}


def enciphered_track(keys: KeyRing, track: str) -> str:
    """A track as DE35 carries it: 16 of its digits enciphered where there is a track key.

    Args:
        keys: the working keys.
        track: digits, ``D`` for the separator.
    """
    if not keys.track_key:
        return track
    part = ciphered_part(track)
    sealed = des.encrypt_ecb(keys.track_key, bytes.fromhex(track[part]))
    return track[: part.start] + sealed.hex().upper() + track[part.stop :]


def message_mac(algorithm: str, mac_key: bytes, message: bytes) -> bytes:
    """DE64 of a message.

    Args:
        algorithm: the profile's: ``cup_ecb`` (8 ASCII hexadecimal digits), ``x919`` or ``cmac``
            (over TDES), ``cmac_aes``.
        mac_key: 8 or 16 bytes.
        message: MTI to the last field before DE64, bit 64 set.

    Returns:
        8 bytes.
    """
    return _MACS[algorithm](mac_key, message)
