"""A merchant order system behind an ISO 8583 link, an *order host*: one of the two adapters.

The link is one of ``Banks``, like a bank's: dialect file, sign-on, echo, reconnection, window,
match keys and MAC come from there. Nothing is retried here; ``outbox.py`` retries notices.
Source: ``docs/order-host.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from acquirer.codecs.errors import LocalFormatError
from acquirer.codecs.message import Message
from acquirer.routing.errors import BankSettingsError
from acquirer.routing.links.link_traffic import wire_format
from acquirer.routing.orders.adapter import (
    Delivered,
    Delivery,
    EventAnswer,
    NotOpened,
    OrderReply,
    OrderSystemDown,
    OrderSystemSilent,
    Question,
    Refusal,
    Rejected,
    UnknownOrder,
    WebhookEvent,
)
from acquirer.routing.orders.errors import AnswerError
from acquirer.routing.orders.iso_messages import (
    Numbers,
    facts_of,
    notice_message,
    open_message,
    opened_of,
    query_message,
    reply_text,
)
from acquirer.routing.orders.messages import NewOrder, NewPart, OrderFacts
from acquirer.routing.outcomes import BankOutcome, NoReply, Replied
from acquirer.routing.settings import BankSettings

_DONE = "00"
_UNKNOWN = "25"
_SILENT = "68"
_NOT_OPENED: dict[str, Refusal] = {
    "94": "conflict",
    "14": "unknown_item",
    "57": "part_not_allowed",
    "61": "part_too_large",
    "12": "refused",
}
# A notice that is refused so can never be taken; the rest may be mended within days.
PERMANENT = frozenset({"12", "13", "30", "64"})


class _Unfit(OrderSystemDown, frozen=True):
    """What was to be said does not fit into a message, today or any day."""


class HostLinks(Protocol):
    """The links to order hosts, by name; ``Banks`` fits."""

    async def exchange(self, bank: str, message: Message, deadline: float) -> BankOutcome:
        """Send a message and wait for its reply."""

    def acquirer_id(self, bank: str) -> str:
        """Our institution id at this host."""


class IsoOrderSystem:
    """One order system over ISO 8583; an ``OrderSystem``.

    Args:
        host: the name of its links.
        links: carries.
        stans: gives a DE11 that no other message to this host has now.
        wall_s: the wall clock, seconds since 1970 UTC, for DE7.
    """

    def __init__(
        self,
        host: str,
        links: HostLinks,
        stans: Callable[[], str],
        wall_s: Callable[[], float],
    ) -> None:
        self._host = host
        self._links = links
        self._stans = stans
        self._wall_s = wall_s

    async def query(self, question: Question, deadline: float) -> OrderReply:
        """0100, DE3 380000."""
        reply = await self._ask(lambda numbers: query_message(question, numbers), deadline)
        if not isinstance(reply, Message):
            return reply
        if reply.get(39) == _UNKNOWN:
            return UnknownOrder()
        return _facts(reply, lambda: facts_of(reply, question.merchant_id, question.order_no))

    async def open(
        self, order: NewOrder | NewPart, secrets: Sequence[str], deadline: float
    ) -> OrderReply | NotOpened:
        """0100, DE3 390000; the link's MAC stands for a signature."""
        reply = await self._ask(lambda numbers: open_message(order, numbers), deadline)
        if not isinstance(reply, Message):
            return reply
        if refusal := _NOT_OPENED.get(reply.get(39)):
            return NotOpened(refusal, reply_text(reply))
        return _facts(reply, lambda: opened_of(reply, order))

    async def deliver(
        self, event: WebhookEvent, secrets: Sequence[str], deadline: float
    ) -> Delivery:
        """0220, or 0221 where an attempt has failed; the link's MAC stands for a signature."""
        reply = await self._ask(lambda numbers: notice_message(event, numbers), deadline)
        if isinstance(reply, OrderSystemSilent):
            return Rejected(False, "no answer in time")
        if isinstance(reply, OrderSystemDown):
            return Rejected(isinstance(reply, _Unfit), reply.reason)
        code = reply.get(39)
        if code == _DONE:
            return Delivered(EventAnswer(code))
        return Rejected(code in PERMANENT, f"response code {code}", EventAnswer(code))

    async def aclose(self) -> None:
        """Nothing: the links are their owner's."""

    async def _ask(
        self, build: Callable[[Numbers], Message], deadline: float
    ) -> Message | OrderSystemDown | OrderSystemSilent:
        at = datetime.fromtimestamp(self._wall_s(), UTC)
        host = self._host
        numbers = Numbers(self._stans(), f"{at:%m%d%H%M%S}", self._links.acquirer_id(host))
        try:
            message = build(numbers)
        except LocalFormatError as error:
            return _Unfit(f"no such message: {error}")
        outcome = await self._links.exchange(host, message, deadline)
        if isinstance(outcome, Replied):
            return outcome.message
        if isinstance(outcome, NoReply) and outcome.reason == "timeout":
            return OrderSystemSilent()
        return (_Unfit if outcome.reason == "format" else OrderSystemDown)(outcome.reason)


def check_host(settings: BankSettings) -> None:
    """Check the settings of the links to an order host.

    Raises:
        BankSettingsError: they contradict each other, or the dialect cannot carry the items.
    """
    settings.check()
    dialect, _ = wire_format(settings)
    if dialect.types.get(59) != "raw":
        raise BankSettingsError(settings.name, "dialect", "field 59 must be of type raw")


def _facts(reply: Message, read: Callable[[], OrderFacts]) -> OrderReply:
    code = reply.get(39)
    if code == _SILENT:
        return OrderSystemSilent()
    if code != _DONE:
        return OrderSystemDown(f"response code {code}")
    try:
        return read()
    except AnswerError as error:
        return OrderSystemDown(str(error), error.member, error.got)
