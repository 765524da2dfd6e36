"""All merchant order systems of a switch as one: ask about orders, tell what became of them.

``OrderSystems`` chooses the system that serves an order, bounds its time, and keeps answers for as
long as the merchant allows. How a system is spoken to is its adapter's (``adapter.py``). What can
go wrong outside is a value; ``outbox.py`` retries events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from types import TracebackType
from typing import Self

import trio

from acquirer.routing.orders.adapter import (
    Delivered,
    Delivery,
    NotOpened,
    OrderReply,
    OrderSystem,
    OrderSystemDown,
    OrderSystemSilent,
    Question,
    Rejected,
    UnknownOrder,
    WebhookEvent,
)
from acquirer.routing.orders.errors import OrderSettingsError
from acquirer.routing.orders.http1 import HttpConnect, open_http
from acquirer.routing.orders.http_system import HttpOrderSystem
from acquirer.routing.orders.iso_system import HostLinks, IsoOrderSystem
from acquirer.routing.orders.messages import NewOrder, NewPart, OrderFacts, whole_of
from acquirer.routing.orders.settings import OrderSystemSettings, choose_system

__all__ = [
    "Delivered",
    "Delivery",
    "NotOpened",
    "OrderReply",
    "OrderSystemDown",
    "OrderSystemSilent",
    "OrderSystems",
    "Rejected",
    "UnknownOrder",
    "WebhookEvent",
]

CACHED_ORDERS_MAX = 10_000
STANS = 999_999


class OrderSystems:
    """All merchant order systems of a switch.

    Resource handling: use it as an async context manager, or call :meth:`aclose`.

    Args:
        systems: the first in this order that serves an order is asked.
        wall_s: the wall clock, seconds since 1970 UTC.
        connect: opens HTTP connections.
        links: those to order hosts; needed where a system has a ``host``.

    Raises:
        OrderSettingsError: a system has a host, and there are no links.
    """

    def __init__(
        self,
        systems: Sequence[OrderSystemSettings],
        *,
        wall_s: Callable[[], float] = time.time,
        connect: HttpConnect = open_http,
        links: HostLinks | None = None,
    ) -> None:
        self._systems = tuple(systems)
        # One sequence for all hosts, so that no two messages of one second have the same number.
        stans = (f"{number % STANS + 1:06d}" for number in count())

        def adapter(system: OrderSystemSettings) -> OrderSystem:
            if not system.host:
                return HttpOrderSystem(system, wall_s, connect)
            if links is None:
                raise OrderSettingsError("an order system with a host needs links")
            return IsoOrderSystem(system.host, links, stans.__next__, wall_s)

        self._adapters = [adapter(system) for system in systems]
        self._cache: dict[tuple[str, str], tuple[float, int, OrderFacts]] = {}
        self._asking: dict[tuple[str, str], object] = {}

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
        for adapter in self._adapters:
            await adapter.aclose()

    def system_name(self, merchant_id: str, order_no: str) -> str:
        """Name of the system that serves an order, or empty; the outbox's lane."""
        index = choose_system(self._systems, merchant_id, order_no)
        return "" if index is None else self._systems[index].name

    async def query(
        self,
        merchant_id: str,
        order_no: str,
        *,
        terminal_id: str = "",
        courier_id: str = "",
        changes: int | None = 0,
    ) -> OrderReply:
        """Ask what is owed for an order.

        Args:
            terminal_id, courier_id: who asks, for systems that want to know.
            changes: how often the books say that the order has changed, which another process may
                have done: an answer serves again at this count only. None where the merchant has
                yet to be told of a change: it serves this once.
        """
        index = choose_system(self._systems, merchant_id, order_no)
        if index is None:
            return OrderSystemDown("no order system serves this order")
        cached = self._cached(merchant_id, order_no, changes)
        if cached is not None:
            return cached
        question = Question(merchant_id, order_no, terminal_id, courier_id)
        deadline = self._deadline(index)
        with self._keeping(index, merchant_id, order_no, changes) as keep:
            reply = await self._adapters[index].query(question, deadline)
            keep(reply)
        return reply

    async def open(
        self, order: NewOrder | NewPart, *secrets: str, changes: int | None = 0
    ) -> OrderReply | NotOpened:
        """Have an order come into being, priced by the order system; the same again is harmless.

        Args:
            order: what a shop's terminal sells, takes in or has counted, or a part of an order.
            secrets: the merchant's webhook secrets, the newest first; several while rotating.
            changes: as in :meth:`query`.
        """
        index = choose_system(self._systems, order.merchant_id, order.order_no)
        if index is None:
            return OrderSystemDown("no order system serves this order")
        self.forget(order.merchant_id, order.order_no)
        with self._keeping(index, order.merchant_id, order.order_no, changes) as keep:
            reply = await self._adapters[index].open(order, secrets, self._deadline(index))
            keep(reply)
        return reply

    async def deliver(self, event: WebhookEvent, *secrets: str) -> Delivery:
        """Tell an event once.

        Args:
            event: as the outbox keeps it; its order's cached answer is forgotten, and so is that
                of the order that it is a part of.
            secrets: the merchant's webhook secrets, the newest first; several while rotating.
        """
        self.forget(event.merchant_id, event.order_no)
        index = choose_system(self._systems, event.merchant_id, event.order_no)
        if index is None:
            return Rejected(False, "no order system serves this order")
        delivery = await self._adapters[index].deliver(event, secrets, self._deadline(index))
        # What was asked meanwhile may have been answered from before it.
        self.forget(event.merchant_id, event.order_no)
        return delivery

    def _deadline(self, index: int) -> float:
        return trio.current_time() + self._systems[index].timeout_s

    @contextmanager
    def _keeping(
        self, index: int, merchant_id: str, order_no: str, changes: int | None
    ) -> Iterator[Callable[[OrderReply | NotOpened], None]]:
        """Keep the reply to a question for as long as the merchant and our settings allow.

        One that was asked for before an event was told may be from before it, and is not kept.
        """
        key, mark = (merchant_id, order_no), object()
        self._asking[key] = mark

        def keep(reply: OrderReply | NotOpened) -> None:
            if not isinstance(reply, OrderFacts) or reply.part_of or changes is None:
                return
            if self._asking.get(key) is mark:
                self._keep(reply, changes, min(reply.max_age_s, self._systems[index].cache_s))

        try:
            yield keep
        finally:
            if self._asking.get(key) is mark:
                del self._asking[key]

    def forget(self, merchant_id: str, order_no: str) -> None:
        """Drop the cached answer of an order, because something has happened to it."""
        for number in (order_no, whole_of(order_no)):
            self._cache.pop((merchant_id, number), None)
            self._asking.pop((merchant_id, number), None)

    def _cached(self, merchant_id: str, order_no: str, changes: int | None) -> OrderFacts | None:
        kept = self._cache.get((merchant_id, order_no))
        if kept is None:
            return None
        until, at_changes, facts = kept
        if at_changes == changes and trio.current_time() < until:
            return facts
        self.forget(merchant_id, order_no)
        return None

    def _keep(self, facts: OrderFacts, changes: int, age_s: float) -> None:
        if age_s <= 0:
            return
        self.forget(facts.merchant_id, facts.order_no)
        if len(self._cache) >= CACHED_ORDERS_MAX:
            del self._cache[next(iter(self._cache))]
        until = trio.current_time() + age_s
        self._cache[facts.merchant_id, facts.order_no] = (until, changes, facts)
