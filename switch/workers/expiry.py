"""Pre-authorisations that have run out: each is ended, and what it holds is released.

Every process looks; a compare-and-set on the entry lets one of them end it, or a completion or a
void that is faster. How old one is, the steady clock says: a jump of the clock ends nothing.
Source: ARCHITECTURE.md, "Crashes"; docs/interfaces/postings.md, "Pre-authorisation".
"""

from __future__ import annotations

import structlog
import trio

from acquirer.ledger.errors import BookError
from acquirer.ledger.journal.entries import Entry
from acquirer.payments.cards.preauth import expire
from acquirer.switch.context import Context

log = structlog.get_logger("acquirer.switch")

EVERY_S = 5.0
GROUP = 200


async def keep_expiring(context: Context) -> None:
    """Look every few seconds, for ever."""
    while True:
        await trio.sleep(EVERY_S)
        try:
            await expire_due(context)
        except BookError as error:
            log.warning("books_refuse", reason=str(error))


async def expire_due(context: Context) -> int:
    """End all that have run out by now; how many those were.

    Raises:
        BookError: the books could not be read or written; the rest is found next time.
    """
    count, after = 0, 0
    while True:
        now_ms = context.clock.now_ms()
        found = await context.book.preauths_due(now_ms, after, GROUP)
        for one in found:
            after = one.id
            if isinstance(one, Entry) and await expire(context.ports, one):
                count += 1
                log.info("preauth_expired", rrn=one.rrn, amount_minor=one.amount_minor)
        if len(found) < GROUP:
            return count
