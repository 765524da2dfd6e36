"""Replies of banks that nothing was waiting for any more: counted, logged, matched to the journal.

An approval that comes after its request timed out changes no state: the reversal is on its way.
It is written beside the entry, where an operator sees why the bank speaks of a payment that
counts for nothing here; its approval code goes out with the reversal's next attempt.
Source: ARCHITECTURE.md.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from acquirer.codecs.message import Message
from acquirer.codecs.response_codes import is_code
from acquirer.ledger.book import Book
from acquirer.ledger.errors import BookError
from acquirer.ledger.journal.entries import (
    State,
)
from acquirer.ledger.journal.steps import (
    UpdateEntry,
)
from acquirer.payments.kernel.bank_reply import is_approval_code

log = structlog.get_logger("acquirer.switch")

QUEUED_MAX = 256
# An approved entry has had its answer: what comes again says nothing new.
LATE_FOR = (State.SENT, State.TIMED_OUT, State.REVERSING, State.REVERSED)
APPROVED = "00"


class LateReplies:
    """Takes what links hand on at once, and writes it to the journal in its own time.

    Args:
        count: called for each reply.
    """

    def __init__(self, count: Callable[[], None]) -> None:
        self._count = count
        self._send, self._receive = trio.open_memory_channel[tuple[str, Message]](QUEUED_MAX)

    def note(self, bank: str, message: Message) -> None:
        """Take a reply; the journal misses it where too many come at once, the log does not."""
        self._count()
        log.warning(
            "late_reply",
            bank=bank,
            mti=message.mti,
            stan=message.get(11),
            rrn=message.get(37),
            response_code=message.get(39),
        )
        try:
            self._send.send_nowait((bank, message))
        except trio.WouldBlock:
            log.warning("late_reply_not_recorded", bank=bank, rrn=message.get(37))

    async def run(self, book: Book) -> None:
        """Write to the journal what was taken, for ever."""
        async for bank, message in self._receive:
            try:
                await record_late(book, bank, message)
            except BookError as error:
                log.warning("books_refuse", bank=bank, reason=str(error))


async def record_late(book: Book, bank: str, message: Message) -> bool:
    """Write a late reply beside the entry that it answers; false where there is none, or no code.

    Raises:
        BookError: the books could not be read or written.
    """
    if message.mti[1] not in "12" or message.mti[2] not in "13" or not message.get(39):
        return False
    entry = await book.entry_by_rrn(message.get(37))
    if entry is None or (entry.bank, entry.bank_stan) != (bank, message.get(11)):
        return False
    code, approval_code = message.get(39), message.get(38)
    if not is_code(code):
        return False
    step = UpdateEntry(
        entry.id,
        LATE_FOR,
        late_response_code=code,
        approval_code=approval_code
        if code == APPROVED and is_approval_code(approval_code)
        else None,
    )
    return await book.commit(step) is None
