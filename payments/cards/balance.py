"""Balance inquiry: MTI 0200, DE3 310000, type 01. Nothing is posted and nothing is reversed.

Source: docs/interfaces/terminal.md, part 4; docs/interfaces/bank-link.md, "balance inquiry".
"""

from __future__ import annotations

from acquirer.ledger.journal.entries import InsertEntry, State
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.kernel.commits import card_request, forward, settle
from acquirer.payments.kernel.ports import Context
from acquirer.payments.kernel.ready_card import ReadyCard, ready_card
from acquirer.payments.kernel.records import new_entry
from acquirer.switch.terminals.request import Outcome, Repeat, Request


async def balance(context: Context, request: Request) -> Outcome:
    """Ask the card's bank for its balances; DE54 of the reply brings them.

    Raises:
        RemoteFormatError: no card in the message.
        HsmUnavailable, BookBusy, BookUnavailable: nothing has left for a bank.
    """
    card = await ready_card(context, request, Kind.BALANCE)
    if not isinstance(card, ReadyCard):
        return card

    entry = await new_entry(
        context, request, Kind.BALANCE, State.SENT, pan=card.pan, bank=card.bank
    )
    if await context.book.commit(InsertEntry(entry)):
        return Repeat()

    outcome = await forward(context, request, entry, card_request(context, request, entry, card))
    return await settle(context, entry, outcome)
