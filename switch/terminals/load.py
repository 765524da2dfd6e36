"""How long a request that comes now would wait for this process, by what those before it have cost.

While the loop of the program has no rest, requests wait for each other and for nothing else: then
what its turns take while those in flight are answered, over their number, is what one costs, and
all in flight times that is how long the next one would wait. Where the loop rests nobody waits for
it, however long a bank may take. A trio shell.
"""

from __future__ import annotations

import trio

WINDOW_S = 1.0
BUSY_MIN = 0.8
"""Share of its time that the loop has no rest, from which on requests wait for each other."""


class Load(trio.abc.Instrument):
    """Watches the loop that it is an instrument of.

    Args:
        wait_max_s: the longest that a request may have to wait.

    Attributes:
        in_flight: requests that are not answered yet.
        cost_s: what a request costs; 0 where the loop rests.
    """

    def __init__(self, wait_max_s: float) -> None:
        self.in_flight = 0
        self.cost_s = 0.0
        self._wait_max_s = wait_max_s
        self._turn_began = self._window_began = 0.0
        self._window_busy_s = self._busy_s = 0.0
        self._is_counting = False
        self._to_answer = self._answered = 0

    def arrived(self) -> None:
        """A request has come."""
        self.in_flight += 1

    def answered(self) -> None:
        """One was answered, or will never be."""
        self.in_flight -= 1
        self._answered += 1

    def is_too_much(self) -> bool:
        """Whether a request that comes now would wait too long."""
        return self.in_flight * self.cost_s > self._wait_max_s

    def after_io_wait(self, timeout: float) -> None:
        """A turn of the loop begins."""
        self.turn_begins(trio.current_time())

    def before_io_wait(self, timeout: float) -> None:
        """A turn of the loop is over."""
        self.turn_ends(trio.current_time())

    def turn_begins(self, now: float) -> None:
        """The loop has work, on trio's clock."""
        self._turn_began = now
        self._window_began = self._window_began or now

    def turn_ends(self, now: float) -> None:
        """The loop waits for what comes, if it is not there yet."""
        self._window_busy_s += now - self._turn_began
        lasted_s = now - self._window_began
        if lasted_s < WINDOW_S:
            return
        if self._window_busy_s < BUSY_MIN * lasted_s:
            self.cost_s, self._is_counting = 0.0, False
        elif not self._is_counting:
            self._begin_counting()
        else:
            self._busy_s += self._window_busy_s
            # Not before all that were in flight had their turn: those that come at once are
            # answered at once, and before that it looks as if they never were.
            if self._answered >= max(self._to_answer, 1):
                self.cost_s = self._busy_s / self._answered
                self._begin_counting()
        self._window_began, self._window_busy_s = now, 0.0

    def _begin_counting(self) -> None:
        self._is_counting = True
        self._busy_s, self._answered, self._to_answer = 0.0, 0, self.in_flight
