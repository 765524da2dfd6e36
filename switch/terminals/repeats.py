"""What a STAN names is handled once, and a copy of it gets the first answer again.

Copies in flight side by side wait here for the first; what other processes have in flight, or had,
stands in the books. Source: docs/interfaces/terminal.md, part 4, "STAN".
"""

from __future__ import annotations

import trio

from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.errors import BookUncertain
from acquirer.ledger.journal.entries import (
    Entry,
    Role,
    State,
)
from acquirer.payments.kernel.commands import APPROVED, Repeat, answer_of
from acquirer.switch.context import Context
from acquirer.switch.terminals.request import KeysChanged, Request, Silence, Told
from acquirer.switch.terminals.table import Transaction

POLL_FIRST_S = 0.05
POLL_MAX_S = 1.0
REVERSAL = "0400"
# What comes again later is a message that somebody has kept, or seems so to a wrong clock.
REPEATS_MS = 7 * 86_400_000


class _InFlight:
    """A request that is being handled, and who waits for its end."""

    __slots__ = ("_done", "fingerprint")

    def __init__(self, fingerprint: bytes) -> None:
        self.fingerprint = fingerprint
        self._done: trio.Event | None = None

    async def wait(self) -> None:
        """Wait until it has ended."""
        if self._done is None:
            self._done = trio.Event()
        await self._done.wait()

    def ended(self) -> None:
        """Wake who waits."""
        if self._done is not None:
            self._done.set()


class Repeats:
    """Remembers which requests are in flight; the rest is in the books."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._in_flight: dict[tuple[str, str, str, Role], _InFlight] = {}

    async def handle(self, transaction: Transaction, request: Request) -> Told:
        """Handle a request, or answer it as the first of its STAN was answered.

        Raises:
            HsmRefused, HsmUnavailable, BookBusy, BookUnavailable: its handler's.
            BookUncertain: likewise; or the first has no outcome yet.
            Silence: the first was too long ago.
            KeysChanged: it is not stored under keys that are not the terminal's any more.
        """
        origin = request.origin
        key = (origin.terminal_id, origin.batch, origin.stan, origin.role)
        while (first := self._in_flight.get(key)) is not None:
            if first.fingerprint == request.origin.fingerprint:
                await first.wait()
            elif await self._find(request) is not None:
                return Told(ResponseCode.DUPLICATE)
            else:
                with trio.move_on_after(POLL_FIRST_S):
                    await first.wait()
        mine = self._in_flight[key] = _InFlight(request.origin.fingerprint)
        try:
            outcome: Told | Repeat = Repeat()
            if not (transaction.looks_back and await self._find(request)):
                outcome = await transaction.handler(self._context, request)
            if isinstance(outcome, Repeat):
                outcome = await self.answer_again(request)
            return outcome
        finally:
            del self._in_flight[key]
            mine.ended()

    async def _is_undone(self, request: Request, entry: Entry) -> bool:
        """Whether an answer that approves may not be given again.

        A reversal that found nothing left to undo was answered 00 too.
        """
        if entry.state in (State.REVERSING, State.REVERSED):
            return True
        if entry.response_code != APPROVED or entry.role is not Role.ORIGINAL:
            return False
        reversal = await self._find(request, Role.REVERSAL)
        return reversal is not None and reversal.response_code == APPROVED

    async def _find(self, request: Request, role: Role | None = None) -> Entry | None:
        origin = request.origin
        return await self._context.book.find_entry(
            origin.terminal_id, origin.batch, origin.stan, role or origin.role
        )

    async def is_stored(self, request: Request) -> bool:
        """Whether the answer to this very request is stored, or being made."""
        is_reversal = request.message.mti == REVERSAL
        entry = await self._find(request, Role.REVERSAL if is_reversal else None)
        return entry is not None and entry.fingerprint == request.origin.fingerprint

    async def check_taken(self, request: Request) -> None:
        """See that a request was not stored because its STAN is taken.

        Raises:
            KeysChanged: it is not taken.
            BookBusy, BookUnavailable: it cannot be asked for.
        """
        if await self._find(request) is None:
            raise KeysChanged

    async def answer_again(self, request: Request) -> Told:
        """The first answer of a STAN that is taken, or 94.

        An entry that another process has in flight is waited for while the terminal waits. One of
        long ago is not shown again, and since a clock may be wrong, or two processes' differ,
        nothing else is said of it: a terminal that waits for its answer reverses.

        Raises:
            BookUncertain: it had no outcome until then.
            Silence: it was too long ago.
            KeysChanged: there is none.
            BookBusy, BookUnavailable: it cannot be asked for.
        """
        give_up_at = request.origin.started_at + self._context.ports.answer_within_s
        pause_s = POLL_FIRST_S
        while True:
            entry = await self._find(request)
            if entry is None:
                raise KeysChanged
            if entry.fingerprint != request.origin.fingerprint:
                return Told(ResponseCode.DUPLICATE)
            if entry.state not in (State.RECEIVED, State.SENT):
                at_ms = entry.created_at_ms
                age_ms = max(request.origin.now_ms - at_ms, self._context.clock.age_ms(at_ms))
                if age_ms > REPEATS_MS and not request.is_about_another:
                    raise Silence
                if await self._is_undone(request, entry):
                    return Told(ResponseCode.DUPLICATE)
                return Told.of(answer_of(entry))
            if self._context.ports.monotonic() + pause_s > give_up_at:
                raise BookUncertain("the first request of this STAN has no outcome yet")
            await trio.sleep(pause_s)
            pause_s = min(pause_s * 2, POLL_MAX_S)
