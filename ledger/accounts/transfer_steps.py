"""The double entry's vocabulary: a transfer to be, and the steps of a unit that post transfers.

Pure values, no SQL and no I/O. ``accounting.py`` carries them out; which transfers a business fact
asks for is ``postings.py``'s. Source: ARCHITECTURE.md (model of TigerBeetle).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Posting:
    """One transfer to be: exactly one debit and one credit account, amount above zero.

    Account names follow the tree of the postings table, for example ``assets:scheme:demo``.
    """

    debit: str
    credit: str
    amount_minor: int
    code: str


@dataclass(frozen=True, slots=True)
class Post:
    """Transfers that commit together under one event (a journal id), already posted.

    Conditional only where an account has a limit (:class:`OpenAccount`).
    """

    event_id: int
    currency_code: str
    business_date: str
    postings: tuple[Posting, ...]


@dataclass(frozen=True, slots=True)
class PostReversed:
    """All posted transfers of an event once more, the other way round, under another event.

    Conditional on the event not being reversed now. An event without transfers is fine. A
    reversal that was itself reversed gives the first event its effect back, and it may then be
    reversed once more.
    """

    event_id: int
    by_event_id: int
    business_date: str


@dataclass(frozen=True, slots=True)
class PostPending:
    """Transfers of a first phase: they hold the money, count against limits, and wait.

    Attributes:
        event_id: names the event that ``PostPendingResolve`` refers to.
        expires_at_ms: when they run out, or None for never.
    """

    event_id: int
    currency_code: str
    business_date: str
    postings: tuple[Posting, ...]
    expires_at_ms: int | None = None


class Resolution(StrEnum):
    """How a pending event ends."""

    POST = "post"
    VOID = "void"
    EXPIRE = "expire"


@dataclass(frozen=True, slots=True)
class PostPendingResolve:
    """The second phase: the pending transfers of an event are posted or given up, once.

    Conditional on the event having pending transfers that are not resolved yet.

    Attributes:
        event_id: the pending event.
        by_event_id: the event (a completion, a void) that resolves it.
        amounts_minor: with POST, what each pending transfer is posted for, in the order of its
            postings; 0 gives that transfer up, None posts all in whole. What is not posted is
            released.
    """

    event_id: int
    by_event_id: int
    business_date: str
    resolution: Resolution
    amounts_minor: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class LimitBalance:
    """Conditional on an account's balance before the unit's own postings.

    What is pending on its debit side counts as if it were posted.

    Decided in the commit: whoever else posts to the account waits until then. It must stand
    before the unit's postings.

    Attributes:
        low_minor, high_minor: bounds of debits less credits, both included; None for no bound.
    """

    name: str
    currency_code: str
    low_minor: int | None = None
    high_minor: int | None = None


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """Open an account before its first posting, to give it a limit. Others open by themselves.

    Conditional on the account not existing with another limit already.

    Attributes:
        no_negative: whether its balance, less what is pending out of it, must not go below zero;
            a posting that would take it there does not hold.
    """

    name: str
    currency_code: str
    no_negative: bool = True
