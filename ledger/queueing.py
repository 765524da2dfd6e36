"""The queues of the books: what banks and merchants are owed, and what recovery takes over.

The statements are those of ``owed/``.
"""

from __future__ import annotations

from collections.abc import Sequence

from acquirer.ledger.calls import Calls
from acquirer.ledger.journal.entries import (
    Event,
    SafItem,
)
from acquirer.ledger.owed import advices, leases, notices, orphans, queues
from acquirer.ledger.owed.leases import Lease
from acquirer.ledger.owed.open_work import OpenWork, open_work
from acquirer.ledger.store.drivers import Driver
from acquirer.ledger.store.rows import EntryRow

SAF_WINDOW = 64


class Queues(Calls):
    """Claims on what is owed, and how it went; each is durable when its call returns."""

    def __init__(self, driver: Driver, owner: str) -> None:
        super().__init__(driver, owner)
        self._takes = 0

    async def claim_saf(
        self,
        bank: str,
        now_ms: int,
        lease_until_ms: int,
        limit: int,
        *,
        window: int = SAF_WINDOW,
    ) -> list[SafItem]:
        """Lease the due items of a bank that nobody alive holds, in the order of their ids.

        Args:
            limit: most items to take.
            window: how many of the oldest open items are looked at: what is behind them waits.
        """
        found: list[SafItem] = await self._write(
            queues.claim_saf, self.owner, bank, now_ms, lease_until_ms, limit, window
        )
        return found

    async def dead_letter(self, id: int) -> SafItem | None:
        """A dead letter for a bank."""
        found: SafItem | None = await self._read(queues.dead_saf, id)
        return found

    async def advice_is_owed(self, payment_id: int) -> bool:
        """Whether a payment's bank has not taken its advice yet, or has refused it."""
        return bool(await self._read(advices.advice_is_owed, payment_id))

    async def stamp_saf(self, id: int, *, attempts: int, stan: str, transmission_at: str) -> bool:
        """Store how a claimed item is about to leave; false where it is no longer ours."""
        return await self._changed(
            queues.STAMP_SAF,
            key=id,
            mine=self.owner,
            new_attempts=attempts,
            new_stan=stan,
            new_transmission_at=transmission_at,
        )

    async def retry_saf(self, id: int, attempts: int, next_at_ms: int) -> bool:
        """Put a claimed item back until ``next_at_ms``; false where it is no longer ours."""
        return await self._changed(
            queues.RETRY_SAF,
            key=id,
            mine=self.owner,
            new_attempts=attempts,
            new_next_at_ms=next_at_ms,
        )

    async def dead_saf(self, id: int, at_ms: int, reason: str) -> bool:
        """Give an item up as a dead letter, for operators to see why; false where not open."""
        return await self._changed(queues.KILL_SAF, key=id, new_dead_at_ms=at_ms, new_reason=reason)

    async def saf_pending(self, bank: str | None = None) -> list[SafItem]:
        """Items neither finished nor dead, of one bank or all, oldest first."""
        found: list[SafItem] = await self._read(queues.saf_pending, bank)
        return found

    # --- outbox -------------------------------------------------------------------------------

    async def claim_events(self, now_ms: int, lease_until_ms: int, limit: int) -> list[Event]:
        """Lease due notices: of each order at most the oldest that is not delivered.

        A dead letter holds back what follows it in its order, until it is replayed.
        """
        found: list[Event] = await self._write(
            notices.claim_events, self.owner, now_ms, lease_until_ms, limit
        )
        return found

    async def finish_event(self, id: str, at_ms: int, attempt: str = "") -> bool:
        """The merchant has it; false where that was known already.

        Args:
            attempt: here and below a line of JSON (``EventAttempt``), kept with the notice; empty
                where it was not tried.
        """
        return await self._changed(
            notices.FINISH_EVENT, key=id, new_delivered_at_ms=at_ms, new_attempt=attempt
        )

    async def retry_event(self, id: str, attempts: int, next_at_ms: int, attempt: str = "") -> bool:
        """Put a claimed notice back until ``next_at_ms``; false where it is no longer ours."""
        return await self._changed(
            notices.RETRY_EVENT,
            key=id,
            mine=self.owner,
            new_attempts=attempts,
            new_next_at_ms=next_at_ms,
            new_attempt=attempt,
        )

    async def dead_event(self, id: str, at_ms: int, reason: str, attempt: str = "") -> bool:
        """Give a notice up as a dead letter, for operators to see why; false where delivered."""
        return await self._changed(
            notices.KILL_EVENT, key=id, now_ms=at_ms, new_reason=reason, new_attempt=attempt
        )

    async def replay_event(self, id: str, next_at_ms: int) -> bool:
        """Make a dead letter due again; false where it is none."""
        return await self._changed(notices.REPLAY_EVENT, key=id, new_next_at_ms=next_at_ms)

    async def open_work(self) -> OpenWork:
        """What is not done with, by whom it needs; for the start."""
        found: OpenWork = await self._read(open_work)
        return found

    # --- recovery -----------------------------------------------------------------------------

    async def leases(self) -> list[Lease]:
        """Everybody's claims, as :class:`LeaseWatch` wants them."""
        found: list[Lease] = await self._read(leases.leases)
        return found

    async def let_go(self, lapsed: Sequence[Lease]) -> int:
        """Free claims whose owner is gone; how many were still as they were seen."""
        count: int = await self._write(leases.let_go, lapsed)
        return count

    async def take_orphans(self, lease_until_ms: int, limit: int) -> list[EntryRow]:
        """Take over received and sent entries that nobody alive works on.

        Those are entries of an earlier incarnation of this instance, at once, and those that were
        let go. Each call takes under an
        owner of its own, so that a handler that lost its lease cannot settle any more: settle
        with ``entry.owner`` as the returned entries show it, not with ``book.owner``.

        Returns:
            At most ``limit`` entries, oldest first, with their new owner and lease.
            One that cannot be read is taken too, and does not keep the others from being undone.
        """
        self._takes += 1
        owner = f"{self.owner.rpartition('.')[0]}.{self._takes}"
        found: list[EntryRow] = await self._write(
            orphans.take_orphans, owner, lease_until_ms, limit
        )
        return found

    async def own_unsettled(self, limit: int) -> list[EntryRow]:
        """Received and sent entries of this process, oldest first: what a stop left undone."""
        found: list[EntryRow] = await self._read(orphans.own_unsettled, self.owner, limit)
        return found
