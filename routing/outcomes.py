"""What becomes of a request to a bank, as values, and what a link shows of itself.

The difference between ``NotSent`` and ``NoReply`` decides about money: only the latter may have
reached the bank, so only it needs a reversal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from acquirer.codecs.message import Message
from acquirer.routing.links.link_states import LinkState

NotSentReason = Literal[
    "unknown bank", "link down", "window full", "duplicate key", "expired", "format", "security"
]


class Replied(msgspec.Struct, frozen=True):
    """The bank answered in time; DE39 says what. The MAC, where there is one, was right."""

    message: Message

    @property
    def response_code(self) -> str:
        """What the bank says, two characters."""
        return self.message.get(39)

    @property
    def approval_code(self) -> str:
        """As the bank gave it; it may hold anything."""
        return self.message.get(38)

    @property
    def granted_minor(self) -> int:
        """DE4, minor units; 0 where there is none."""
        amount = self.message.get(4)
        return int(amount) if amount.isascii() and amount.isdigit() else 0

    @property
    def balances(self) -> str:
        """Each 20 characters, as the bank gave them; they may hold anything."""
        return self.message.get(54)

    @property
    def icc(self) -> str:
        """DE55, what the issuer answers a chip; hexadecimal, it may hold anything."""
        return self.message.get(55)

    @property
    def found_code(self) -> str:
        """Of an inquiry's answer: the response code of what was asked about, or empty."""
        return self.message.get(48)[:2]


@dataclass(frozen=True, slots=True)
class NotSent:
    """No byte of the request left: no reversal is due (91, or 96 for ``format``/``security``)."""

    reason: NotSentReason


@dataclass(frozen=True, slots=True)
class NoReply:
    """The request may have reached the bank and no valid reply came: a reversal is due."""

    reason: Literal["timeout", "link lost", "bad mac", "security", "mismatch"] = "timeout"


BankOutcome = Replied | NotSent | NoReply


@dataclass(slots=True)
class LinkCounters:
    """What happened on a link since the program started."""

    connects: int = 0
    sent: int = 0
    replied: int = 0
    timed_out: int = 0
    expired_unsent: int = 0
    refused_duplicate: int = 0
    refused_window: int = 0
    unmatched: int = 0
    malformed: int = 0
    mac_errors: int = 0
    mismatched: int = 0
    key_errors: int = 0
    overflowed: int = 0
    key_changes: int = 0
    cutovers: int = 0


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """A link as operators and metrics see it.

    Attributes:
        bank: the bank's name.
        state: where the link is in its life.
        in_flight: requests that wait for a reply.
        counters: a copy.
        link: the link's name, unique in the switch.
        address: of the bank; for a link that listens ours as bound, or empty.
        is_held: whether an operator has signed it off.
    """

    bank: str
    state: LinkState
    in_flight: int
    counters: LinkCounters = field(default_factory=LinkCounters)
    link: str = ""
    address: str = ""
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A reply that nobody waited for, or that is broken, as kept for the operator; no card data.

    Attributes:
        at: when it came, ISO 8601, UTC.
        reason: why it could not be understood, with field and byte; empty where it could.
    """

    at: str
    bank: str
    link: str
    mti: str
    stan: str
    rrn: str
    terminal_id: str
    amount_minor: int
    currency_code: str
    response_code: str
    approval_code: str
    reason: str = ""
