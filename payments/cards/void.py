"""Sale void: undo a sale of the open batch. MTI 0200, DE3 200000, type 23.

The sale is claimed together with recording the void, so that no reversal or second void can race
it; the claim ends with the outcome.
Source: docs/interfaces/terminal.md, part 4 ("Void, refund, completion");
docs/interfaces/postings.md, "Void, reversal".
"""

from __future__ import annotations

import structlog

from acquirer.codecs.pan import Pan
from acquirer.ledger.accounts.transfer_steps import PostReversed
from acquirer.ledger.journal.entries import (
    Entry,
    InsertEntry,
    Role,
    State,
    UpdateEntry,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.kernel.commits import bank_request, forward, settle
from acquirer.payments.kernel.errors import CardUnreadable
from acquirer.payments.kernel.ports import Context
from acquirer.payments.kernel.records import new_entry, refuse, release_steps
from acquirer.switch.terminals.request import Outcome, Repeat, Request

log = structlog.get_logger("acquirer.switch")


async def void(context: Context, request: Request) -> Outcome:
    """Void a sale at its bank and post it back.

    Raises:
        RemoteFormatError: DE61 or DE37 is missing.
        BookBusy, BookUnavailable: nothing has left for a bank.
    """
    de61 = request.original()
    terminal_id = request.terminal.terminal_id
    sale = await context.book.find_entry(
        terminal_id, de61.original_batch, de61.original_stan, Role.ORIGINAL
    )
    code = _refusal(context, request, sale)
    if sale is None or sale.card is None or code:
        return await refuse(context, request, Kind.VOID, code or "25")
    if not context.banks.is_up(sale.bank):
        return await refuse(context, request, Kind.VOID, "91")

    try:
        pan = context.vault.open(sale.card)
    except CardUnreadable as error:
        log.error("card_unreadable", rrn=sale.rrn, reason=str(error))
        return await refuse(context, request, Kind.VOID, "A7")
    entry = await new_entry(
        context, request, Kind.VOID, State.SENT, pan=pan, bank=sale.bank, original_id=sale.id
    )
    failed = await context.book.commit(InsertEntry(entry), UpdateEntry.claim(sale.id, entry.id))
    if failed:
        if failed.is_taken:
            return Repeat()
        return await refuse(context, request, Kind.VOID, "12")

    outcome = await forward(
        context,
        request,
        entry,
        bank_request(context, request, entry, pan, original=sale),
    )

    voided = UpdateEntry.release(sale.id, entry.id, State.VOIDED)
    return await settle(
        context,
        entry,
        outcome,
        approved=(voided, PostReversed(sale.id, entry.id, entry.business_date)),
        undone=release_steps(entry, None),
    )


def _refusal(context: Context, request: Request, sale: Entry | None) -> str:
    """The code that refuses this void, or the empty string."""
    message = request.message
    if sale is None or sale.kind is not Kind.SALE or message.need(37) != sale.rrn:
        return "25"
    if message.get(2) or message.get(35):
        pan: Pan = request.card()[0]
        if sale.card is None or context.vault.token(pan) != sale.card.pan_token:
            return "14"
    if sale.state is not State.APPROVED or sale.claimed_by is not None:
        return "12"
    if message.get(38) not in ("", sale.approval_code):
        return "25"
    if request.amount_minor > sale.amount_minor:
        return "61"
    return "13" if request.amount_minor < sale.amount_minor else ""
