"""The outbox worker: at least once, in order per order, whatever fails. No database, no sockets."""

import math
from collections.abc import Awaitable, Callable, Sequence
from random import Random

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from acquirer.codecs.order_codes import Means, OrderStatus
from acquirer.routing.orders.client import Delivered, Delivery, Rejected
from acquirer.routing.orders.messages import EventData, OrderEvent, build_event
from acquirer.routing.orders.outbox import (
    OutboxEvent,
    OutboxSettings,
    Wake,
    next_attempt_ms,
    run_outbox,
)

DAY_MS = 86_400_000


class StoreDown(Exception):
    """The fake store's own error."""


class Row:
    """An event as the fake store keeps it."""

    def __init__(self, event: OrderEvent) -> None:
        self.event = event
        self.attempts = 0
        self.next_at_ms = event.next_at_ms
        self.lease_until_ms = -1
        self.state = "waiting"
        self.attempt_log = ""


class FakeStore:
    """An outbox in memory that keeps the contract of ``OutboxStore`` and may fail by plan."""

    def __init__(self, failures: Callable[[], bool] = lambda: False) -> None:
        self.rows: list[Row] = []
        self.claims = 0
        self.reasons: list[str] = []
        self._failures = failures

    def queue(self, event: OrderEvent) -> None:
        """Put an event in."""
        self.rows.append(Row(event))

    def states(self) -> list[str]:
        """Each event's state, in the order queued."""
        return [row.state for row in self.rows]

    async def claim_events(
        self, now_ms: int, lease_until_ms: int, limit: int, /
    ) -> Sequence[OutboxEvent]:
        """See ``OutboxStore``."""
        await self._step()
        self.claims += 1
        blocked: set[str] = set()
        claimed: list[OutboxEvent] = []
        for row in self.rows:
            if row.state != "waiting":
                continue
            order_no = row.event.order_no
            due = row.next_at_ms <= now_ms and row.lease_until_ms <= now_ms
            if not due or order_no in blocked or len(claimed) == limit:
                blocked.add(order_no)
                continue
            row.lease_until_ms = lease_until_ms
            claimed.append(
                OrderEvent(
                    id=row.event.id,
                    merchant_id=row.event.merchant_id,
                    order_no=order_no,
                    type=row.event.type,
                    body=row.event.body,
                    created_at_ms=row.event.created_at_ms,
                    next_at_ms=row.next_at_ms,
                    attempts=row.attempts,
                )
            )
        return claimed

    async def finish_event(self, event_id: str, at_ms: int, attempt: str, /) -> None:
        """See ``OutboxStore``."""
        await self._step()
        self._tried(event_id, attempt)
        self._row(event_id).state = "finished"

    async def retry_event(
        self, event_id: str, attempts: int, next_at_ms: int, attempt: str, /
    ) -> None:
        """See ``OutboxStore``."""
        await self._step()
        self._tried(event_id, attempt)
        row = self._row(event_id)
        row.attempts, row.next_at_ms, row.lease_until_ms = attempts, next_at_ms, -1

    async def dead_event(self, event_id: str, at_ms: int, reason: str, attempt: str, /) -> None:
        """See ``OutboxStore``."""
        await self._step()
        self._tried(event_id, attempt)
        self._row(event_id).state = "dead"
        self.reasons.append(reason)

    def _tried(self, event_id: str, attempt: str) -> None:
        self._row(event_id).attempt_log += attempt

    def _row(self, event_id: str) -> Row:
        return next(row for row in self.rows if row.event.id == event_id)

    async def _step(self) -> None:
        await trio.lowlevel.checkpoint()
        if self._failures():
            raise StoreDown


def event(number: int, order_no: str, at_ms: int = 0, merchant_id: str = "m1") -> OrderEvent:
    """An event of an order."""
    data = EventData(
        order_no=order_no,
        merchant_id=merchant_id,
        order_status=OrderStatus.PAID,
        amount_minor=1,
        currency_code="156",
        means=Means.CASH,
    )
    return build_event(f"evt_{number}", "order.paid", data, at_ms)


def clock_ms() -> int:
    """The mock clock as a wall clock that began in 1970."""
    return int(trio.current_time() * 1000)


def age_ms(at_ms: int) -> int:
    """How long ago that was."""
    return clock_ms() - at_ms


def play(
    store: FakeStore,
    deliver: Callable[[OutboxEvent], Awaitable[Delivery]],
    scene: Callable[[Wake], Awaitable[None]],
    outbox: OutboxSettings | None = None,
    wall_ms: Callable[[], int] = clock_ms,
) -> float:
    """Run the worker beside a scene on a mock clock, then stop it; gives the time it took.

    Args:
        wall_ms: what the worker takes for the time; ages stay what they are.
    """

    async def main() -> float:
        wake = Wake()
        async with trio.open_nursery() as nursery:

            async def worker(task_status: trio.TaskStatus[None]) -> None:
                await run_outbox(
                    store,
                    deliver,
                    wake=wake,
                    clock_ms=wall_ms,
                    age_ms=age_ms,
                    random=Random(7).random,
                    settings=outbox,
                    store_errors=(StoreDown,),
                    task_status=task_status,
                )

            await nursery.start(worker)
            await scene(wake)
            wake.stop()
        return trio.current_time()

    clock = MockClock(autojump_threshold=0)
    begin = clock.current_time()
    return trio.run(main, clock=clock) - begin


async def until(
    done: Callable[[], bool], limit_s: float = 10 * 86_400.0, step_s: float = 0.05
) -> None:
    """Let mock time pass until something holds."""
    with trio.fail_after(limit_s):
        while not done():  # noqa: ASYNC110  # mock time: nothing sleeps, and nothing tells
            await trio.sleep(step_s)


@settings(max_examples=60, deadline=None)
@given(
    orders=st.lists(st.sampled_from("ABCD"), min_size=1, max_size=12),
    seed=st.integers(0, 2**32),
    fail_share=st.floats(0, 0.8),
    store_fail_share=st.floats(0, 0.4),
    late=st.booleans(),
)
def test_every_event_arrives_and_in_order_per_order(
    orders: list[str], seed: int, fail_share: float, store_fail_share: float, late: bool
) -> None:
    """Random refusals, lost answers and store failures only repeat events, never reorder them.

    The receiver drops repeats by id, as the contract asks of it; what remains is each event
    once and per order in the order queued.
    """
    random = Random(seed)
    store = FakeStore(lambda: random.random() < store_fail_share)
    arrived: list[OutboxEvent] = []

    async def deliver(item: OutboxEvent) -> Delivery:
        await trio.sleep(random.random() * 3)
        luck = random.random()
        if luck < fail_share / 2:
            return Rejected(False, "status 503")
        if item.id not in [one.id for one in arrived]:
            arrived.append(item)
        return Rejected(False, "no answer in time") if luck < fail_share else Delivered()

    async def scene(wake: Wake) -> None:
        for number, order_no in enumerate(orders):
            store.queue(event(number, order_no, clock_ms()))
            wake.notify()
            if late:
                await trio.sleep(random.random())
        await until(lambda: set(store.states()) == {"finished"})

    play(store, deliver, scene)
    for order_no in set(orders):
        expected = [f"evt_{n}" for n, one in enumerate(orders) if one == order_no]
        assert [one.id for one in arrived if one.order_no == order_no] == expected


def test_a_crash_at_any_instant_loses_nothing() -> None:
    """A second worker on the same store goes on after the leases of the first have run out."""
    store = FakeStore()
    for number in range(20):
        store.queue(event(number, f"O{number % 5}"))
    arrived: list[str] = []

    async def deliver(item: OutboxEvent) -> Delivery:
        await trio.sleep(0.5)
        arrived.append(item.id)
        await trio.sleep(0.5)
        return Delivered()

    async def crash_and_go_on() -> None:
        async def worker() -> None:
            await run_outbox(
                store,
                deliver,
                wake=Wake(),
                clock_ms=clock_ms,
                age_ms=age_ms,
                random=Random(1).random,
            )

        with trio.move_on_after(1.7):
            await worker()
        assert store.states().count("finished") == 5
        with trio.move_on_after(60):
            await worker()

    trio.run(crash_and_go_on, clock=MockClock(autojump_threshold=0))
    assert store.states() == ["finished"] * 20
    assert len(arrived) == 25


def test_an_announced_event_goes_out_at_once_and_idling_is_cheap() -> None:
    """No poll is waited for; an idle hour costs two looks a second."""
    store = FakeStore()
    ages: list[int] = []

    async def deliver(item: OutboxEvent) -> Delivery:
        ages.append(clock_ms() - item.created_at_ms)
        return Delivered()

    async def scene(wake: Wake) -> None:
        await trio.sleep(3600.3)
        for number in range(3):
            store.queue(event(number, "A", clock_ms()))
            wake.notify()
            await until(lambda: set(store.states()) == {"finished"})

    play(store, deliver, scene)
    assert max(ages) <= 100
    assert store.claims < 2 * 3600 + 20


def test_an_event_queued_behind_one_in_flight_follows_without_a_poll() -> None:
    """The end of a chain makes the worker look again where something was announced meanwhile."""
    store = FakeStore()
    at: list[float] = []

    async def deliver(item: OutboxEvent) -> Delivery:
        at.append(trio.current_time())
        await trio.sleep(7)
        return Delivered()

    async def scene(wake: Wake) -> None:
        store.queue(event(0, "A", clock_ms()))
        wake.notify()
        await trio.sleep(1)
        store.queue(event(1, "A", clock_ms()))
        wake.notify()
        await until(lambda: store.states() == ["finished"] * 2)

    slow_poll = OutboxSettings(poll_s=1000.0)
    play(store, deliver, scene, slow_poll)
    assert at[1] - at[0] == pytest.approx(7, abs=0.1)


def test_several_orders_go_out_side_by_side_within_the_bound() -> None:
    """Never more deliveries at once than ``concurrency``, and as many where there is work."""
    store = FakeStore()
    for number in range(200):
        store.queue(event(number, f"O{number}"))
    now = most = 0

    async def deliver(item: OutboxEvent) -> Delivery:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await trio.sleep(0.1)
        now -= 1
        return Delivered()

    async def scene(wake: Wake) -> None:
        await until(lambda: set(store.states()) == {"finished"})

    took_s = play(store, deliver, scene)
    assert most == 8
    assert took_s < 200 / 8 * 0.1 + 1


def test_a_permanent_refusal_is_a_dead_letter_and_the_next_event_goes_on() -> None:
    """What can never be taken does not block its order for three days."""
    store = FakeStore()
    store.queue(event(0, "A"))
    store.queue(event(1, "A"))

    async def deliver(item: OutboxEvent) -> Delivery:
        return Rejected(True, "status 422") if item.id == "evt_0" else Delivered()

    async def scene(wake: Wake) -> None:
        await until(lambda: store.states() == ["dead", "finished"], limit_s=1)

    play(store, deliver, scene)


def test_an_event_that_cannot_be_told_fails_alone() -> None:
    """A row that has rotted is a dead letter with its reason; the worker and the others go on."""
    store = FakeStore()
    for number, order_no in enumerate("ABA"):
        store.queue(event(number, order_no))

    async def deliver(item: OutboxEvent) -> Delivery:
        if item.id == "evt_0":
            raise UnicodeEncodeError("utf-8", "\udcf4", 0, 1, "surrogates not allowed")
        return Delivered()

    async def scene(wake: Wake) -> None:
        await until(lambda: store.states() == ["dead", "finished", "finished"], limit_s=1)

    play(store, deliver, scene)
    assert ["an error of the program, UnicodeEncodeError; the log has it"] == store.reasons


def test_after_three_days_an_event_is_a_dead_letter() -> None:
    """Until then it is tried with growing pauses, and once more at the very end."""
    store = FakeStore()
    store.queue(event(0, "A"))
    tried_ms: list[int] = []

    async def deliver(item: OutboxEvent) -> Delivery:
        tried_ms.append(clock_ms())
        return Rejected(False, "status 503")

    async def scene(wake: Wake) -> None:
        await until(lambda: store.states() == ["dead"], step_s=3600)

    play(store, deliver, scene, OutboxSettings(poll_s=100.0))
    assert 60 < len(tried_ms) < 120
    assert tried_ms[-1] == pytest.approx(3 * DAY_MS, abs=100_000)


@pytest.mark.parametrize("jump_ms", [400 * DAY_MS, 4 * DAY_MS, -400 * DAY_MS])
def test_a_clock_that_jumps_gives_nothing_up_and_closes_no_lane(jump_ms: int) -> None:
    """A receiver that fails in a jump is asked again within minutes when the clock is back."""
    store = FakeStore()
    for number in range(6):
        store.queue(event(number, f"O{number}"))
    off_ms = 0
    down = True

    def wall_ms() -> int:
        return clock_ms() + off_ms

    async def deliver(item: OutboxEvent) -> Delivery:
        return Rejected(False, "status 503") if down else Delivered()

    async def scene(wake: Wake) -> None:
        nonlocal off_ms, down
        await trio.sleep(10)
        off_ms = jump_ms
        await trio.sleep(60)
        off_ms, down = 0, False
        assert set(store.states()) == {"waiting"}
        for row in store.rows:
            # As the books do for a time that is too far ahead.
            row.next_at_ms = min(row.next_at_ms, clock_ms())
            row.lease_until_ms = -1
        await until(lambda: set(store.states()) == {"finished"}, limit_s=120, step_s=1)

    play(store, deliver, scene, wall_ms=wall_ms)


def test_a_receiver_that_is_down_does_not_hold_back_the_others() -> None:
    """Hundreds of events for a silent merchant, and another merchant still waits less than 10 s.

    When the silent one is back, everything arrives within two minutes.
    """
    store = FakeStore()
    for number in range(400):
        store.queue(event(number, f"D{number}", merchant_id="dead"))
    down = True

    async def deliver(item: OutboxEvent) -> Delivery:
        if item.merchant_id == "dead" and down:
            await trio.sleep(5)
            return Rejected(False, "no answer in time")
        return Delivered()

    async def scene(wake: Wake) -> None:
        nonlocal down
        await trio.sleep(1)
        for number in range(400, 420):
            store.queue(event(number, f"G{number}", clock_ms(), "good"))
            wake.notify()
        await until(lambda: store.states()[400:] == ["finished"] * 20, limit_s=10)
        await trio.sleep(900)
        down = False
        await until(lambda: set(store.states()) == {"finished"}, limit_s=120, step_s=1)

    play(store, deliver, scene)


def test_a_stop_ends_after_what_is_in_flight_and_gives_the_rest_back() -> None:
    """No lease is left behind, so that the next process can go on at once."""
    store = FakeStore()
    for number in range(30):
        store.queue(event(number, f"O{number % 10}"))

    async def deliver(item: OutboxEvent) -> Delivery:
        await trio.sleep(2)
        return Delivered()

    async def scene(wake: Wake) -> None:
        await trio.sleep(1)

    took_s = play(store, deliver, scene)
    assert took_s == pytest.approx(2, abs=0.1)
    assert store.states().count("finished") == 8
    assert {-1} == {row.lease_until_ms for row in store.rows if row.state == "waiting"}


@given(
    created=st.integers(0, 10 * DAY_MS),
    failed=st.integers(1, 500),
    age=st.integers(0, 4 * DAY_MS),
    random=st.floats(0, 1),
)
def test_the_next_attempt_lies_ahead_and_within_three_days(
    created: int, failed: int, age: int, random: float
) -> None:
    """For any event: later than now, never after its end, none once the end has come."""
    at_ms = next_attempt_ms(OutboxSettings(), age, failed, created + age, random)
    if age >= 3 * DAY_MS:
        assert at_ms is None
    else:
        assert at_ms is not None
        assert created + age < at_ms <= created + 3 * DAY_MS
        assert at_ms - created - age <= math.ceil(3600 * 1000)
