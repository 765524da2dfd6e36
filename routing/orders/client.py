"""Ask merchants' order systems about orders, and tell them what became of these.

``OrderSystems`` is one object for all systems of a switch. What can go wrong outside is a value:
unknown order, system down, system silent; a delivery that was refused. Nothing is retried here
but a kept connection that was found closed; ``outbox.py`` retries events.
Source: ``docs/order-system-openapi.yaml``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from types import TracebackType
from typing import Literal, Protocol, Self
from urllib.parse import quote

import msgspec
import trio

from acquirer.routing.orders.errors import AnswerError, HttpError, OrderSettingsError
from acquirer.routing.orders.http1 import HttpAnswer, HttpConnect, HttpPool, open_http
from acquirer.routing.orders.messages import (
    NewOrder,
    OrderFacts,
    decode_facts,
    decode_problem,
    encode_order,
)
from acquirer.routing.orders.settings import OrderSystemSettings, choose_system, parse_origin
from acquirer.routing.orders.webhooks import sign

CACHED_ORDERS_MAX = 10_000
_QUERY_HEADERS = [("accept", "application/json"), ("user-agent", "acquirer")]
# Statuses after which the same event can never be taken; the rest may be mended within days.
_PERMANENT = frozenset({400, 410, 413, 422})


class UnknownOrder(msgspec.Struct, frozen=True):
    """The order system does not know the order; the terminal is told 25."""


class OrderSystemDown(msgspec.Struct, frozen=True):
    """No usable answer: not reachable, or an answer against the contract; 91."""

    reason: str


class OrderSystemSilent(msgspec.Struct, frozen=True):
    """No answer in time; 68."""


class NotOpened(msgspec.Struct, frozen=True):
    """The order system understood, and will not open this order.

    Attributes:
        reason: ``conflict`` where the number is another order's.
        detail: why, for people at the terminal.
    """

    reason: Literal["conflict", "unknown_item", "refused"]
    detail: str = ""


OrderReply = OrderFacts | UnknownOrder | OrderSystemDown | OrderSystemSilent


class Delivered(msgspec.Struct, frozen=True):
    """The order system has stored the event."""


class Rejected(msgspec.Struct, frozen=True):
    """The event was not taken; ``permanent`` where trying again cannot help."""

    permanent: bool
    reason: str


Delivery = Delivered | Rejected


class WebhookEvent(Protocol):
    """What must be known of an event to deliver it; the ledger's ``Event`` fits."""

    @property
    def id(self) -> str:
        """The webhook id."""

    @property
    def merchant_id(self) -> str:
        """Whose order it is."""

    @property
    def order_no(self) -> str:
        """Which order."""

    @property
    def body(self) -> str:
        """The JSON document as signed and sent."""


class OrderSystems:
    """All merchant order systems of a switch.

    Resource handling: use it as an async context manager, or call :meth:`aclose`.
    """

    def __init__(
        self,
        systems: Sequence[OrderSystemSettings],
        *,
        wall_s: Callable[[], float] = time.time,
        connect: HttpConnect = open_http,
    ) -> None:
        self._systems = tuple(systems)
        self._pools = [HttpPool(parse_origin(s.url), s.connections_max, connect) for s in systems]
        self._cache: dict[tuple[str, str], tuple[float, OrderFacts]] = {}
        self._wall_s = wall_s

    def __repr__(self) -> str:
        return f"OrderSystems({[system.name for system in self._systems]})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the idle connections."""
        for pool in self._pools:
            await pool.aclose()

    def system_name(self, merchant_id: str, order_no: str) -> str:
        """Name of the system that serves an order, or empty; the outbox's lane."""
        index = choose_system(self._systems, merchant_id, order_no)
        return "" if index is None else self._systems[index].name

    async def query(
        self, merchant_id: str, order_no: str, timeout_s: float | None = None
    ) -> OrderReply:
        """Ask what is owed for an order.

        Args:
            timeout_s: longest wait; the system's own setting where it is shorter or this is None.
        """
        index = choose_system(self._systems, merchant_id, order_no)
        if index is None:
            return OrderSystemDown("no order system serves this order")
        cached = self._cached(merchant_id, order_no)
        if cached is not None:
            return cached
        system = self._systems[index]
        wait_s = system.timeout_s if timeout_s is None else min(timeout_s, system.timeout_s)
        path = f"/orders/{_segment(merchant_id)}/{_segment(order_no)}"
        with trio.move_on_after(wait_s):
            try:
                answer = await self._pools[index].exchange("GET", path, _QUERY_HEADERS)
                if answer.status == 404:
                    return UnknownOrder()
                return self._facts(index, answer, merchant_id, order_no)
            except (HttpError, AnswerError) as error:
                return OrderSystemDown(str(error))
        return OrderSystemSilent()

    async def open(self, order: NewOrder, *secrets: str) -> OrderReply | NotOpened:
        """Have an order come into being, priced by the order system; the same again is harmless.

        Args:
            order: what a shop's terminal sells, takes in or has counted.
            secrets: the merchant's webhook secrets, the newest first; several while rotating.
        """
        merchant_id, order_no = order.merchant_id, order.order_no
        index = choose_system(self._systems, merchant_id, order_no)
        if index is None:
            return OrderSystemDown("no order system serves this order")
        body = encode_order(order)
        try:
            headers = self._signed("open_" + sha256(body).hexdigest()[:32], body, secrets)
        except OrderSettingsError as error:
            return OrderSystemDown(str(error))
        self.forget(merchant_id, order_no)
        with trio.move_on_after(self._systems[index].timeout_s):
            try:
                answer = await self._pools[index].exchange("POST", "/orders", headers, body)
                if answer.status in (409, 422):
                    return _not_opened(answer)
                return self._facts(index, answer, merchant_id, order_no)
            except (HttpError, AnswerError) as error:
                return OrderSystemDown(str(error))
        return OrderSystemSilent()

    async def deliver(self, event: WebhookEvent, *secrets: str) -> Delivery:
        """Post an event once.

        Args:
            event: as the outbox keeps it; its order's cached answer is forgotten.
            secrets: the merchant's webhook secrets, the newest first; several while rotating.
        """
        self.forget(event.merchant_id, event.order_no)
        index = choose_system(self._systems, event.merchant_id, event.order_no)
        if index is None:
            return Rejected(False, "no order system serves this order")
        body = event.body.encode()
        try:
            headers = self._signed(event.id, body, secrets)
        except OrderSettingsError as error:
            return Rejected(False, str(error))
        with trio.move_on_after(self._systems[index].timeout_s):
            try:
                answer = await self._pools[index].exchange("POST", "/events", headers, body)
            except HttpError as error:
                return Rejected(False, str(error))
            if 200 <= answer.status < 300:
                return Delivered()
            return Rejected(answer.status in _PERMANENT, f"status {answer.status}")
        return Rejected(False, "no answer in time")

    def _signed(self, id: str, body: bytes, secrets: Sequence[str]) -> list[tuple[str, str]]:
        """The headers of what is posted.

        Raises:
            OrderSettingsError: there is no secret, or one that cannot be used.
        """
        if not secrets:
            raise OrderSettingsError("no webhook secret for this merchant")
        timestamp_s = int(self._wall_s())
        return [
            ("content-type", "application/json"),
            ("user-agent", "acquirer"),
            ("webhook-id", id),
            ("webhook-timestamp", str(timestamp_s)),
            ("webhook-signature", sign(secrets, id, timestamp_s, body)),
        ]

    def _facts(
        self, index: int, answer: HttpAnswer, merchant_id: str, order_no: str
    ) -> OrderFacts | OrderSystemDown:
        """An order as it was answered, kept for as long as it may be used again.

        Raises:
            AnswerError: it does not fit the contract.
        """
        if answer.status != 200:
            return OrderSystemDown(f"status {answer.status}")
        facts = decode_facts(answer.body, merchant_id, order_no)
        self._keep(facts, min(facts.max_age_s, self._systems[index].cache_s))
        return facts

    def forget(self, merchant_id: str, order_no: str) -> None:
        """Drop the cached answer of an order, because something has happened to it."""
        self._cache.pop((merchant_id, order_no), None)

    def _cached(self, merchant_id: str, order_no: str) -> OrderFacts | None:
        kept = self._cache.get((merchant_id, order_no))
        if kept is None:
            return None
        until, facts = kept
        if trio.current_time() < until:
            return facts
        self.forget(merchant_id, order_no)
        return None

    def _keep(self, facts: OrderFacts, age_s: float) -> None:
        if age_s <= 0:
            return
        self.forget(facts.merchant_id, facts.order_no)
        if len(self._cache) >= CACHED_ORDERS_MAX:
            del self._cache[next(iter(self._cache))]
        until = trio.current_time() + age_s
        self._cache[facts.merchant_id, facts.order_no] = (until, facts)


def _not_opened(answer: HttpAnswer) -> NotOpened:
    """Why an order was not opened.

    Raises:
        AnswerError: the answer does not say.
    """
    problem = decode_problem(answer.body)
    if answer.status == 409:
        return NotOpened("conflict", problem.detail)
    reason: Literal["unknown_item", "refused"] = (
        "unknown_item" if problem.error == "unknown_item" else "refused"
    )
    return NotOpened(reason, problem.detail)


def _segment(text: str) -> str:
    """A path segment; dots are encoded too, so that none reads as ``.`` or ``..``."""
    return quote(text, safe="").replace(".", "%2E")
