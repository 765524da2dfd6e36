"""Refusals that could not be recorded when they were given, recorded when the books take them.

A terminal that is told 96 or A7 believes it; a copy of its request that comes later, even to a
process that never saw the first, must not be approved. So the STAN is used up behind the answer.
Until that is done ``session.py`` answers copies from memory.
"""

from __future__ import annotations

from collections import deque

import structlog
import trio

from acquirer.ledger.errors import BookError, UnitRefused
from acquirer.ledger.kinds import Kind
from acquirer.switch.context import Context
from acquirer.switch.journal import refuse
from acquirer.switch.request import Request

log = structlog.get_logger("acquirer.switch")

WAITING_MAX = 1_000
RETRY_S = 0.5


class Refusals:
    """The refusals that wait for the books; at most ``WAITING_MAX``, the oldest go first."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._waiting: deque[tuple[Request, Kind, str]] = deque(maxlen=WAITING_MAX)
        self._added = trio.Event()

    def add(self, request: Request, kind: Kind, response_code: str) -> None:
        """This request was answered so, and nothing says it yet."""
        self._waiting.append((request, kind, response_code))
        self._added.set()

    async def run(self) -> None:
        """Record, again and again, until cancelled."""
        while True:
            await self._added.wait()
            await self.record()
            if self._waiting:
                await trio.sleep(RETRY_S)
            else:
                self._added = trio.Event()

    async def record(self) -> None:
        """Record what waits; what the books do not take now is left.

        What they will never take is dropped: a copy of it could not be recorded, nor approved.
        """
        while self._waiting:
            request, kind, response_code = item = self._waiting[0]
            try:
                await refuse(self._context, request, kind, response_code)
            except UnitRefused as error:
                log.error("refusal_not_recorded", kind=kind, reason=str(error))
            except BookError as error:
                log.warning("books_refuse", reason=str(error))
                return
            if self._waiting and self._waiting[0] is item:
                self._waiting.popleft()
