"""A look every few seconds, for ever: how a worker waits out the books' faults."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from structlog.typing import FilteringBoundLogger

from acquirer.ledger.errors import BookError


async def look_for_ever(
    every_s: float, look: Callable[[], Awaitable[object]], log: FilteringBoundLogger
) -> None:
    """Look again and again; what the books refuse is logged, and tried at the next look.

    Args:
        every_s: the pause before each look, seconds.
    """
    while True:
        await trio.sleep(every_s)
        try:
            await look()
        except BookError as error:
            log.warning("books_refuse", reason=str(error))
