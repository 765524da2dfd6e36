"""A clock that jumps hours, days or months for some seconds and comes back; midnight comes, too.

Nothing that waits may wait for the time that the clock showed, nothing may be decided by its ages,
and each day is closed once it is over, not before.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import trio

from acquirer.payments.kernel.calendar import time_zone
from acquirer.simulation.troubles.base import Trouble
from acquirer.switch.steady_clock import STANDS_MS
from acquirer.switch.workers.day_close import EVERY_S, STEADY_MS

if TYPE_CHECKING:
    from acquirer.simulation.world import World

KIND = "clock_far"
JUMPS = ("400 d", "-400 d", "13 h", "-13 h", "4 d", "31 d")
UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1)}
LOOKS = 4
MIDNIGHT_MIN_S, MIDNIGHT_MAX_S = 5.0, 60.0


class FarClock(Trouble):
    """The switch's clock on such a day."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        zone = time_zone(world.settings.business_day.zone)
        midnight = datetime(2026, 11, 22, tzinfo=zone)
        self._over = (midnight - timedelta(days=1)).date().isoformat()
        self._midnight_s = world.faults.between(KIND, MIDNIGHT_MIN_S, MIDNIGHT_MAX_S)
        world.morning = midnight.astimezone(UTC) - timedelta(seconds=int(self._midnight_s))

    async def run(self) -> None:
        """Jump, and come back after some seconds."""
        faults, world = self.world.faults, self.world
        while True:
            await trio.sleep(faults.between(KIND, 1.0, 10.0))
            number, _, unit = faults.choice(KIND, JUMPS).partition(" ")
            world.far_ms = int(UNITS[unit] / timedelta(milliseconds=1)) * int(number)
            world.trace.note("clock", f"is {number} {unit} ahead")
            faults.note(KIND)
            if faults.choice(KIND, ("runs on", "runs on", "restarts")) == "restarts":
                world.any_switch().restart()
            await trio.sleep(faults.between(KIND, 0.5, 20.0))
            world.far_ms = 0
            world.trace.note("clock", "is right again")

    async def mend(self) -> None:
        """The day comes to its end.

        A clock that has jumped must stand for a while, and be steady for longer, to end a date.
        """
        await trio.sleep_until(self._midnight_s)
        for passes_s in (0.0, STANDS_MS / 1000, STEADY_MS / 1000):
            self.world.agenda.skip(passes_s)
            for _ in range(LOOKS):
                await trio.sleep(EVERY_S)
                if self._over in self._closed():
                    return

    def findings(self) -> Iterable[str]:
        """Days that were closed early, or not at all."""
        closed = self._closed()
        for date in sorted(closed - {self._over}):
            yield f"days: {date} was closed, and is not over"
        if self._over not in closed:
            yield f"days: {self._over} is over, and was not closed"

    def _closed(self) -> set[str]:
        rows = self.world.auditor.rows("SELECT business_date FROM chain_anchors")
        return {str(date) for (date,) in rows}
