"""Store and forward: what a bank is owed is sent until it answers, across restarts.

One worker a bank. An item was stored with the commit that made it due; it leaves the queue in the
commit that also ends the original's undoing. Each attempt is stored before it leaves, so that
from the second on it goes out as a repeat, whichever process sends it; each takes another link of
the bank. What stays unanswered too long becomes a dead letter, which an operator retries or
writes off (``saf_operations.py``).
Source: ARCHITECTURE.md; docs/interfaces/bank-link.md, "Messages".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog
import trio

from acquirer.codecs.bank_items import build_items
from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.errors import BookError
from acquirer.ledger.journal.entries import (
    Entry,
    SafItem,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.replies import twelve_digits
from acquirer.ledger.journal.steps import (
    FinishSaf,
    Step,
    UpdateEntry,
)
from acquirer.payments.kernel.bank_codes import TAKEN, TO_BE_SENT_AGAIN
from acquirer.payments.kernel.commits import original_data
from acquirer.payments.kernel.errors import reason_of
from acquirer.payments.kernel.undo import unclaim_step
from acquirer.routing.banks.messages import BankRequest
from acquirer.routing.outcomes import BankOutcome, NotSent, Replied
from acquirer.routing.retry import RetrySchedule
from acquirer.switch.context import Context
from acquirer.switch.settings import SafSettings

log = structlog.get_logger("acquirer.saf")

LEASE_MS = 60_000
IDLE_S = 1.0
# DE25 of what is told; ``00`` for what is not here.
CONDITION_CODES = {BankMessage.COMPLETION: "06"}


@dataclass(slots=True)
class SafCounters:
    """What happened to one bank's items since the program started.

    ``expired`` counts those that were too old or tried too often, ``refused`` those that the bank
    refused for good, ``unusable`` those that no message can be made of; all are dead letters then.
    """

    sent: int = 0
    answered: int = 0
    unanswered: int = 0
    expired: int = 0
    refused: int = 0
    unusable: int = 0


class SafWorker:
    """Sends one bank's queue.

    Attributes:
        bank: its name.
        counters: for metrics.
    """

    def __init__(
        self,
        context: Context,
        bank: str,
        random: Callable[[], float],
        settings: SafSettings,
    ) -> None:
        self.bank = bank
        self.counters = SafCounters()
        self._context = context
        self._random = random
        self._settings = settings
        self._schedule = RetrySchedule(settings.first_s, settings.cap_s)
        self._wake = trio.Event()

    def notify(self) -> None:
        """Something was queued: look at once."""
        self._wake.set()

    async def run(self) -> None:
        """Send what is due, for ever. Errors of the books are waited out."""
        while True:
            self._wake = trio.Event()
            sent = 0
            if self._context.banks.is_up(self.bank):
                try:
                    sent = await self.send_due()
                except BookError as error:
                    log.warning("books_refuse", bank=self.bank, reason=str(error))
            if not sent:
                with trio.move_on_after(IDLE_S):
                    await self._wake.wait()

    async def send_due(self) -> int:
        """Send what is due now, once; how many items that were.

        Raises:
            BookError: the books could not be read.
        """
        now_ms = self._context.clock.now_ms()
        items = await self._context.book.claim_saf(
            self.bank,
            now_ms,
            now_ms + LEASE_MS,
            self._settings.at_once,
            window=self._settings.window,
        )
        async with trio.open_nursery() as nursery:
            for item in items:
                nursery.start_soon(self._attempt, item)
        return len(items)

    async def _attempt(self, item: SafItem) -> None:
        try:
            await self._send(item)
        except BookError as error:
            log.warning("books_refuse", bank=self.bank, item=item.id, reason=str(error))

    async def _send(self, item: SafItem) -> None:
        made = await self._made(item)
        if made is None:
            return
        original, request = made
        if not await self._context.book.stamp_saf(
            item.id,
            attempts=item.attempts + 1,
            stan=item.stan,
            transmission_at=item.transmission_at,
        ):
            return
        timeout_s = self._context.ports.bank_settings[self.bank].timeout_s
        outcome = await self._context.banks.request(
            self.bank,
            request,
            self._context.ports.monotonic() + timeout_s,
            attempt=item.attempts,
        )
        code = outcome.response_code if isinstance(outcome, Replied) else ""
        if code and code not in TO_BE_SENT_AGAIN:
            self.counters.sent += 1
            self.counters.answered += 1
            await self._answered(item, original, code)
        elif isinstance(outcome, NotSent) and outcome.reason == "format":
            self.counters.unusable += 1
            await self._bury(item, "its values do not fit the bank's message format")
        else:
            await self._unanswered(item, outcome)

    async def _made(self, item: SafItem) -> tuple[Entry, BankRequest] | None:
        """The entry that an item is about, and the message; None where none can be made of it.

        An item that cannot be sent today or any day is a dead letter, and the others go on.
        """
        book = self._context.book
        try:
            original = await book.entry(item.original_id)
            refunded = None
            is_told = item.kind is not BankMessage.REVERSAL
            if is_told and original is not None and original.original_id:
                refunded = await book.entry(original.original_id)
            # A payment by a code has no card, and its bank knows it by its numbers.
            if original is not None and (original.card or item.kind is not BankMessage.ADVICE):
                return original, saf_request(self._context, item, original, refunded)
            reason = "its entry, or the card of it, is not in the journal"
        except Exception as error:
            reason = reason_of(error)
        self.counters.unusable += 1
        await self._bury(item, reason)
        return None

    async def _bury(self, item: SafItem, reason: str) -> None:
        log.error("saf_dead_letter", bank=self.bank, item=item.id, reason=reason)
        await self._context.book.dead_saf(item.id, self._context.clock.now_ms(), reason)

    async def _answered(self, item: SafItem, original: Entry, code: str) -> None:
        if code not in TAKEN[item.kind]:
            # What the bank has done is not known: the entry stays as it is, and so does a claim
            # on a payment, which given back once more would reach the card twice.
            self.counters.refused += 1
            log.error(f"{item.kind}_refused", bank=self.bank, item=item.id, response_code=code)
            await self._bury(item, f"the bank refused it: response code {ascii(code)[1:-1]}")
            return
        steps: list[Step] = [FinishSaf(item.id, code, self._context.clock.now_ms())]
        if item.kind is BankMessage.REVERSAL:
            steps += undone_steps(original)
        # What is not ours to change any more drops out: first the claim, then the entry.
        while failed := await self._context.book.commit(*steps):
            del steps[steps.index(failed.step) :]
        log.info(
            f"{item.kind}_answered",
            bank=self.bank,
            original=item.original_id,
            response_code=code,
            attempts=item.attempts + 1,
            late=len(steps) == 1,
        )

    async def _unanswered(self, item: SafItem, outcome: BankOutcome) -> None:
        now_ms = self._context.clock.now_ms()
        attempts = item.attempts
        if not isinstance(outcome, NotSent):
            attempts += 1
            self.counters.sent += 1
            self.counters.unanswered += 1
        settings = self._settings
        too_old = self._context.clock.age_ms(item.created_at_ms) > settings.age_max_s * 1000
        too_old = too_old and attempts >= settings.age_attempts_min
        if too_old or attempts >= settings.attempts_max:
            self.counters.expired += 1
            await self._bury(item, f"tried {attempts} times, at last: {_told(outcome)}")
            return
        pause_s = self._schedule.pause_s(max(attempts, 1), self._random())
        await self._context.book.retry_saf(item.id, attempts, now_ms + round(pause_s * 1000))


def _told(outcome: BankOutcome) -> str:
    """What became of an attempt, in a few words for operators."""
    if isinstance(outcome, Replied):
        return f"response code {ascii(outcome.response_code)[1:-1] or 'absent'}"
    return outcome.reason


def undone_steps(original: Entry) -> list[Step]:
    """The end of an original's undoing, and of the claim that it may hold on another."""
    undone = UpdateEntry(original.id, (State.TIMED_OUT, State.REVERSING), state=State.REVERSED)
    unclaim = unclaim_step(original)
    return [undone, *((unclaim,) if unclaim else ())]


def saf_request(
    context: Context, item: SafItem, original: Entry, refunded: Entry | None = None
) -> BankRequest:
    """What the bank is sent for an item: a reversal or an advice of its original, or a refund.

    Args:
        original: the entry that the item is about; of a refund or script's result, its own.
        refunded: the payment that a refund gives back, or that brought the script; of a
            completion, the pre-authorisation; of a tip, the sale.
    """
    sale = refunded if original.kind is Kind.TIP else None
    about = original if item.kind is BankMessage.REVERSAL else refunded
    settings = context.ports.bank_settings[item.bank]
    merchant = context.ports.business().merchants.get(original.merchant_id)
    return BankRequest(
        kind=item.kind,
        rrn=original.rrn,
        stan=item.stan,
        transmission_at=item.transmission_at,
        local_time=original.reply.local_time,
        local_date=original.reply.local_date,
        acquirer_id=settings.acquirer_id,
        terminal_id=original.terminal_id,
        merchant_id=original.merchant_id,
        merchant_name=merchant.name if merchant else "",
        mcc=merchant.mcc if merchant else "",
        pan=context.ports.vault.open(original.card) if original.card else None,
        processing_code=original.processing_code,
        condition_code=CONDITION_CODES.get(item.kind, "00"),
        amount_minor=original.amount_minor + (sale.amount_minor if sale else 0),
        additional=build_items({"TP": twelve_digits(original.amount_minor)}) if sale else "",
        currency_code=original.currency_code,
        approval_code=(refunded or original).approval_code,
        original=original_data(about, settings.acquirer_id) if about else None,
        reason=item.reason,
        repeat=item.attempts > 0,
        icc=context.ports.vault.open_icc(item.icc, original.rrn) if item.icc else None,
    )
