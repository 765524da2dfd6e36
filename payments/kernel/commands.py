"""What somebody asks for, as typed values: the base of all commands, and their answers.

A terminal's message becomes a command once (``switch/terminals/commands.py``); whatever else asks
for a payment makes the same commands. A handler takes one, with the ports, and gives an
:data:`Outcome`. Source: ARCHITECTURE.md, "Commands".
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from acquirer.codecs.pan import Pan
from acquirer.codecs.response_codes import ResponseCode
from acquirer.codecs.track2 import Track2
from acquirer.config.business import MerchantSettings, ProfileSettings
from acquirer.ledger.accounts.postings import FeeRate
from acquirer.ledger.journal.entries import (
    Entry,
    Role,
)
from acquirer.ledger.journal.ksns import TakeKsn
from acquirer.ledger.journal.replies import NO_REPLY, Reply
from acquirer.payments.kernel.business import Business

APPROVED = ResponseCode.APPROVED
# The first digits of an entry mode (DE22).
KEYED, STRIPE = "01", "02"
# Condition codes (DE25) of an order by mail or telephone; the second of a pre-authorisation.
MAIL_OR_TELEPHONE = frozenset({"08", "18"})


class Shown(msgspec.Struct, frozen=True):
    """What an asker is shown of an order; what is empty is left out, but for the text.

    Attributes:
        status: ``OS`` of the terminal interface.
        pay_ways: digits, ``OW``.
        reference: the merchant's own payment reference.
        asked: names of what must be keyed in before a payment.
        reason: of an exception.
        text: to read, lines split by ``|``; None for no text at all.
    """

    order_no: str
    status: str = ""
    pay_ways: str = ""
    reference: str = ""
    asked: tuple[str, ...] = ()
    reason: str = ""
    text: str | None = None


class Display(Protocol):
    """Puts what an asker is shown into the form that he takes; it is stored with the answer."""

    def __call__(self, shown: Shown) -> str:
        """The form, empty where he is shown nothing."""


def _nothing(shown: Shown) -> str:
    return ""


class PinKey(msgspec.Struct, frozen=True):
    """Under which an asker's PIN blocks come.

    Attributes:
        key: under the LMK: a terminal's PIN key, or the base key that its keys are derived from;
            empty where there are no PINs.
        ksn: the serial number of the derived key, hexadecimal; empty where ``key`` serves itself.
        profile: of the terminal whose keys are derived.
    """

    key: str = ""
    ksn: str = ""
    profile: ProfileSettings | None = None


NO_PIN_KEY = PinKey()


class Origin(msgspec.Struct, frozen=True):
    """Who asks, under which number, and when; the same for every command.

    Attributes:
        terminal_id: names who asks within the merchant; with batch and stan it names what is
            asked once.
        merchant: whose payment it is.
        business: the configuration by which all of it is decided.
        mti, processing_code, transaction_type: what the journal notes of it; empty where it
            came otherwise than by message.
        fingerprint: keyed digest of what makes a repeat the same request.
        started_at: monotonic seconds.
        now_ms: wall clock then, milliseconds.
        role: what of its number it is.
        amount_minor: minor units; None where no amount is named.
        currency_code: 3 digits; empty where none is named, which means the merchant's.
        courier_id: who acts for the merchant, as he is named; empty for nobody.
        pin_key: under which its PIN blocks come.
        display: puts what is shown of an order into its form.
        open_batch: the batch that the asker has open; empty where he has none.
        key_version: of the keys with which the asker has proved who he is: what he asks for is
            stored only while the terminal's row has that version. None for nobody's.
        takes_part: whether a part of the amount may be approved.
        ksn: what it takes of the terminal's keys, where each is good for one message.
    """

    terminal_id: str
    merchant: MerchantSettings
    batch: str
    stan: str
    business: Business
    fingerprint: bytes
    started_at: float
    now_ms: int
    mti: str = ""
    processing_code: str = ""
    transaction_type: str = ""
    role: Role = Role.ORIGINAL
    amount_minor: int | None = None
    currency_code: str = ""
    courier_id: str = ""
    pin_key: PinKey = NO_PIN_KEY
    display: Display = _nothing
    open_batch: str = ""
    key_version: int | None = None
    takes_part: bool = False
    ksn: TakeKsn | None = None

    def __repr__(self) -> str:
        return f"Origin({self.terminal_id!r}, {self.batch!r}, {self.stan!r})"

    @property
    def merchant_id(self) -> str:
        """The merchant's id."""
        return self.merchant.merchant_id

    @property
    def named_minor(self) -> int:
        """The amount named, 0 for none."""
        return self.amount_minor or 0

    def may_key(self, condition_code: str, *, is_keyed: bool = True) -> bool:
        """Whether the merchant may take a card in this way, keyed or by mail and telephone."""
        is_by_mail = condition_code in MAIL_OR_TELEPHONE
        may_mail = self.merchant.moto or not is_by_mail
        return may_mail and (self.merchant.keyed or not (is_keyed or is_by_mail))

    def has_closed(self, original: Entry) -> bool:
        """Whether an original of the asker's own is in a batch that is open no more.

        Only a refund gives it back then.
        """
        is_own = original.terminal_id == self.terminal_id
        return is_own and self.open_batch not in ("", original.batch)

    @property
    def fee_rate(self) -> FeeRate:
        """What the merchant pays for a card payment."""
        return FeeRate(self.merchant.mdr_basis_points)


class PresentedCard(msgspec.Struct, frozen=True):
    """A card as its holder has presented it; ``repr`` shows the number masked, and no secrets.

    Attributes:
        pan: None where its holder shows a code instead.
        expiry: YYMM, from the track or keyed, or empty.
        entry_mode: how it was read, 3 digits (DE22's codes).
        sequence: of the chip's application, 3 digits, or empty.
        condition_code: 2 digits (DE25's codes), or empty.
        icc: the chip's data objects, BER-TLV, as they came.
        pin_block: 8 bytes under the origin's PIN key, 16 under AES; empty for no PIN.
        is_pin_unfit: whether the PIN is in a form that no bank can check.
        code: 19 digits that only the bank can read, good once; empty where the card is there.
        cvn2: what is printed on the card beside its number, 3 digits, or empty; never kept.
        at_chip_reader: whether who reads it reads chips.
        is_chip_unread: whether its chip could not be read.
    """

    pan: Pan | None
    track: Track2 | None = None
    expiry: str = ""
    entry_mode: str = ""
    sequence: str = ""
    condition_code: str = ""
    icc: bytes = b""
    pin_block: bytes = b""
    is_pin_unfit: bool = False
    code: str = ""
    cvn2: str = ""
    at_chip_reader: bool = False
    is_chip_unread: bool = False

    @property
    def is_keyed(self) -> bool:
        """Whether its number was keyed in."""
        return self.entry_mode.startswith(KEYED)

    @property
    def routed_by(self) -> Pan:
        """What leads to its bank: the number, or the code's first digits likewise."""
        return self.pan or Pan(self.code)

    def __repr__(self) -> str:
        return f"PresentedCard({self.routed_by!s})"

    @property
    def is_fallback(self) -> bool:
        """Whether the stripe of a chip card was read where chips can be."""
        by_stripe = self.entry_mode.startswith(STRIPE) and self.at_chip_reader
        return by_stripe and self.track is not None and self.track.has_chip


class Named(msgspec.Struct, frozen=True):
    """An earlier original of the same terminal."""

    batch: str
    stan: str


class Command(msgspec.Struct, frozen=True):
    """What every command has."""

    origin: Origin


class Answer(msgspec.Struct, frozen=True):
    """What a handler answers.

    Attributes:
        response_code: two characters.
        reply: the facts beside it.
    """

    response_code: str
    reply: Reply = NO_REPLY


class Repeat(msgspec.Struct, frozen=True):
    """(terminal, batch, STAN) is taken: whoever called finds the answer in the books."""


Outcome = Answer | Repeat


def answer_of(entry: Entry) -> Answer:
    """The answer that an entry got the first time."""
    return Answer(entry.response_code, entry.reply)
