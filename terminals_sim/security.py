"""A terminal's cryptography: working keys out of DE62, PIN blocks, MACs. Pure functions.

Working keys exist in clear only in memory, as a :class:`KeyRing` that never shows them. Source:
docs/interfaces/terminal.md, part 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from acquirer.codecs.private_fields import WorkingKeys
from acquirer.codecs.track2 import ciphered_part
from acquirer.hsm_sim.crypto import des, mac, pinblock
from acquirer.terminals_sim.errors import KeyCheckError

NO_ACCOUNT = "0" * 12

_MACS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "cup_ecb": mac.cup_ecb,
    "x919": mac.x919,
    "cmac": mac.cmac,
}


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The working keys of one sign-on, in clear; ``repr`` shows none."""

    pin_key: bytes = field(repr=False)
    mac_key: bytes = field(repr=False)
    track_key: bytes = field(default=b"", repr=False)

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
    return KeyRing(*found)


def enciphered_pin(keys: KeyRing, pin: str, account_number: str = NO_ACCOUNT) -> bytes:
    """A PIN as DE52 carries it.

    Args:
        keys: the working keys.
        pin: 4 to 12 digits.
        account_number: 12 digits of the PAN; zeros for a courier's password.

    Returns:
        8 bytes: ISO 9564 format 0 under the PIN key.

    Raises:
        PinBlockError: the PIN is not 4 to 12 digits.
    """
    return des.encrypt_ecb(keys.pin_key, pinblock.encode_iso0(pin, account_number))


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
            (over TDES).
        mac_key: 8 or 16 bytes.
        message: MTI to the last field before DE64, bit 64 set.

    Returns:
        8 bytes.
    """
    return _MACS[algorithm](mac_key, message)
