"""The business date's close: the chains of all writers are anchored together.

The anchor's hash goes to the log, so that a copy of it stands outside the database.
Source: architecture, "a hash chain per writer instance, the chains anchored together".
"""

from __future__ import annotations

import structlog
import trio

from acquirer.ledger.errors import BookError
from acquirer.switch.context import Context

log = structlog.get_logger("acquirer.switch")

EVERY_S = 30.0


async def keep_closing_days(context: Context) -> None:
    """Anchor each business date once it is over, for ever; a clock set back closes nothing."""
    open_date = context.calendar.stamp(context.wall_ms()).business_date
    while True:
        await trio.sleep(EVERY_S)
        now_ms = context.wall_ms()
        date = context.calendar.stamp(now_ms).business_date
        if date <= open_date:
            continue
        try:
            anchor = await context.book.anchor_chains(open_date, now_ms)
        except BookError as error:
            log.warning("books_refuse", reason=str(error))
            continue
        log.info("day_closed", business_date=open_date, anchor=anchor.hex())
        open_date = date
