"""Two ways to drive the writer: a thread of its own, or inline on the trio thread.

Both take whatever has queued up, up to a group's size, let the writer commit it as one
transaction and wake all its tasks at once. The thread is for production; inline, everything
happens in trio's own order, so that one seed decides a simulated run. trio shell.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Protocol

import outcome
import trio

from acquirer.ledger.errors import BookBusy, BookError, BooksGone, BookUnavailable
from acquirer.ledger.store.writer import Result, Unit, Writer

GROUP_WAIT_S = 0.002
ARRIVING_S = 0.0005


class Ticket:
    """A unit in the queue, and the task that waits for it; none once that was cancelled."""

    __slots__ = ("result", "task", "unit")

    def __init__(self, unit: Unit, task: trio.lowlevel.Task) -> None:
        self.unit = unit
        self.task: trio.lowlevel.Task | None = task
        self.result: Result = None


class Driver(Protocol):
    """How the book reaches its writer."""

    async def submit(self, unit: Unit) -> Result:
        """Queue a unit and wait for its result; raises the ``BookError`` that it ended in."""

    async def start(self, opening: Callable[[], Any]) -> Any:
        """Run ``opening`` where the writer lives, then serve; its result or exception."""

    async def stop(self) -> None:
        """Commit what is queued, then close the connection. No unit may be submitted after."""


async def _result_of(ticket: Ticket) -> Result:
    def abort(_raise_cancel: Any) -> trio.lowlevel.Abort:
        ticket.task = None
        return trio.lowlevel.Abort.SUCCEEDED

    result = await trio.lowlevel.wait_task_rescheduled(abort)
    if isinstance(result, BookError):
        # A group shares its error; a traceback belongs to one task.
        raise type(result)(*result.args) from result.__cause__
    return result


def _wake(writer: Writer, tickets: list[Ticket]) -> None:
    """Give the tasks their results, if the files with what was written are still the books."""
    gone = writer.gone()
    for ticket in tickets:
        if ticket.task is not None:
            result = BooksGone(gone) if gone else ticket.result
            trio.lowlevel.reschedule(ticket.task, outcome.Value(result))


def _commit(writer: Writer, tickets: list[Ticket]) -> None:
    """Fill in the tickets' results; whatever happens, each gets one."""
    try:
        results = writer.commit([ticket.unit for ticket in tickets])
    except Exception as error:
        failure = BookUnavailable("the writer failed")
        failure.__cause__ = error
        results = [failure] * len(tickets)
    for ticket, result in zip(tickets, results, strict=True):
        ticket.result = result


def group_patience_s(units: int, units_before: int, waited_s: float) -> float:
    """How long to wait for another unit before a group is committed.

    A commit costs the same for one unit as for many, so while units are arriving it is worth
    waiting for the next; a lone terminal's unit waits for nobody.

    Args:
        units: in the group so far.
        units_before: in the group before.
        waited_s: time since the group's first unit was taken.

    >>> group_patience_s(1, 1, 0.0), group_patience_s(2, 1, 0.0), group_patience_s(9, 9, 0.003)
    (0.0, 0.0005, 0.0)
    """
    if units == 1 and units_before <= 1:
        return 0.0
    return max(min(ARRIVING_S, GROUP_WAIT_S - waited_s), 0.0)


class ThreadDriver:
    """The writer in a thread of its own; nothing of SQL ever runs on the trio thread."""

    def __init__(self, writer: Writer, queue_units_max: int, group_units_max: int) -> None:
        self._writer = writer
        self._queue_units_max = queue_units_max
        self._group_units_max = group_units_max
        self._queue: SimpleQueue[Ticket | None] = SimpleQueue()
        self._waiting = 0
        self._group_before = 0
        self._token = trio.lowlevel.current_trio_token()
        self._opened: outcome.Outcome[Any] | None = None
        self._ready = trio.Event()
        self._ended = trio.Event()

    async def submit(self, unit: Unit) -> Result:
        """See :class:`Driver`."""
        if self._waiting >= self._queue_units_max:
            raise BookBusy(f"{self._waiting} units wait to be written")
        self._waiting += 1
        ticket = Ticket(unit, trio.lowlevel.current_task())
        self._queue.put(ticket)
        return await _result_of(ticket)

    async def start(self, opening: Callable[[], Any]) -> Any:
        """See :class:`Driver`."""
        thread = threading.Thread(
            target=self._serve, args=(opening,), name="ledger-writer", daemon=True
        )
        thread.start()
        with trio.CancelScope(shield=True):
            await self._ready.wait()
            if isinstance(self._opened, outcome.Error):
                await self._ended.wait()
        assert self._opened is not None
        return self._opened.unwrap()

    async def stop(self) -> None:
        """See :class:`Driver`."""
        self._queue.put(None)
        with trio.CancelScope(shield=True):
            await self._ended.wait()

    def _serve(self, opening: Callable[[], Any]) -> None:
        self._opened = outcome.capture(opening)
        self._token.run_sync_soon(self._ready.set)
        if isinstance(self._opened, outcome.Value):
            while self._serve_group():
                pass
        self._writer.close()
        self._token.run_sync_soon(self._ended.set)

    def _serve_group(self) -> bool:
        """Commit one group; false once the end of the queue was seen."""
        tickets: list[Ticket] = []
        item = self._queue.get()
        since_s = time.monotonic()
        try:
            while item is not None:
                tickets.append(item)
                if len(tickets) >= self._group_units_max:
                    break
                item = self._next_of_group(len(tickets), since_s)
        except Empty:
            pass
        self._group_before = len(tickets)
        if tickets:
            _commit(self._writer, tickets)
            self._token.run_sync_soon(self._deliver, tickets)
        return item is not None

    def _next_of_group(self, units: int, since_s: float) -> Ticket | None:
        """What comes next in the queue, waiting for it while others arrive."""
        if not self._queue.empty():
            return self._queue.get_nowait()
        patience_s = group_patience_s(units, self._group_before, time.monotonic() - since_s)
        return self._queue.get(patience_s > 0, patience_s)

    def _deliver(self, tickets: list[Ticket]) -> None:
        self._waiting -= len(tickets)
        _wake(self._writer, tickets)


class InlineDriver:
    """The writer on the trio thread: a group is what was submitted in one turn of the loop.

    Args:
        soon: calls a function a little later on the trio thread, and so makes the groups; the
            next turn of the loop where it is None. A simulated disk takes its time here.
    """

    def __init__(
        self,
        writer: Writer,
        queue_units_max: int,
        group_units_max: int,
        soon: Callable[[Callable[[], object]], None] | None = None,
    ) -> None:
        self._writer = writer
        self._queue_units_max = queue_units_max
        self._group_units_max = group_units_max
        self._tickets: deque[Ticket] = deque()
        self._scheduled = False
        self._soon = soon or trio.lowlevel.current_trio_token().run_sync_soon

    async def submit(self, unit: Unit) -> Result:
        """See :class:`Driver`."""
        if len(self._tickets) >= self._queue_units_max:
            raise BookBusy(f"{len(self._tickets)} units wait to be written")
        ticket = Ticket(unit, trio.lowlevel.current_task())
        self._tickets.append(ticket)
        if not self._scheduled:
            self._scheduled = True
            self._soon(self._serve)
        return await _result_of(ticket)

    async def start(self, opening: Callable[[], Any]) -> Any:
        """See :class:`Driver`."""
        await trio.lowlevel.checkpoint()
        return opening()

    async def stop(self) -> None:
        """See :class:`Driver`."""
        self._serve()
        self._writer.close()
        await trio.lowlevel.cancel_shielded_checkpoint()

    def _serve(self) -> None:
        self._scheduled = False
        while self._tickets:
            size = min(len(self._tickets), self._group_units_max)
            tickets = [self._tickets.popleft() for _ in range(size)]
            _commit(self._writer, tickets)
            _wake(self._writer, tickets)
