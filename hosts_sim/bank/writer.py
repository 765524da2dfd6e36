"""Two ways to drive the books: a worker thread that commits in groups, and inline.

The thread keeps the event loop free while the disk works, and wakes a whole group with one call.
Inline is for simulation, where one thread and one clock decide everything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition
from typing import Protocol

import trio

from acquirer.hosts_sim.bank.books import Books
from acquirer.hosts_sim.bank.entries import Result, Unit

Done = Callable[[Result], None]

_GROUP_MAX = 128


class Writer(Protocol):
    """Takes units; calls ``done`` on the trio thread once a unit is on disk."""

    def submit(self, unit: Unit, done: Done) -> None:
        """Queue one unit; the caller bounds how many it has under way."""


class InlineWriter:
    """Commits each unit at once on the caller's thread."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def submit(self, unit: Unit, done: Done) -> None:
        """Commit and call ``done`` before returning."""
        done(self._books.commit([unit])[0])


class ThreadWriter:
    """Commits in groups on a worker thread.

    Resource handling: :meth:`run` owns the thread and returns once :meth:`stop` was called and
    everything queued before is committed.
    Error handling: what is no database error crashes ``run``.
    """

    def __init__(self, books: Books) -> None:
        self._books = books
        self._queue: deque[tuple[Unit, Done]] = deque()
        self._filled = Condition()
        self._is_stopping = False

    def submit(self, unit: Unit, done: Done) -> None:
        """Queue a unit for the next group."""
        with self._filled:
            self._queue.append((unit, done))
            self._filled.notify()

    def stop(self) -> None:
        """Let the thread end after what is queued."""
        with self._filled:
            self._is_stopping = True
            self._filled.notify()

    async def run(self) -> None:
        """Run the worker thread until :meth:`stop`."""
        await trio.to_thread.run_sync(self._work, trio.lowlevel.current_trio_token())

    def _work(self, token: trio.lowlevel.TrioToken) -> None:
        while True:
            with self._filled:
                while not self._queue and not self._is_stopping:
                    self._filled.wait()
                if not self._queue:
                    return
                size = min(len(self._queue), _GROUP_MAX)
                group = [self._queue.popleft() for _ in range(size)]
            results = self._books.commit([unit for unit, _ in group])
            token.run_sync_soon(_deliver, [done for _, done in group], results)


def _deliver(callbacks: Sequence[Done], results: Sequence[Result]) -> None:
    for done, result in zip(callbacks, results, strict=True):
        done(result)
