"""What every merchant order system can be asked and told, whatever language it speaks.

``OrderSystem`` is the interface of an adapter; ``http_system.py`` and ``iso_system.py`` are the two
that ship. What can go wrong outside is a value here: unknown order, system down, system silent, a
notice that was refused. Choosing among several systems and keeping answers is ``client.py``'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import msgspec

from acquirer.routing.orders.messages import NewOrder, NewPart, OrderFacts


class UnknownOrder(msgspec.Struct, frozen=True):
    """The order system does not know the order; the terminal is told 25."""


class OrderSystemDown(msgspec.Struct, frozen=True):
    """No usable answer: not reachable, or an answer against the contract; 91.

    Attributes:
        member: of the answer, where it is at fault.
        got: what was sent there, as it may be shown.
    """

    reason: str
    member: str = ""
    got: str = ""


class OrderSystemSilent(msgspec.Struct, frozen=True):
    """No answer in time; 68."""


Refusal = Literal["conflict", "unknown_item", "part_not_allowed", "part_too_large", "refused"]


class NotOpened(msgspec.Struct, frozen=True):
    """The order system understood, and will not open this order.

    Attributes:
        reason: ``conflict`` where the number is another order's.
        detail: why, for people at the terminal.
    """

    reason: Refusal
    detail: str = ""


OrderReply = OrderFacts | UnknownOrder | OrderSystemDown | OrderSystemSilent


class EventAnswer(msgspec.Struct, frozen=True):
    """What an order system answered to an event, for people who look for a fault.

    Attributes:
        status: HTTP status or response code; empty where no answer came.
        text: the beginning of what it said, digits as long as a card number masked.
    """

    status: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The order system has stored the event; what it said beside makes no difference."""

    answer: EventAnswer = field(default=EventAnswer(), compare=False)


@dataclass(frozen=True, slots=True)
class Rejected:
    """The event was not taken; ``permanent`` where trying again cannot help."""

    permanent: bool
    reason: str
    answer: EventAnswer = field(default=EventAnswer(), compare=False)


Delivery = Delivered | Rejected


class Question(msgspec.Struct, frozen=True):
    """Which order is asked about, and by whom.

    Attributes:
        terminal_id: the terminal that asks, or empty.
        courier_id: the courier who is signed on at it, or empty.
    """

    merchant_id: str
    order_no: str
    terminal_id: str = ""
    courier_id: str = ""


class WebhookEvent(Protocol):
    """What must be known of an event to deliver it; the ledger's ``Event`` fits."""

    @property
    def id(self) -> str:
        """Made once; the receiver's key to tell repeats."""

    @property
    def merchant_id(self) -> str:
        """Whose order it is."""

    @property
    def order_no(self) -> str:
        """Which order."""

    @property
    def body(self) -> str:
        """The JSON document (``messages.EventBody``)."""

    @property
    def attempts(self) -> int:
        """Attempts that have failed."""


class OrderSystem(Protocol):
    """One merchant order system.

    Error handling: nothing of the network is raised; it is a value, at the deadline at the latest.
    Deadlines are on trio's clock.
    """

    async def query(self, question: Question, deadline: float) -> OrderReply:
        """Ask what is owed for an order.

        The answer's order and merchant are those of the question, or it counts as none.
        """

    async def open(
        self, order: NewOrder | NewPart, secrets: Sequence[str], deadline: float
    ) -> OrderReply | NotOpened:
        """Have an order come into being, priced by the system; the same again is harmless."""

    async def deliver(
        self, event: WebhookEvent, secrets: Sequence[str], deadline: float
    ) -> Delivery:
        """Tell an event once; ``secrets`` sign it where the system's language knows signatures."""

    async def aclose(self) -> None:
        """Close what is open."""
