"""The simulated day's clock: jumps as trio's mock clock does, and keeps what is to happen when.

Where no task can run, it jumps to the next deadline or the next thing to happen, whichever is
first, and lets that happen outside of any task: a task of its own for it would cost two turns of
the loop for each message that arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from math import inf

import trio


class DayClock(trio.abc.Clock):
    """Time of a simulated day in seconds, from 0."""

    def __init__(self) -> None:
        self._now = 0.0
        self._entries: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = count()

    def after(self, delay_s: float, act: Callable[[], object]) -> None:
        """Call ``act`` in so many seconds. It must not raise."""
        self.at(self._now + delay_s, act)

    def at(self, at: float, act: Callable[[], object]) -> None:
        """Call ``act`` at an instant. It must not raise."""
        heappush(self._entries, (at, next(self._numbers), act))

    def skip(self, seconds: float) -> None:
        """So much time passes at once, as while a machine is suspended."""
        self._now += seconds

    # What trio asks of a clock.

    def start_clock(self) -> None:
        """Time stands until the first jump."""

    def current_time(self) -> float:
        """Seconds since the day began."""
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Asked for where no task can run: jump, instead of sleeping."""
        entries = self._entries
        if not entries or entries[0][0] > deadline:
            if deadline == inf:
                return inf
            self._now = max(self._now, deadline)
            return 0.0
        self._now = max(self._now, entries[0][0])
        while entries and entries[0][0] <= self._now:
            heappop(entries)[2]()
        return 0.0
