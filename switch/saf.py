"""Store and forward: what a bank is owed is sent until it answers, across restarts.

One worker a bank. An item was stored with the commit that made it due; it leaves the queue in the
commit that also ends the original's undoing. From the second attempt on it goes out as a repeat.
Source: architecture, "Nothing is sent before its undo is stored"; bank interface, "Messages".
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from acquirer.ledger.entries import Entry, FinishSaf, SafItem, State, Step, UpdateEntry
from acquirer.ledger.errors import BookError
from acquirer.routing.bank_messages import BankRequest
from acquirer.routing.outcomes import BankOutcome, NotSent, Replied
from acquirer.routing.retry import RetrySchedule
from acquirer.switch.context import Context
from acquirer.switch.journal import unclaim_step
from acquirer.switch.transactions.steps import original_data

log = structlog.get_logger("acquirer.saf")

WINDOW = 8
LEASE_MS = 60_000
IDLE_S = 1.0
SCHEDULE = RetrySchedule(first_s=1.0, cap_s=60.0)
# The bank has not dealt with the message: it must come again.
UNDECIDED_CODES = frozenset({"30", "68", "90", "91", "96", "98", "A0"})


class SafWorker:
    """Sends one bank's queue."""

    def __init__(self, context: Context, bank: str, random: Callable[[], float]) -> None:
        self._context = context
        self._bank = bank
        self._random = random
        self._wake = trio.Event()

    def notify(self) -> None:
        """Something was queued: look at once."""
        self._wake.set()

    async def run(self) -> None:
        """Send what is due, for ever. Errors of the books are waited out."""
        while True:
            self._wake = trio.Event()
            sent = 0
            if self._context.banks.is_up(self._bank):
                try:
                    sent = await self._send_due()
                except BookError as error:
                    log.warning("books_refuse", bank=self._bank, reason=str(error))
            if not sent:
                with trio.move_on_after(IDLE_S):
                    await self._wake.wait()

    async def _send_due(self) -> int:
        now_ms = self._context.wall_ms()
        items = await self._context.book.claim_saf(self._bank, now_ms, now_ms + LEASE_MS, WINDOW)
        async with trio.open_nursery() as nursery:
            for item in items:
                nursery.start_soon(self._send, item)
        return len(items)

    async def _send(self, item: SafItem) -> None:
        original = await self._context.book.entry(item.original_id)
        if original is None or original.card is None:
            log.error("saf_without_original", bank=self._bank, item=item.id)
            return
        settings = self._context.bank_settings[self._bank]
        merchant = self._context.merchants.get(original.merchant_id)
        request = BankRequest(
            kind="reversal",
            rrn=original.rrn,
            stan=item.stan,
            transmission_at=item.transmission_at,
            local_time=original.reply.get(12, ""),
            local_date=original.reply.get(13, ""),
            acquirer_id=settings.acquirer_id,
            terminal_id=original.terminal_id,
            merchant_id=original.merchant_id,
            merchant_name=merchant.name if merchant else "",
            mcc=merchant.mcc if merchant else "",
            pan=self._context.vault.open(original.card),
            processing_code=original.processing_code,
            amount_minor=original.amount_minor,
            currency_code=original.currency_code,
            approval_code=original.approval_code,
            original=original_data(original, settings.acquirer_id),
            reason=item.reason,
            repeat=item.attempts > 0,
        )
        deadline = self._context.monotonic() + settings.timeout_s
        outcome = await self._context.banks.request(self._bank, request, deadline)
        try:
            await self._note(item, original, outcome)
        except BookError as error:
            log.warning("books_refuse", bank=self._bank, item=item.id, reason=str(error))

    async def _note(self, item: SafItem, original: Entry, outcome: BankOutcome) -> None:
        now_ms = self._context.wall_ms()
        code = outcome.message.get(39) if isinstance(outcome, Replied) else ""
        if code and code not in UNDECIDED_CODES:
            finish = FinishSaf(item.id, code, now_ms)
            undone = UpdateEntry(
                item.original_id, (State.TIMED_OUT, State.REVERSING), state=State.REVERSED
            )
            unclaim = unclaim_step(original)
            steps: list[Step] = [finish, undone, *((unclaim,) if unclaim else ())]
            # What is not ours to change any more drops out: first the claim, then the entry.
            while failed := await self._context.book.commit(*steps):
                steps = steps[: failed.step]
            log.info(
                "reversal_answered",
                bank=self._bank,
                original=item.original_id,
                response_code=code,
                attempts=item.attempts + 1,
                late=len(steps) == 1,
            )
            return
        attempts = item.attempts + (0 if isinstance(outcome, NotSent) else 1)
        pause_s = SCHEDULE.pause_s(max(attempts, 1), self._random())
        await self._context.book.retry_saf(item.id, attempts, now_ms + round(pause_s * 1000))
