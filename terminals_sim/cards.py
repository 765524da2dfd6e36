"""A card at the terminal: what stripe, chip and key-pad put into a message. Pure.

What the chip says is computed in ``software_card.py``. Source: docs/interfaces/terminal.md, part 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from acquirer.codecs.private_fields import De53
from acquirer.config.estate import Card
from acquirer.terminals_sim.security import KeyRing, enciphered_track, pin_fields
from acquirer.terminals_sim.software_card import icc_data

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

    @property
    def by_chip(self) -> bool:
        """Whether its chip speaks, by contact or without."""
        return self.entry in ("chip", "contactless")

    def __repr__(self) -> str:
        return f"Presented({self.card.name!r}, {self.entry!r})"


def present(card: Card, entry: Entry | None = None, pin: str | None = None) -> Presented:
    """A card with its own PIN, or with the one given; an empty ``pin`` means none is typed.

    Args:
        entry: how it is read; None is by its chip where it has one, else by its stripe.
    """
    typed = card.pin if pin is None else pin
    return Presented(card, entry or ("chip" if card.has_chip else "stripe"), typed or None)


def swiped(cards: Sequence[Card], index: int) -> Card:
    """One of the cards without a chip, over and over: for load whose clients compute little."""
    striped = [card for card in cards if not card.has_chip]
    return striped[index % len(striped)]


def card_fields(
    presented: Presented,
    keys: KeyRing,
    *,
    amount_minor: int,
    stan: str,
    today: date,
    currency_code: str,
    terminal_id: str,
) -> dict[int, str]:
    """The data elements that come from card and customer.

    Args:
        presented: card, way of reading, PIN.
        keys: the working keys.
        amount_minor: for the chip's own data.
        stan: 6 digits, likewise.
        today, currency_code, terminal_id: likewise.

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
    if presented.by_chip:
        fields[23] = card.psn.zfill(3)
        said = icc_data(
            card,
            amount_minor=amount_minor,
            stan=stan,
            today=today,
            currency_code=currency_code,
            serial=terminal_id,
        )
        fields[55] = said.hex().upper()
    if presented.pin is not None:
        fields |= {26: _PIN_DIGITS_MAX, **pin_fields(keys, presented.pin, card.pan)}
    is_ciphered = 35 in fields and bool(keys.track_key)
    if has_pin or is_ciphered:
        fields[53] = De53(2 if has_pin else 0, keys.algorithm, is_ciphered).format()
    return fields
