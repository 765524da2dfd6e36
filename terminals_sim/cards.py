"""A card at the terminal: what stripe, chip and key-pad put into a message. Pure.

The chip is a stand-in: its DE55 has the usual objects, but the cryptogram in 9F26 is made up, since
test cards have no issuer keys. Source: docs/interfaces/terminal.md, part 2; EMV 4.3 Book 3, annex
A.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import Literal

from acquirer.codecs import bertlv
from acquirer.codecs.private_fields import De53
from acquirer.config.estate import Card
from acquirer.terminals_sim.security import KeyRing, enciphered_track, pin_fields

Entry = Literal["stripe", "chip", "contactless", "keyed"]

_ENTRY_MODES = {"keyed": "01", "stripe": "02", "chip": "05", "contactless": "07"}
_PIN_DIGITS_MAX = "12"


@dataclass(frozen=True, slots=True)
class Presented:
    """A card as it is presented.

    Attributes:
        entry: how it is read.
        pin: what the customer types, None for nothing; hidden.
    """

    card: Card
    entry: Entry = "stripe"
    pin: str | None = None

    def __repr__(self) -> str:
        return f"Presented({self.card.name!r}, {self.entry!r})"


def present(card: Card, entry: Entry = "stripe", pin: str | None = None) -> Presented:
    """A card with its own PIN, or with the one given; an empty ``pin`` means none is typed."""
    typed = card.pin if pin is None else pin
    return Presented(card, entry, typed or None)


def card_fields(
    presented: Presented, keys: KeyRing, *, amount_minor: int, stan: str, today: date
) -> dict[int, str]:
    """The data elements that come from card and customer.

    Args:
        presented: card, way of reading, PIN.
        keys: the working keys.
        amount_minor: for the chip's own data.
        stan: 6 digits, likewise.
        today: likewise.

    Returns:
        DE22 always; by way of reading DE2, 14, 23, 35, 55; with a PIN DE26, 52; with that or an
        enciphered track DE53.

    Raises:
        PinBlockError: the PIN is not 4 to 12 digits.
    """
    card = presented.card
    has_pin = presented.pin is not None
    fields = {22: _ENTRY_MODES[presented.entry] + ("1" if has_pin else "2")}
    if presented.entry != "stripe":
        fields |= {2: card.pan, 14: card.expiry}
    if presented.entry != "keyed":
        fields[35] = enciphered_track(keys, card.track2)
    if presented.entry in ("chip", "contactless"):
        fields[23] = "001"
        fields[55] = _icc_data(card, amount_minor, stan, today).hex().upper()
    if presented.pin is not None:
        fields |= {26: _PIN_DIGITS_MAX, **pin_fields(keys, presented.pin, card.pan)}
    is_ciphered = 35 in fields and bool(keys.track_key)
    if has_pin or is_ciphered:
        fields[53] = De53(2 if has_pin else 0, keys.algorithm, is_ciphered).format()
    return fields


def _icc_data(card: Card, amount_minor: int, stan: str, today: date) -> bytes:
    seed = f"{card.pan}{amount_minor}{stan}{today.isoformat()}".encode("ascii")
    made_up = hashlib.sha256(seed).digest()
    objects = {
        "9F26": made_up[:8].hex(),
        "9F27": "80",
        "9F10": "07010103A0A000010A010000000000" + made_up[8:12].hex(),
        "9F37": made_up[12:16].hex(),
        "9F36": made_up[16:18].hex(),
        "95": "0000000000",
        "9A": f"{today:%y%m%d}",
        "9C": "00",
        "9F02": f"{amount_minor:012d}",
        "5F2A": "0156",
        "82": "7C00",
        "9F1A": "0156",
        "9F03": "0" * 12,
        "9F33": "E0F8C8",
        "9F34": "420300",
        "9F35": "22",
        "84": "A000000333010101",
        "9F09": "0020",
        "9F41": f"{int(stan):08d}",
    }
    return bertlv.build((tag, bytes.fromhex(value)) for tag, value in objects.items())
