"""The worker that empties the outbox: at least once, and in order per order.

It claims due events from the store under a lease, delivers the chains of several orders side by
side and each chain one by one, and tells the store what became of each. What fails is tried again
for three days and then becomes a dead letter. It knows neither database nor HTTP: both come as
arguments. A crash at any instant leaves claims that are let go, and the events go out again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec
import structlog
import trio

from acquirer.routing.orders.adapter import Delivered, Delivery, Rejected, WebhookEvent
from acquirer.routing.orders.lanes import Lanes
from acquirer.routing.retry import RetrySchedule

_log = structlog.get_logger("acquirer.outbox")


class OutboxEvent(WebhookEvent, Protocol):
    """An event with its delivery state; the ledger's ``Event`` fits."""

    @property
    def type(self) -> str:
        """Such as ``order.paid``."""

    @property
    def created_at_ms(self) -> int:
        """When it was queued; its three days begin here."""


class OutboxStore(Protocol):
    """What the books must do for the worker; ``ledger.book.Book`` fits.

    All of it is durable when the call returns; what it returns beside events is not looked at.
    """

    async def claim_events(
        self, now_ms: int, lease_until_ms: int, limit: int, /
    ) -> Sequence[OutboxEvent]:
        """Lease due events, oldest first.

        Due is an event whose ``next_at_ms`` has come and that is neither finished nor dead nor
        under a lease of somebody else, provided that every earlier event of its order is
        finished, or claimed by this same call and stands before it in the result. Whether a
        dead letter holds back what follows in its order is the store's to decide.
        """

    async def finish_event(self, event_id: str, at_ms: int, attempt: str, /) -> object:
        """It was delivered by this attempt (:func:`attempt_line`)."""

    async def retry_event(
        self, event_id: str, attempts: int, next_at_ms: int, attempt: str, /
    ) -> object:
        """Give the lease back and keep the event until ``next_at_ms``.

        ``attempt`` is empty where it was not tried.
        """

    async def dead_event(self, event_id: str, at_ms: int, reason: str, attempt: str, /) -> object:
        """Make it a dead letter, for an operator to see, with the reason, and replay."""


class OutboxSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How events go out.

    Attributes:
        concurrency: orders whose events are on their way at the same time.
        claim_max: events held under a lease at most.
        poll_s: how often to look for events that nobody announced, such as those of another
            process or whose time has come.
        gap_s: shortest time between two looks, so that many announcements make one.
        lease_s: for how long a claimed event is ours.
        delivery_s: longest time that one delivery may take; no delivery starts with less of its
            lease left.
        retry_first_s: pause after the first failure; it doubles.
        retry_cap_s: longest such pause.
        give_up_s: age at which an undelivered event becomes a dead letter.
        closed_cap_s: longest pause of a receiver that keeps failing.
    """

    concurrency: int = 8
    claim_max: int = 128
    poll_s: float = 0.5
    gap_s: float = 0.02
    lease_s: float = 30.0
    delivery_s: float = 10.0
    retry_first_s: float = 1.0
    retry_cap_s: float = 3600.0
    give_up_s: float = 3 * 86_400.0
    closed_cap_s: float = 60.0

    def schedule(self) -> RetrySchedule:
        """Pauses between the attempts of one event."""
        return RetrySchedule(first_s=self.retry_first_s, cap_s=self.retry_cap_s)


class Wake:
    """How the worker is told that there is something to do, within one trio run."""

    def __init__(self) -> None:
        self._event = trio.Event()
        self.rung = 0
        self.stopping = False

    def notify(self) -> None:
        """An event has been queued (and its commit is done). Cheap; call it for each."""
        self.rung += 1
        self._event.set()

    def look_again(self) -> None:
        """Look once more, though nothing new was announced."""
        self._event.set()

    def stop(self) -> None:
        """Ask the worker to end once what is on its way has ended."""
        self.stopping = True
        self._event.set()

    async def wait(self, timeout_s: float) -> None:
        """Until told something, or the time is over."""
        with trio.move_on_after(timeout_s):
            await self._event.wait()
        if not self.stopping:
            self._event = trio.Event()


def next_attempt_ms(
    settings: OutboxSettings, age_ms: int, failed: int, now_ms: int, random: float
) -> int | None:
    """When to try an event again after a failure, or None where its time is over. Pure.

    The last attempt falls on the end of its time, not before.

    Args:
        age_ms: how long it has certainly waited.
        failed: attempts that failed so far, from 1.
        random: a number from 0 to 1.
    """
    left_ms = int(settings.give_up_s * 1000) - age_ms
    if left_ms <= 0:
        return None
    pause_ms = int(settings.schedule().pause_s(failed, random) * 1000)
    return now_ms + min(max(pause_ms, 1), left_ms)


def attempt_line(at_ms: int, outcome: Delivery) -> str:
    """One attempt as the books keep it: a line of JSON with when, status, reason and answer. Pure.

    >>> attempt_line(17, Rejected(False, "no answer in time"))
    '{"at_ms":17,"status":"","reason":"no answer in time","answer":""}\\n'
    """
    reason = outcome.reason if isinstance(outcome, Rejected) else ""
    said = outcome.answer
    line = {"at_ms": at_ms, "status": said.status, "reason": reason, "answer": said.text}
    return msgspec.json.encode(line).decode() + "\n"


def chains(events: Sequence[OutboxEvent]) -> list[list[OutboxEvent]]:
    """Events grouped by order, each group in the order given. Pure."""
    grouped: dict[tuple[str, str], list[OutboxEvent]] = {}
    for event in events:
        grouped.setdefault((event.merchant_id, event.order_no), []).append(event)
    return list(grouped.values())


async def run_outbox(
    store: OutboxStore,
    deliver: Callable[[OutboxEvent], Awaitable[Delivery]],
    *,
    wake: Wake,
    clock_ms: Callable[[], int],
    age_ms: Callable[[int], int],
    random: Callable[[], float],
    settings: OutboxSettings | None = None,
    lane: Callable[[OutboxEvent], str] = lambda event: event.merchant_id,
    store_errors: tuple[type[Exception], ...] = (),
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Deliver events until :meth:`Wake.stop`, or until cancelled.

    Error handling: ``store_errors`` of the store are logged and outlived, what they left undone
    is done after the lease; any other exception of it is a bug and comes out. One of ``deliver``
    makes its event a dead letter, and the others go on.

    Args:
        deliver: posts one event once and gives the outcome as a value.
        clock_ms: milliseconds since 1970 UTC, as in the events.
        age_ms: how long ago an event's time certainly was.
        random: numbers from 0 to 1, for jitter.
        lane: events of one lane share a receiver; see ``lanes.py``.
    """
    worker = _Worker(
        store, deliver, wake, clock_ms, age_ms, random, settings or OutboxSettings(), lane
    )
    worker.store_errors = store_errors
    task_status.started()
    await worker.run()


class _Worker:
    """The state of one run."""

    def __init__(
        self,
        store: OutboxStore,
        deliver: Callable[[OutboxEvent], Awaitable[Delivery]],
        wake: Wake,
        clock_ms: Callable[[], int],
        age_ms: Callable[[int], int],
        random: Callable[[], float],
        settings: OutboxSettings,
        lane: Callable[[OutboxEvent], str],
    ) -> None:
        self.store = store
        self.deliver = deliver
        self.wake = wake
        self.clock_ms = clock_ms
        self.age_ms = age_ms
        self.random = random
        self.settings = settings
        self.lane = lane
        self.store_errors: tuple[type[Exception], ...] = ()
        self.held = 0
        self.more = False
        self.places = trio.Semaphore(settings.concurrency)
        closed = RetrySchedule(first_s=1.0, cap_s=settings.closed_cap_s)
        self.lanes = Lanes(closed, int(settings.delivery_s * 1000))

    async def run(self) -> None:
        """Claim and deliver in rounds; a round is short, or ends in a wait."""
        settings = self.settings
        async with trio.open_nursery() as nursery:
            while not self.wake.stopping:
                room = settings.claim_max - self.held
                claimed: list[OutboxEvent] = []
                start_by = trio.current_time() + settings.lease_s - settings.delivery_s
                if room * 2 >= settings.claim_max:
                    claimed = await self._claim(room)
                self.more = len(claimed) == room or room * 2 < settings.claim_max
                for chain in chains(claimed):
                    nursery.start_soon(self._run_chain, chain, start_by)
                await trio.sleep(settings.gap_s)
                if not claimed:
                    await self.wake.wait(settings.poll_s)

    async def _claim(self, limit: int) -> list[OutboxEvent]:
        now_ms = self.clock_ms()
        lease_until_ms = now_ms + int(self.settings.lease_s * 1000)
        try:
            events = await self.store.claim_events(now_ms, lease_until_ms, limit)
        except self.store_errors as error:
            _log.warning("outbox_store_failed", error=type(error).__name__)
            return []
        self.held += len(events)
        return list(events)

    async def _run_chain(self, chain: list[OutboxEvent], start_by: float) -> None:
        rung = self.wake.rung
        try:
            async with self.places:
                await self._deliver_chain(chain, start_by)
        except self.store_errors as error:
            _log.warning("outbox_store_failed", error=type(error).__name__)
        finally:
            self.held -= len(chain)
        if self.more or self.wake.rung != rung:
            # What was announced meanwhile may have waited behind this chain's lease.
            self.wake.look_again()

    async def _deliver_chain(self, chain: list[OutboxEvent], start_by: float) -> None:
        for index, event in enumerate(chain):
            now_ms, counted_ms = self.clock_ms(), _counted_ms()
            if self.wake.stopping or trio.current_time() > start_by:
                await self._put_off(chain[index:], now_ms)
                return
            lane = self.lane(event)
            until_ms = self.lanes.put_off_until_ms(lane, counted_ms)
            if until_ms is not None:
                age_ms = self.age_ms(event.created_at_ms)
                if event.attempts == 0 or age_ms < self.settings.give_up_s * 1000:
                    await self._put_off(chain[index:], now_ms + until_ms - counted_ms)
                    return
                await self._bury(event, "the receiver keeps failing", "")
                continue
            again_at_ms = await self._attempt(event, lane)
            if again_at_ms is not None:
                await self._put_off(chain[index + 1 :], again_at_ms)
                return

    async def _attempt(self, event: OutboxEvent, lane: str) -> int | None:
        """Deliver once and tell the store; when to try again, or None where it is done with."""
        outcome = await self._deliver(event)
        now_ms = self.clock_ms()
        attempt = attempt_line(now_ms, outcome)
        if isinstance(outcome, Delivered):
            self.lanes.succeeded(lane)
            await self.store.finish_event(event.id, now_ms, attempt)
            return None
        again_at_ms: int | None = None
        failed = event.attempts + 1
        if outcome.permanent:
            self.lanes.succeeded(lane)
        else:
            self.lanes.failed(lane, _counted_ms(), self.random())
            age_ms = self.age_ms(event.created_at_ms)
            again_at_ms = next_attempt_ms(self.settings, age_ms, failed, now_ms, self.random())
        if again_at_ms is None:
            await self._bury(event, outcome.reason, attempt)
        else:
            await self.store.retry_event(event.id, failed, again_at_ms, attempt)
        return again_at_ms

    async def _deliver(self, event: OutboxEvent) -> Delivery:
        """Deliver once; an event that cannot be told at all fails alone, and for good."""
        try:
            return await self.deliver(event)
        except Exception as error:
            _log.error("event_failed", event_id=event.id, exc_info=error)
            name = type(error).__name__
            return Rejected(True, f"an error of the program, {name}; the log has it")

    async def _put_off(self, events: Sequence[OutboxEvent], until_ms: int) -> None:
        for event in events:
            await self.store.retry_event(event.id, event.attempts, until_ms, "")

    async def _bury(self, event: OutboxEvent, reason: str, attempt: str) -> None:
        _log.error("event_dead", event_id=event.id, type=event.type, reason=reason)
        await self.store.dead_event(event.id, self.clock_ms(), reason, attempt)


def _counted_ms() -> int:
    """Milliseconds of the monotonic clock, for what only this process knows."""
    return int(trio.current_time() * 1000)
