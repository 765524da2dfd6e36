"""The journal's vocabulary: states, and the rows of the books' tables as values.

Pure values, no SQL and no I/O. Times are integer milliseconds since 1970 UTC. Start reading at
:class:`Entry`; ``steps.py`` beside this says what a commit may do with them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

import msgspec

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.journal.details import Detail
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.ksns import TakeKsn
from acquirer.ledger.journal.limits import LimitDaily
from acquirer.ledger.journal.replies import NO_REPLY, Reply


class State(StrEnum):
    """States of a journal entry; ``states.py`` has the table of legal changes."""

    RECEIVED = "received"
    SENT = "sent"
    APPROVED = "approved"
    DECLINED = "declined"
    TIMED_OUT = "timed_out"
    REVERSING = "reversing"
    REVERSED = "reversed"
    VOIDED = "voided"
    REFUNDED = "refunded"
    COMPLETED = "completed"
    EXPIRED = "expired"
    REFUSED = "refused"


class Role(StrEnum):
    """What (terminal, batch, STAN) names: one financial original, and what belongs to it.

    A reversal of it; the refund that it brought about; its orders' shares, where it is a swipe for
    several; what its issuer's script did to the card. Beside all that, one management message
    that bears a MAC.
    """

    ORIGINAL = "original"
    REVERSAL = "reversal"
    REFUND = "refund"
    MANAGEMENT = "management"
    SCRIPT_RESULT = "script-result"
    SHARE_1 = "share-1"
    SHARE_2 = "share-2"
    SHARE_3 = "share-3"
    SHARE_4 = "share-4"
    SHARE_5 = "share-5"
    SHARE_6 = "share-6"
    SHARE_7 = "share-7"
    SHARE_8 = "share-8"
    SHARE_9 = "share-9"

    @classmethod
    def share(cls, place: int) -> Role:
        """The role of a share, from its place from 1 to 9."""
        return cls(f"share-{place}")


@dataclass(frozen=True, slots=True)
class CardRecord:
    """A card as the database may know it.

    Attributes:
        pan_masked: first six and last four digits.
        pan_token: 16-byte keyed token for look-up and comparison.
        pan_cipher: nonce, AES-GCM cryptogram and tag of the PAN digits.
    """

    pan_masked: str
    pan_token: bytes
    pan_cipher: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One journal row, both as inserted and as read back.

    Attributes:
        id: number made once by the switch from a block of its own; also the event id of the
            entry's transfers.
        rrn: DE37, 12 characters, unique.
        role: see :class:`Role`; unique together with terminal_id, batch and stan.
        kind: what it is about; ``kinds.py`` has the table.
        fingerprint: keyed digest of what makes two requests the same; compared, never inverted.
        owner: who works on it, ``Book.owner`` as inserted; only the owner may settle. Recovery
            takes it over under another name, so settle with the owner that the entry shows.
        lease_until_ms: of a lease that an owner has; of an approved pre-authorisation, when it
            runs out.
        bank: bank group that it went to, or empty.
        bank_stan: DE11 on the bank link; with transmission_at the key for reversal and inquiry.
        transmission_at: DE7 on the bank link, MMDDhhmmss.
        original_id: the entry that a void, reversal or confirmation refers to.
        claimed_by: the entry that is undoing this one right now (a void in flight).
        detail: what an entry of its kind knows beside; ``details.py``.
        reply: what its asker was answered (never the PAN), for repeats.
        epoch: of the business configuration that it was begun under; 0 from before there was any.
        key_version: of the terminal's row with whose keys its message was verified; None where
            that does not count. Not kept: it is inserted only while the row has that version.
        limits: of its business date, which it is inserted under. Not kept either.
        ksn: what its message took of its terminal's keys, likewise.
    """

    id: int
    rrn: str
    role: Role
    kind: Kind
    mti: str
    processing_code: str
    transaction_type: str
    terminal_id: str
    merchant_id: str
    batch: str
    stan: str
    amount_minor: int
    currency_code: str
    fingerprint: bytes
    state: State
    owner: str
    lease_until_ms: int
    created_at_ms: int
    business_date: str
    card: CardRecord | None = None
    bank: str = ""
    bank_stan: str = ""
    transmission_at: str = ""
    order_no: str = ""
    courier_id: str = ""
    original_id: int | None = None
    claimed_by: int | None = None
    response_code: str = ""
    approval_code: str = ""
    late_response_code: str = ""
    detail: Detail | None = None
    reply: Reply = NO_REPLY
    epoch: int = 0
    key_version: int | None = field(default=None, compare=False)
    limits: tuple[LimitDaily, ...] = field(default=(), compare=False)
    ksn: TakeKsn | None = field(default=None, compare=False)

    def refused(self, response_code: str) -> Entry:
        """The same, begun and refused at once."""
        return replace(
            self,
            state=State.REFUSED,
            response_code=response_code,
            approval_code="",
            reply=msgspec.structs.replace(self.reply, approval_code=""),
            limits=(),
        )


@dataclass(frozen=True, slots=True)
class OrderRow:
    """What the switch knows of one merchant order.

    Attributes:
        status: ``OS`` of the terminal interface (00 to pay … 06 nothing to pay).
        paying_id: the journal entry that is paying it at this moment.
        payment_id: the journal entry that paid it.
        queried_at_ms: when the order system last told these facts.
        changes: how often something that happened here has changed it, or claimed a part of it.
        part_of: the order whose part it is, or empty.
    """

    merchant_id: str
    order_no: str
    status: str
    amount_minor: int
    currency_code: str
    pay_ways: str
    text: str
    queried_at_ms: int
    paying_id: int | None = None
    payment_id: int | None = None
    changes: int = 0
    part_of: str = ""


@dataclass(frozen=True, slots=True)
class Desk:
    """What must be known before a question about an order is put to its merchant.

    An order and its parts are a family; most orders have none.

    Attributes:
        told: whether the merchant has been told of all that happened here to the order, and to
            the rest of its family.
        whole: the order that it is a part of, where it is here.
        in_parts: whether it has parts, or is one.
        held: whether a payment or cancellation of another of its family is under way.
    """

    courier: CourierRow | None
    order: OrderRow | None
    told: bool
    whole: OrderRow | None = None
    in_parts: bool = False
    held: bool = False


@dataclass(frozen=True, slots=True)
class OrderPayments:
    """An order and its payments, read at one instant.

    Attributes:
        original: the entry that (terminal, batch, STAN) names.
        payment: the payment that stands.
        has_open_parts: whether a part of it is held, or paid and not confirmed yet.
    """

    order: OrderRow | None
    original: Entry | None
    payment: Entry | None
    has_open_parts: bool = False


@dataclass(frozen=True, slots=True)
class HandedKeys:
    """Working keys that a sign-on has handed out and no verified message has confirmed yet.

    Attributes:
        tpk, tak, tdk: key strings under the LMK; ``tdk`` is empty where none was asked for.
        network_code: DE60.3 of the sign-on.
        de62: as the terminal gets them, under its TMK; hexadecimal.
        made_at_ms: when.
    """

    tpk: str
    tak: str
    tdk: str
    network_code: str
    de62: str
    made_at_ms: int


@dataclass(frozen=True, slots=True)
class TerminalRow:
    """A terminal's durable state. Keys are host-command key strings under the LMK, or empty.

    Attributes:
        waiting: keys beside the confirmed ones, the newest first.
        key_version: counts the changes of the row.
        proved_at_ms: when a message verified under the confirmed keys for the first time.
        fetched: kinds of downloads that it has, each with its version.
        settling: whether it has asked for its batch's settlement, which has not ended yet.
    """

    terminal_id: str
    batch: str
    signed_on: bool = False
    tpk: str = ""
    tak: str = ""
    tdk: str = ""
    waiting: tuple[HandedKeys, ...] = ()
    key_version: int = 0
    proved_at_ms: int = 0
    fetched: tuple[tuple[str, str], ...] = ()
    settling: bool = False


@dataclass(frozen=True, slots=True)
class CourierRow:
    """A courier's durable state: where signed on, and wrong passwords in a row."""

    courier_id: str
    terminal_id: str = ""
    password_tries: int = 0
    locked: bool = False


@dataclass(frozen=True, slots=True)
class SafItem:
    """A message that a bank must get, sooner or later.

    Attributes:
        id: number from the same blocks as journal ids; the message's own identity.
        kind: ``reversal``, ``advice``, ``refund`` or ``script_result``.
        original_id: the journal entry that it undoes or tells of; unique per kind, so that a
            bank gets at most one of each.
        reason: DE39 of the message (98 no answer, 06 other, A0 …).
        attempts: how often it left; from the second on it goes out as a repeat.
        icc: DE55 as the vault has sealed it, hexadecimal; empty for none. It goes with the answer.
    """

    id: int
    bank: str
    kind: BankMessage
    original_id: int
    reason: str
    created_at_ms: int
    next_at_ms: int
    attempts: int = 0
    stan: str = ""
    transmission_at: str = ""
    icc: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """A notice to a merchant's order system, delivered at least once, in order per order.

    Attributes:
        id: the webhook id, made once; also the idempotency key.
        type: ``order.paid``, ``order.payment_confirmed``, ``order.signed_for``, …
        body: the JSON document as sent, UTF-8.
    """

    id: str
    merchant_id: str
    order_no: str
    type: str
    body: str
    created_at_ms: int
    next_at_ms: int
    attempts: int = 0


# --- steps of a unit -------------------------------------------------------------------------
