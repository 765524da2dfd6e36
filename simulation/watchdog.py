"""Ends a simulated day whose clock stands still while tasks run for ever.

On a mock clock a loop that waits for an instant that has passed never ends; on a real one it only
burns. Either way it is a bug that must not hang the simulator.
"""

from __future__ import annotations

import trio

TURNS_MAX = 20_000
_LOOKED_AT = 100


class Watchdog(trio.abc.Instrument):
    """Ends a day in which tasks run for ever without any time passing."""

    def __init__(self, clock: trio.abc.Clock) -> None:
        self._clock = clock
        self.scope = trio.CancelScope()
        self.busy: dict[str, int] = {}
        self._time = -1.0
        self._turns = 0

    def after_io_wait(self, timeout: float) -> None:
        """Once a turn of the loop."""
        now = self._clock.current_time()
        if now != self._time:
            self._time, self._turns = now, 0
            return
        self._turns += 1
        if self._turns == TURNS_MAX - _LOOKED_AT:
            trio.lowlevel.add_instrument(_Busy(self.busy))
        if self._turns > TURNS_MAX:
            self.scope.cancel()


class _Busy(trio.abc.Instrument):
    """Counts which tasks run; costly, so only added once it looks bad."""

    def __init__(self, counts: dict[str, int]) -> None:
        self._counts = counts

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count one step."""
        self._counts[task.name] = self._counts.get(task.name, 0) + 1
