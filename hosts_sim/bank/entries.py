"""What the books are asked to do, and what they say, as values.

An entry is complete: everything about the card and the PIN that does not depend on the books has
been found out before. A decline is a result like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from acquirer.hosts_sim.bank.cards import PinCheck

EntryKind = Literal[
    "balance",
    "sale",
    "preauth",
    "completion",
    "tip",
    "void",
    "refund",
    "advice",
    "reversal",
    "inquiry",
    "script_result",
]


@dataclass(frozen=True, slots=True)
class OriginalKey:
    """How DE90 names an earlier transaction, with the terminal of the message that holds it.

    Attributes:
        mti_class: the MTI's first two digits.
        acquirer_id: 11 digits.
    """

    mti_class: str
    stan: str
    transmission_at: str
    acquirer_id: str
    terminal_id: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One message for the books.

    Attributes:
        key: the message's own identity; a second message with it is a repeat.
        token: the card's token, empty where the message names no card.
        pin: what became of the PIN.
        refusal: response code that was found before the books were asked; empty for none.
        forced: response code that a rule wants instead of a decision; empty for none.
        original: what a void, refund, reversal or inquiry refers to.
        at: local time, ISO 8601 to the second.
        business_day: the wall clock's date, ISO 8601.
        approved_minor: of a sale, the part that a rule wants approved; 0 for all.
        told_approval: of an advice, the code with which it was approved elsewhere, or empty.
        code: 19 digits that a customer has shown instead of a card, or empty.
    """

    kind: EntryKind
    mti: str
    key: OriginalKey
    rrn: str
    merchant_id: str
    token: str
    masked: str
    amount_minor: int
    currency_code: str
    pin: PinCheck
    refusal: str
    forced: str
    original: OriginalKey | None
    reason: str
    at: str
    business_day: str
    told_approval: str = ""
    approved_minor: int = 0
    code: str = ""


@dataclass(frozen=True, slots=True)
class NewCode:
    """A customer has been given a code to show.

    Attributes:
        token, masked: of the card that it stands for.
        at: local time, ISO 8601 to the second.
    """

    code: str
    token: str
    masked: str
    at: str


@dataclass(frozen=True, slots=True)
class CutOver:
    """Close the current business date (0800, DE70=201)."""

    business_day: str


Unit = Entry | CutOver | NewCode


@dataclass(frozen=True, slots=True)
class Result:
    """What the books say, stored and committed.

    Attributes:
        response_code: DE39.
        approval_code: DE38, empty where there is none.
        balance_minor: the card's balance, for a balance inquiry.
        original_code: DE39 of the original, for an inquiry.
        original_approval: DE38 of the original, likewise.
        granted_minor: DE4 of an approval in part, else 0.
    """

    response_code: str
    approval_code: str = ""
    balance_minor: int | None = None
    original_code: str = ""
    original_approval: str = ""
    granted_minor: int = 0
