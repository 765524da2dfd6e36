"""What a journal entry is about: one enum, and one table of what each kind means for money.

Whoever adds a transaction adds a member and a row; journal, undo, reports, totals and metrics
read the row and know no kind by name.
Source: house rules in ``ARCHITECTURE.md``; postings, docs/interfaces/terminal.md parts 4 and 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from acquirer.codecs.bank_kinds import BankMessage


class Kind(StrEnum):
    """The kinds of journal entries, by the names that the database keeps."""

    SALE = "sale"
    VOID = "void"
    BALANCE = "balance"
    REFUND = "refund"
    OFFLINE_SALE = "offline_sale"
    INSTALMENT = "instalment"
    PREAUTH = "preauth"
    PREAUTH_VOID = "preauth_void"
    COMPLETION = "completion"
    COMPLETION_ADVICE = "completion_advice"
    COMPLETION_VOID = "completion_void"
    TIP = "tip"
    SCRIPT_RESULT = "script_result"
    REVERSAL = "reversal"
    UNKNOWN_ORIGINAL = "unknown_original"
    UNSUPPORTED = "unsupported"
    ORDER_QUERY = "order_query"
    ORDER_PAYMENT = "order_payment"
    ORDER_GROUP = "order_payment_group"
    ORDER_SHARE = "order_share"
    ORDER_CANCELLATION = "order_cancellation"
    ORDER_CANCEL_CONFIRMATION = "order_cancel_confirmation"
    ORDER_CONFIRMATION = "order_confirmation"
    RECEIPT_CONFIRMATION = "receipt_confirmation"
    ORDER_EXCEPTION = "order_exception"
    COURIER_SIGN_ON = "courier_sign_on"
    COURIER_SIGN_OFF = "courier_sign_off"
    COURIER_HAND_IN = "courier_hand_in"
    SAF_WRITE_OFF = "saf_write_off"


class Undo(StrEnum):
    """How a reversal (0400), a time-out or recovery undoes an entry.

    ``NONE``: not at all; a reversal of one that was approved is refused (12). ``BANK``: it may
    have moved money, so its bank is sent a reversal. ``WITH_PAYMENT``: with the payment that it is
    a share of.
    """

    NONE = "none"
    BANK = "bank"
    WITH_PAYMENT = "with_payment"


class InBatch(StrEnum):
    """How a terminal's batch counts an approved entry; ``AMOUNT`` adds to debit without a count."""

    DEBIT = "debit"
    CREDIT = "credit"
    AMOUNT = "amount"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class KindRow:
    """What a kind means.

    Attributes:
        title: how a report calls it.
        bank_message: what its bank is asked or told, where it has a bank.
        undo: how it is undone.
        undoes: whether it undoes an earlier entry at that one's bank, and claims it until then.
        completes: whether it asks the bank to complete an earlier entry, and claims it until then.
        holds: whether an approved entry holds its amount by pending transfers, until it is
            completed, voided or expired.
        posts: whether an approved entry's own transfers come to exactly its amount.
        payment: as what a payment is counted, ``sale`` or ``order``; empty for no payment.
        adds: whether its amount adds to an earlier payment's, so that it does not count by itself.
        gives_back: as what money that went back is counted; empty where none does.
        is_exception: whether it tells that an order could not be delivered.
        ruled_as: under which kind's name routes, stand-in and limits know it; None for its own.
    """

    title: str
    bank_message: BankMessage | None = None
    undo: Undo = Undo.NONE
    undoes: bool = False
    completes: bool = False
    holds: bool = False
    posts: bool = False
    payment: str = ""
    adds: bool = False
    gives_back: str = ""
    is_exception: bool = False
    ruled_as: Kind | None = None


KINDS: Mapping[Kind, KindRow] = MappingProxyType(
    {
        Kind.SALE: KindRow("sale", BankMessage.SALE, Undo.BANK, posts=True, payment="sale"),
        Kind.VOID: KindRow("void", BankMessage.VOID, Undo.BANK, undoes=True, gives_back="void"),
        Kind.BALANCE: KindRow("balance inquiry", BankMessage.BALANCE),
        Kind.REFUND: KindRow("refund", BankMessage.REFUND, posts=True, gives_back="refund"),
        Kind.OFFLINE_SALE: KindRow(
            "offline sale", BankMessage.ADVICE, posts=True, payment="sale", ruled_as=Kind.SALE
        ),
        Kind.INSTALMENT: KindRow(
            "instalment", BankMessage.SALE, Undo.BANK, posts=True, payment="sale"
        ),
        Kind.PREAUTH: KindRow("pre-authorisation", BankMessage.PREAUTH, Undo.BANK, holds=True),
        Kind.PREAUTH_VOID: KindRow(
            "void of a pre-authorisation", BankMessage.VOID, Undo.BANK, undoes=True
        ),
        Kind.COMPLETION: KindRow(
            "completion",
            BankMessage.COMPLETION,
            Undo.BANK,
            completes=True,
            posts=True,
            payment="sale",
        ),
        Kind.COMPLETION_ADVICE: KindRow(
            "completion advice",
            BankMessage.COMPLETION,
            posts=True,
            payment="sale",
            ruled_as=Kind.COMPLETION,
        ),
        Kind.COMPLETION_VOID: KindRow(
            "void of a completion", BankMessage.VOID, Undo.BANK, undoes=True, gives_back="void"
        ),
        Kind.TIP: KindRow(
            "tip", BankMessage.ADVICE, posts=True, payment="sale", adds=True, ruled_as=Kind.SALE
        ),
        Kind.SCRIPT_RESULT: KindRow("IC script result", BankMessage.SCRIPT_RESULT),
        Kind.REVERSAL: KindRow("reversal", gives_back="reversal"),
        Kind.UNKNOWN_ORIGINAL: KindRow("original of a reversal, never seen"),
        Kind.UNSUPPORTED: KindRow("not supported"),
        Kind.ORDER_QUERY: KindRow("order query"),
        Kind.ORDER_PAYMENT: KindRow(
            "order payment", BankMessage.SALE, Undo.BANK, posts=True, payment="order"
        ),
        Kind.ORDER_GROUP: KindRow(
            "payment of several orders",
            BankMessage.SALE,
            Undo.BANK,
            posts=True,
            payment="order",
            ruled_as=Kind.ORDER_PAYMENT,
        ),
        Kind.ORDER_SHARE: KindRow("order's share of a payment", undo=Undo.WITH_PAYMENT),
        Kind.ORDER_CANCELLATION: KindRow(
            "order cancellation",
            BankMessage.VOID,
            Undo.BANK,
            undoes=True,
            gives_back="cancellation",
        ),
        Kind.ORDER_CANCEL_CONFIRMATION: KindRow("confirmation of a cancellation"),
        Kind.ORDER_CONFIRMATION: KindRow("payment confirmation"),
        Kind.RECEIPT_CONFIRMATION: KindRow("receipt confirmation"),
        Kind.ORDER_EXCEPTION: KindRow("order exception", is_exception=True),
        Kind.COURIER_SIGN_ON: KindRow("courier's sign-on"),
        Kind.COURIER_SIGN_OFF: KindRow("courier's sign-off"),
        Kind.COURIER_HAND_IN: KindRow("courier's hand-in"),
        Kind.SAF_WRITE_OFF: KindRow("write-off", posts=True),
    }
)


def ruled_as(kind: Kind) -> Kind:
    """The kind by whose name routes, stand-in and limits know this one.

    >>> ruled_as(Kind.ORDER_GROUP), ruled_as(Kind.SALE)
    (<Kind.ORDER_PAYMENT: 'order_payment'>, <Kind.SALE: 'sale'>)
    """
    return KINDS[kind].ruled_as or kind


def in_batch(kind: Kind) -> InBatch:
    """How a terminal's batch counts an approved entry.

    >>> in_batch(Kind.SALE).value, in_batch(Kind.VOID).value, in_batch(Kind.BALANCE).value
    ('debit', 'credit', 'nowhere')
    """
    row = KINDS[kind]
    if row.payment:
        return InBatch.AMOUNT if row.adds else InBatch.DEBIT
    return InBatch.CREDIT if row.undoes or row.gives_back == "refund" else InBatch.NOWHERE


REVERSIBLE = frozenset(kind for kind, row in KINDS.items() if row.undo is Undo.BANK)
UNDOING = frozenset(kind for kind, row in KINDS.items() if row.undoes)
# What holds an earlier entry until its bank has answered.
CLAIMING = frozenset(kind for kind, row in KINDS.items() if row.undoes or row.completes)
HOLDING = frozenset(kind for kind, row in KINDS.items() if row.holds)
POSTING = frozenset(kind for kind, row in KINDS.items() if row.posts)
PAYMENTS = frozenset(kind for kind, row in KINDS.items() if row.payment)
# Payments, and what gives back by postings of its own.
TAKINGS = frozenset(
    kind for kind, row in KINDS.items() if row.payment or (row.posts and row.gives_back)
)
