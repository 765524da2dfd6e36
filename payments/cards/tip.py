"""Tip adjustment: what a guest adds to a sale, told by the terminal.

Only the tip is posted; its fee is that of the whole less that of the sale. Its bank is told until
it takes it. A sale has one tip, and is voided and refunded with it.
Source: docs/interfaces/terminal.md, part 4 ("Tip adjustment"); docs/interfaces/postings.md, "Tip".
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from acquirer.codecs.pan import Pan
from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.accounts.postings import tip as tip_postings
from acquirer.ledger.accounts.transfer_steps import Post
from acquirer.ledger.journal.entries import Entry, State
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import InsertEntry, UpdateEntry
from acquirer.ledger.owed.advices import LimitRefunded, LimitTipped
from acquirer.payments.kernel.commands import Answer, Command, Outcome, Repeat
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.ready_card import stored_pan
from acquirer.payments.kernel.records import new_entry, refuse
from acquirer.payments.kernel.references import Reference, find_original
from acquirer.payments.kernel.stand_in import advice_step
from acquirer.payments.kernel.tips import tip_of

KIND = Kind.TIP


class TipTold(Command, frozen=True):
    """A sale has become the origin's amount, tip included.

    Attributes:
        tip_minor: minor units.
        pan: of the card, where it is there; it must be the sale's.
    """

    reference: Reference
    tip_minor: int
    pan: Pan | None = None


async def tip(ports: Ports, command: TipTold) -> Outcome:
    """Take a tip.

    Raises:
        BookBusy, BookUnavailable: it is not taken.
    """
    origin = command.origin
    sale = await find_original(ports, origin, command.reference)
    code = await _refusal(ports, command, sale)
    if sale is None or code:
        return await refuse(ports, origin, KIND, code or ResponseCode.NO_ORIGINAL)
    pan = stored_pan(ports, sale)
    if pan is None:
        return await refuse(ports, origin, KIND, ResponseCode.SECURITY_FAILED)
    entry = await new_entry(
        ports,
        origin,
        KIND,
        State.APPROVED,
        pan=pan,
        bank=sale.bank,
        original_id=sale.id,
        amount_minor=command.tip_minor,
    )
    entry = replace(
        entry,
        response_code=ResponseCode.APPROVED,
        approval_code=sale.approval_code,
        reply=msgspec.structs.replace(entry.reply, approval_code=sale.approval_code),
    )
    postings = tip_postings(
        sale.amount_minor,
        command.tip_minor,
        origin.fee_rate,
        bank=sale.bank,
        merchant_id=sale.merchant_id,
    )
    failed = await ports.book.commit(
        InsertEntry(entry),
        UpdateEntry.unclaimed(sale.id),
        LimitTipped(sale.id, command.tip_minor),
        LimitRefunded(sale.id, 0),
        Post(entry.id, entry.currency_code, entry.business_date, postings),
        advice_step(entry, await ports.numbers.take(), ports.clock.now_ms()),
    )
    if failed:
        if failed.is_taken:
            return Repeat()
        return await refuse(ports, origin, KIND, ResponseCode.INVALID_TRANSACTION)
    ports.saf_queued()
    return Answer(ResponseCode.APPROVED, entry.reply)


async def _refusal(ports: Ports, command: TipTold, sale: Entry | None) -> str:
    """The code that refuses this tip, or the empty string."""
    origin = command.origin
    percent_max = origin.merchant.tip_percent_max
    if not percent_max:
        return ResponseCode.NOT_PERMITTED_TO_TERMINAL
    if sale is None or not command.reference.fits(sale):
        return ResponseCode.NO_ORIGINAL
    if command.pan is not None and (
        sale.card is None or ports.vault.token(command.pan) != sale.card.pan_token
    ):
        return ResponseCode.INVALID_CARD
    is_open = sale.state is State.APPROVED and sale.claimed_by is None
    is_open = is_open and not origin.has_closed(sale)
    if sale.kind is not Kind.SALE or sale.card is None or not is_open:
        return ResponseCode.INVALID_TRANSACTION
    if await tip_of(ports, sale) is not None:
        return ResponseCode.INVALID_TRANSACTION
    if origin.currency_code not in ("", sale.currency_code) or not command.tip_minor:
        return ResponseCode.INVALID_AMOUNT
    if origin.named_minor - command.tip_minor != sale.amount_minor:
        return ResponseCode.AMOUNT_DIFFERS
    is_over = command.tip_minor > sale.amount_minor * percent_max // 100
    return ResponseCode.OVER_AMOUNT_LIMIT if is_over else ""
