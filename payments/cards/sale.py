"""Sale: a card pays a merchant. MTI 0200, DE3 000000, type 22.

Check, route, protect the PIN, record (commit 1), forward, post (commit 2), answer.
Source: docs/interfaces/terminal.md, part 4; docs/interfaces/postings.md, "Card sale".
"""

from __future__ import annotations

from acquirer.ledger.accounts.postings import card_sale
from acquirer.ledger.accounts.transfer_steps import Post
from acquirer.ledger.journal.entries import (
    InsertEntry,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.kernel.commits import card_request, forward, settle
from acquirer.payments.kernel.ports import Context
from acquirer.payments.kernel.ready_card import ReadyCard, ready_card
from acquirer.payments.kernel.records import new_entry, refuse
from acquirer.switch.terminals.request import Outcome, Repeat, Request


async def sale(context: Context, request: Request) -> Outcome:
    """Authorise a sale and post it.

    Raises:
        RemoteFormatError: no card in the message.
        HsmUnavailable, BookBusy, BookUnavailable: nothing has left for a bank.
    """
    if request.amount_minor == 0:
        return await refuse(context, request, Kind.SALE, "13", pan=request.card()[0])
    card = await ready_card(context, request, Kind.SALE)
    if not isinstance(card, ReadyCard):
        return card

    entry = await new_entry(context, request, Kind.SALE, State.SENT, pan=card.pan, bank=card.bank)
    if await context.book.commit(InsertEntry(entry)):
        return Repeat()

    outcome = await forward(context, request, entry, card_request(context, request, entry, card))

    postings = card_sale(
        entry.amount_minor, request.terminal.fee_rate, bank=card.bank, merchant_id=entry.merchant_id
    )
    post = Post(entry.id, entry.currency_code, entry.business_date, postings)
    return await settle(context, entry, outcome, approved=(post,))
