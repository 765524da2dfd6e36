"""What the switch asks of the module for terminals whose every message is under a key of its own.

MACs by GW; PINs by G0, which derive the key from base key and serial number. Under TDES a base key
of type 2 has a MAC key for each direction. AES base keys stand under a key block LMK of their own,
``bdk_lmk``, so that a PIN goes two steps: to the profile's ``pin_zpk`` there, and from the same key
here to the bank's. Source: docs/interfaces/security-module.md, "Derived keys"; docs/hsm.md.
"""

from __future__ import annotations

from typing import Protocol

from acquirer.codecs.pan import Pan
from acquirer.config.business import ProfileSettings
from acquirer.payments.kernel.commands import PinKey

MAC, PIN, ZONE_PIN, COMPARE = "GW", "G0", "CC", "BE"
# The sum of its digits and of the counter's five is a KSN's length under TDES; AES does not ask.
DESCRIPTOR = "A05"
# A courier's password is bound to no card.
NO_PAN = Pan("0" * 12)


class Caller(Protocol):
    """Sends commands, as ``Hsm`` does."""

    async def call(self, command: bytes, *, tolerate: str = "00") -> bytes:
        """The fields after the error code."""

    async def holds(self, command: bytes) -> bool:
        """Whether a command that compares found no difference."""


async def mac_ok(hsm: Caller, profile: ProfileSettings, ksn: str, data: bytes, mac: bytes) -> bool:
    """Whether a request's MAC is right under the key of its serial number (GW)."""
    head = f"{MAC}11{_base(profile)}{DESCRIPTOR}{ksn}{mac.hex().upper()}{len(data):04d}"
    return await hsm.holds(head.encode("ascii") + data + _tail(profile))


async def mac(hsm: Caller, profile: ProfileSettings, ksn: str, data: bytes) -> bytes:
    """The MAC of the reply to a request of this serial number (GW), 16 hexadecimal digits."""
    head = f"{MAC}41{_base(profile)}{DESCRIPTOR}{ksn}{len(data):04d}"
    return await hsm.call(head.encode("ascii") + data + _tail(profile))


async def pin_under(hsm: Caller, key: PinKey, zpk: str, pin_block: bytes, pan: Pan) -> bytes:
    """A PIN block under a zone key (G0, and CC where the base key stands under another LMK).

    Returns:
        PIN length, block in ISO format 0, format, as G0 and CC have it.
    """
    profile, account = _profile(key), pan.account_number
    base, digits = _base(profile), pin_block.hex().upper()
    if not _is_aes(profile):
        body = f"{PIN}{base}{zpk}{DESCRIPTOR}{key.ksn}{digits}0101{account}"
        return await hsm.call(body.encode("ascii"))
    head = f"{PIN}{base}{profile.pin_zpk_block}{DESCRIPTOR}{key.ksn}{digits}4801{pan.digits};"
    fields = await hsm.call(head.encode("ascii") + _tail(profile))
    if zpk == profile.pin_zpk:
        return fields
    block = fields[2:18].decode("latin-1")
    return await hsm.call(
        f"{ZONE_PIN}{profile.pin_zpk}{zpk}12{block}0101{account}".encode("latin-1")
    )


async def password_ok(hsm: Caller, key: PinKey, pin_block: bytes, pin_under_lmk: str) -> bool:
    """Whether a PIN block without PAN holds a courier's password (G0, then BE)."""
    zpk = _profile(key).pin_zpk
    block = (await pin_under(hsm, key, zpk, pin_block, NO_PAN))[2:18].decode("latin-1")
    body = f"{COMPARE}{zpk}{block}01{NO_PAN.account_number}{pin_under_lmk}"
    return await hsm.holds(body.encode("latin-1"))


def _profile(key: PinKey) -> ProfileSettings:
    assert key.profile is not None
    return key.profile


def _is_aes(profile: ProfileSettings) -> bool:
    return profile.key_scheme == "dukpt_aes"


def _base(profile: ProfileSettings) -> str:
    """The base key with its flag: type 1 has one MAC key for both ways, type 2 one for each."""
    return f"{'*' if _is_aes(profile) else '~'}{profile.bdk}"


def _tail(profile: ProfileSettings) -> bytes:
    return f"%{profile.bdk_lmk}".encode("ascii") if profile.bdk_lmk else b""
