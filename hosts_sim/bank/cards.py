"""The bank's cards, in memory, from the estate: what a card is and whether its PIN is right.

Card numbers and PINs stay in memory. What may be written is a card's token (a keyed hash) and
its masked number. Source: ISO 9564-1 (PIN block format 0); PCI DSS 4.0, 3.5.1 (keyed hashes).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from acquirer.codecs.pan import Pan
from acquirer.config.estate import Bank, Card
from acquirer.hsm_sim.crypto import des, pinblock
from acquirer.hsm_sim.crypto.errors import PinBlockError

PinCheck = Literal["absent", "right", "wrong", "unreadable"]

_STATUS_CODES = {"lost": "41", "stolen": "43", "restricted": "62", "closed": "14"}


@dataclass(frozen=True, slots=True, repr=False)
class IssuedCard:
    """One card; ``repr`` shows the masked number.

    Attributes:
        token: keyed hash of the card number, 32 hexadecimal digits.
        masked: the masked card number.
        opening_minor: balance when the books are new.
        estate: the card as the estate has it, for its chip.
    """

    token: str
    masked: str
    account_number: str
    expiry: str
    pin: str
    cvn2: str
    status: str
    opening_minor: int
    estate: Card

    def refusal(self, expiry: str, now_yymm: str) -> str:
        """Response code for a card that must not be used; empty for a good one.

        Args:
            expiry: DE14 of the request, YYMM, or empty.
            now_yymm: the current month.
        """
        if self.status:
            return _STATUS_CODES[self.status]
        if self.expiry < now_yymm or (expiry and expiry != self.expiry):
            return "54"
        return ""

    def check_pin(self, block: bytes, zpks: Iterable[bytes]) -> PinCheck:
        """Compare a PIN block with the card's PIN.

        Args:
            block: DE52, 8 bytes, empty where there was none.
            zpks: keys that it may be under, most likely first, 16 bytes each.
        """
        if not block:
            return "absent"
        for zpk in zpks:
            try:
                pin = pinblock.decode_iso0(des.decrypt_ecb(zpk, block), self.account_number)
            except PinBlockError:
                continue
            return "right" if hmac.compare_digest(pin, self.pin) else "wrong"
        return "unreadable"

    def __repr__(self) -> str:
        return f"IssuedCard({self.masked!r})"


class CardFile:
    """All cards of one bank.

    Args:
        bank: whose BIN ranges say which cards are its own; its test key also keys the tokens.
        cards: the estate's cards.
    """

    def __init__(self, bank: Bank, cards: Sequence[Card]) -> None:
        self._token_key = hmac.digest(bytes.fromhex(bank.zmk), b"card token", "sha256")
        self._cards = {
            card.pan: IssuedCard(
                self.token(card.pan),
                Pan(card.pan).masked,
                Pan(card.pan).account_number,
                card.expiry,
                card.pin,
                card.cvn2,
                card.status,
                card.balance_minor,
                card,
            )
            for card in cards
            if card.pan.startswith(tuple(bank.bins))
        }
        self._numbers = {card.name: card.pan for card in cards if card.pan in self._cards}
        self._bins = sorted(bank.bins, key=len, reverse=True)

    def named(self, name: str) -> tuple[IssuedCard, str] | None:
        """The card of this name, and the first digits of its number that lead to its bank."""
        digits = self._numbers.get(name, "")
        bin_prefix = next((prefix for prefix in self._bins if digits.startswith(prefix)), "")
        return (self._cards[digits], bin_prefix) if digits else None

    def find(self, digits: str) -> IssuedCard | None:
        """The card with this number; None where the bank has none."""
        return self._cards.get(digits)

    def token(self, digits: str) -> str:
        """The keyed hash that stands for a card number in the books."""
        return hmac.digest(self._token_key, digits.encode("ascii"), "sha256").hex()[:32]

    def __iter__(self) -> Iterator[IssuedCard]:
        return iter(self._cards.values())

    def __repr__(self) -> str:
        return f"<CardFile of {len(self._cards)}>"
