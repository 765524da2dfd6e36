"""Sale: a card pays a merchant. MTI 0200, DE3 000000, type 22.

Check, route, protect the PIN, record (commit 1), forward, post (commit 2), answer.
Source: terminal interface, part 4; postings, "Card sale".
"""

from __future__ import annotations

from acquirer.ledger.entries import InsertEntry, Post, State
from acquirer.ledger.postings import card_sale
from acquirer.switch.context import Context
from acquirer.switch.errors import HsmRefused, response_code_for
from acquirer.switch.journal import new_entry, refuse
from acquirer.switch.request import Outcome, Repeat, Request
from acquirer.switch.transactions.steps import (
    bank_request,
    forward,
    protect_pin,
    route,
    settle,
    zpk_for,
)


async def sale(context: Context, request: Request) -> Outcome:
    """Authorise a sale and post it.

    Raises:
        RemoteFormatError: no card in the message.
        HsmUnavailable, BookBusy, BookUnavailable: nothing has left for a bank.
    """
    pan, track = request.card()
    if request.amount_minor == 0:
        return await refuse(context, request, "sale", "13", pan=pan)
    if request.pin_format_wrong():
        return await refuse(context, request, "sale", "99", pan=pan)

    bank = route(context, request, "sale", pan)
    if bank is None:
        return await refuse(context, request, "sale", "92", pan=pan)
    zpk = zpk_for(context, request, "sale", bank, pan)
    if zpk is None:
        return await refuse(context, request, "sale", "91", pan=pan)

    try:
        pin_block = await protect_pin(context, request, zpk, pan)
    except HsmRefused as error:
        return await refuse(context, request, "sale", response_code_for(error), pan=pan)

    entry = await new_entry(context, request, "sale", State.SENT, pan=pan, bank=bank)
    if await context.book.commit(InsertEntry(entry)):
        return Repeat()

    outcome = await forward(
        context,
        request,
        entry,
        bank_request(context, request, entry, "sale", pan, track, pin_block),
    )

    postings = card_sale(
        entry.amount_minor, request.terminal.fee_rate, bank=bank, merchant_id=entry.merchant_id
    )
    post = Post(entry.id, entry.currency_code, entry.business_date, postings)
    return await settle(context, entry, outcome, approved=(post,))
