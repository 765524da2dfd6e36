"""All merchant order systems of a switch as one: ask about orders, tell what became of them.

``OrderSystems`` chooses the system that serves an order, bounds its time, and keeps answers for as
long as the merchant allows. How a system is spoken to is its adapter's (``adapter.py``). What can
go wrong outside is a value; ``outbox.py`` retries events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Self, TypeVar

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
from acquirer.routing.orders.faults import Call, Told, fault_of, log_fault
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
_NOBODY = OrderSystemDown("no order system serves this order")
Outcome = TypeVar("Outcome", bound=OrderReply | NotOpened | Delivery)


@dataclass(frozen=True, slots=True)
class _Serving:
    """One system as it is configured, and how it is spoken to."""

    settings: OrderSystemSettings
    adapter: OrderSystem


class OrderSystems:
    """All merchant order systems of a switch; others may take their place while it runs.

    Resource handling: use it as an async context manager, or call :meth:`aclose`.

    Args:
        systems: the first in this order that serves an order is asked.
        wall_s: the wall clock, seconds since 1970 UTC.
        connect: opens HTTP connections.
        links: those to order hosts; needed where a system has a ``host``.
        on_fault: told of what a system does wrong, which is logged too.

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
        on_fault: Told = lambda fault: None,
    ) -> None:
        # One sequence for all hosts, so that no two messages of one second have the same number.
        self._stans = (f"{number % STANS + 1:06d}" for number in count())
        self._wall_s = wall_s
        self._connect = connect
        self._links = links
        self._on_fault = on_fault
        self._serving = tuple(_Serving(one, self._adapter(one)) for one in systems)
        self._cache: dict[tuple[str, str], tuple[float, int, OrderFacts]] = {}
        self._asking: dict[tuple[str, str], object] = {}

    def _adapter(self, system: OrderSystemSettings) -> OrderSystem:
        if not system.host:
            return HttpOrderSystem(system, self._wall_s, self._connect)
        if self._links is None:
            raise OrderSettingsError("an order system with a host needs links")
        return IsoOrderSystem(system.host, self._links, self._stans.__next__, self._wall_s)

    def __repr__(self) -> str:
        return f"OrderSystems({[one.settings.name for one in self._serving]})"

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
        for one in self._serving:
            await one.adapter.aclose()

    async def take(self, systems: Sequence[OrderSystemSettings]) -> None:
        """Serve by these systems from now on; what is asked of the others ends as it was begun.

        A system that is as it was keeps its connections. Answers of before serve no more.
        """
        before = {one.settings.name: one for one in self._serving}
        after = tuple(
            kept
            if (kept := before.get(one.name)) and kept.settings == one
            else _Serving(one, self._adapter(one))
            for one in systems
        )
        if after == self._serving:
            return
        self._serving = after
        self._cache.clear()
        self._asking.clear()
        for one in before.values():
            if one not in after:
                await one.adapter.aclose()

    def system_name(self, merchant_id: str, order_no: str) -> str:
        """Name of the system that serves an order, or empty; the outbox's lane."""
        serving = self._serves(merchant_id, order_no)
        return "" if serving is None else serving.settings.name

    def _serves(self, merchant_id: str, order_no: str) -> _Serving | None:
        serving = self._serving
        index = choose_system([one.settings for one in serving], merchant_id, order_no)
        return None if index is None else serving[index]

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
        serving = self._serves(merchant_id, order_no)
        if serving is None:
            return self._noted(merchant_id, order_no, "query", _NOBODY)
        cached = self._cached(merchant_id, order_no, changes)
        if cached is not None:
            return cached
        question = Question(merchant_id, order_no, terminal_id, courier_id)
        with self._keeping(serving, merchant_id, order_no, changes) as keep:
            reply = await serving.adapter.query(question, _deadline(serving))
            keep(reply)
        return self._noted(merchant_id, order_no, "query", reply)

    async def open(
        self, order: NewOrder | NewPart, *secrets: str, changes: int | None = 0
    ) -> OrderReply | NotOpened:
        """Have an order come into being, priced by the order system; the same again is harmless.

        Args:
            order: what a shop's terminal sells, takes in or has counted, or a part of an order.
            secrets: the merchant's webhook secrets, the newest first; several while rotating.
            changes: as in :meth:`query`.
        """
        serving = self._serves(order.merchant_id, order.order_no)
        if serving is None:
            return self._noted(order.merchant_id, order.order_no, "opening", _NOBODY)
        self.forget(order.merchant_id, order.order_no)
        with self._keeping(serving, order.merchant_id, order.order_no, changes) as keep:
            reply = await serving.adapter.open(order, secrets, _deadline(serving))
            keep(reply)
        return self._noted(order.merchant_id, order.order_no, "opening", reply)

    async def deliver(self, event: WebhookEvent, *secrets: str) -> Delivery:
        """Tell an event once.

        Args:
            event: as the outbox keeps it; its order's cached answer is forgotten, and so is that
                of the order that it is a part of.
            secrets: the merchant's webhook secrets, the newest first; several while rotating.
        """
        self.forget(event.merchant_id, event.order_no)
        serving = self._serves(event.merchant_id, event.order_no)
        if serving is None:
            nobody = Rejected(False, _NOBODY.reason)
            return self._noted(event.merchant_id, event.order_no, "event", nobody)
        delivery = await serving.adapter.deliver(event, secrets, _deadline(serving))
        # What was asked meanwhile may have been answered from before it.
        self.forget(event.merchant_id, event.order_no)
        return self._noted(event.merchant_id, event.order_no, "event", delivery)

    def report(
        self,
        merchant_id: str,
        order_no: str,
        call: Call,
        outcome: OrderReply | NotOpened | Delivery,
    ) -> None:
        """Log and count what is wrong with an outcome, where anything is."""
        system = self.system_name(merchant_id, order_no)
        fault = fault_of(system, merchant_id, order_no, call, outcome)
        if fault is not None:
            log_fault(fault)
            self._on_fault(fault)

    def _noted(self, merchant_id: str, order_no: str, call: Call, outcome: Outcome) -> Outcome:
        self.report(merchant_id, order_no, call, outcome)
        return outcome

    @contextmanager
    def _keeping(
        self, serving: _Serving, merchant_id: str, order_no: str, changes: int | None
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
                self._keep(reply, changes, min(reply.max_age_s, serving.settings.cache_s))

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


def _deadline(serving: _Serving) -> float:
    return trio.current_time() + serving.settings.timeout_s
