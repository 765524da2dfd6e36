"""Balance inquiry: MTI 0200, DE3 310000, type 01. Nothing is posted and nothing is reversed.

Source: terminal interface, part 4; bank interface, "balance inquiry".
"""

from __future__ import annotations

from acquirer.ledger.entries import InsertEntry, State
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


async def balance(context: Context, request: Request) -> Outcome:
    """Ask the card's bank for its balances; DE54 of the reply brings them.

    Raises:
        RemoteFormatError: no card in the message.
        HsmUnavailable, BookBusy, BookUnavailable: nothing has left for a bank.
    """
    pan, track = request.card()
    if request.pin_format_wrong():
        return await refuse(context, request, "balance", "99", pan=pan)
    bank = route(context, request, "balance", pan)
    if bank is None:
        return await refuse(context, request, "balance", "92", pan=pan)
    zpk = zpk_for(context, request, "balance", bank, pan)
    if zpk is None:
        return await refuse(context, request, "balance", "91", pan=pan)

    try:
        pin_block = await protect_pin(context, request, zpk, pan)
    except HsmRefused as error:
        return await refuse(context, request, "balance", response_code_for(error), pan=pan)

    entry = await new_entry(context, request, "balance", State.SENT, pan=pan, bank=bank)
    if await context.book.commit(InsertEntry(entry)):
        return Repeat()

    outcome = await forward(
        context,
        request,
        entry,
        bank_request(context, request, entry, "balance", pan, track, pin_block),
    )
    return await settle(context, entry, outcome)
