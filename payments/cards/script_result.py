"""IC script result: what an issuer's script has done to a card, told to the bank.

No money moves. It is recorded and owed to the bank in one commit, and answered then; the same
payment's result again is answered alike, and owed once.
Source: docs/interfaces/terminal.md, part 4 ("IC script result").
"""

from __future__ import annotations

import msgspec
import structlog

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.icc import kept
from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.journal.entries import (
    Entry,
    Role,
    SafItem,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    InsertEntry,
    QueueSaf,
)
from acquirer.payments.kernel.commands import Answer, Command, Named, Outcome, answer_of
from acquirer.payments.kernel.errors import CardUnreadable
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.records import new_entry, usual_reply

log = structlog.get_logger("acquirer.switch")

KIND = Kind.SCRIPT_RESULT
NO_ORIGINAL = ResponseCode.NO_ORIGINAL


class ScriptResultTold(Command, frozen=True):
    """A card says what became of its issuer's script.

    Attributes:
        payment: whose answer brought the script, as this terminal has named it.
        rrn: of that payment.
        icc: the card's data objects, BER-TLV, the result among them.
    """

    payment: Named
    rrn: str
    icc: bytes


async def script_result(ports: Ports, command: ScriptResultTold) -> Outcome:
    """Take a script's result; 25 where no payment of a card is named.

    Raises:
        BookBusy, BookUnavailable: it is not taken.
    """
    terminal_id, named = command.origin.terminal_id, command.payment
    payment = await ports.book.find_entry(terminal_id, named.batch, named.stan, Role.ORIGINAL)
    if payment is None or payment.rrn != command.rrn or not payment.bank or payment.card is None:
        stamp = ports.calendar.stamp(command.origin.now_ms)
        log.info("script_result_unknown", terminal_id=terminal_id, stan=named.stan, rrn=command.rrn)
        return Answer(NO_ORIGINAL, usual_reply(stamp, ""))
    earlier = await ports.book.find_entry(terminal_id, named.batch, named.stan, Role.SCRIPT_RESULT)
    if earlier is not None:
        return answer_of(earlier)
    entry = await _entry(ports, command, payment)
    if isinstance(entry, Answer):
        return entry
    item = SafItem(
        id=await ports.numbers.take(),
        bank=entry.bank,
        kind=BankMessage.SCRIPT_RESULT,
        original_id=entry.id,
        reason="00",
        created_at_ms=entry.created_at_ms,
        next_at_ms=entry.created_at_ms,
        stan=entry.bank_stan,
        transmission_at=entry.transmission_at,
        icc=ports.vault.seal_icc(kept(command.icc), entry.rrn),
    )
    if await ports.book.commit(InsertEntry(entry), QueueSaf(item)):
        again = await ports.book.find_entry(
            terminal_id, named.batch, named.stan, Role.SCRIPT_RESULT
        )
        return answer_of(again) if again else Answer(ResponseCode.SWITCH_FAULT)
    ports.saf_queued()
    return answer_of(entry)


async def _entry(ports: Ports, command: ScriptResultTold, payment: Entry) -> Entry | Answer:
    """The row of the result, which the payment's number names."""
    assert payment.card is not None
    try:
        pan = ports.vault.open(payment.card)
    except CardUnreadable as error:
        log.error("card_unreadable", rrn=payment.rrn, reason=str(error))
        return Answer(ResponseCode.SECURITY_FAILED)
    origin = msgspec.structs.replace(command.origin, batch=payment.batch, stan=payment.stan)
    return await new_entry(
        ports,
        origin,
        KIND,
        State.APPROVED,
        role=Role.SCRIPT_RESULT,
        pan=pan,
        bank=payment.bank,
        original_id=payment.id,
        amount_minor=0,
        response_code=ResponseCode.APPROVED,
    )
