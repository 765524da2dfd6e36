"""The business date's close, and what the books keep of the clock for the next start.

At a date's close the chains of all writers are anchored together; the anchor's hash goes to the
log, so that a copy of it stands outside the database.
Source: ARCHITECTURE.md.
"""

from __future__ import annotations

import structlog

from acquirer.payments.kernel.looking import look_for_ever
from acquirer.switch.context import Context

log = structlog.get_logger("acquirer.switch")

EVERY_S = 10.0
# Only a clock that has been steady for so long ends a date, or opens an earlier one again.
STEADY_MS = 3_600_000


class DayClose:
    """Closes each business date once it is over.

    Args:
        open_date: what the books say is open, or empty.
    """

    def __init__(self, context: Context, open_date: str) -> None:
        self._context = context
        self._open_date = open_date or self._date_of(context.clock.now_ms())
        self._steps = 0

    async def run(self) -> None:
        """Look every few seconds, for ever."""
        await look_for_ever(EVERY_S, self.look, log)

    async def look(self) -> None:
        """Close the open date if it is over; note the clock.

        Raises:
            BookError: the books cannot be written.
        """
        clock, book = self._context.clock, self._context.book
        now_ms = clock.now_ms()
        date = self._date_of(now_ms)
        if date != self._open_date and clock.steady_ms() >= STEADY_MS:
            if date > self._open_date:
                anchor = await book.anchor_chains(self._open_date, now_ms)
                log.info("day_closed", business_date=self._open_date, anchor=anchor.hex())
            self._open_date = date
        if clock.steps != self._steps:
            self._steps = clock.steps
            log.warning("clock_stepped", held_ms=clock.held_ms)
        await book.note_clock(clock.past(self._open_date))

    def _date_of(self, now_ms: int) -> str:
        return self._context.ports.calendar.stamp(now_ms).business_date
