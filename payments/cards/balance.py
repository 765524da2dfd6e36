"""Balance inquiry. Nothing is posted and nothing is reversed.

Source: docs/interfaces/terminal.md, part 4; docs/interfaces/bank-link.md, "balance inquiry".
"""

from __future__ import annotations

from acquirer.ledger.journal.entries import (
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    InsertEntry,
)
from acquirer.payments.kernel.commands import Command, Outcome, PresentedCard, Repeat
from acquirer.payments.kernel.commits import card_request, forward, settle
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.ready_card import ReadyCard, ready_card
from acquirer.payments.kernel.records import new_entry


class BalanceRequested(Command, frozen=True):
    """A holder wants to know what is on his card."""

    card: PresentedCard


async def balance(ports: Ports, command: BalanceRequested) -> Outcome:
    """Ask the card's bank for its balances; the reply brings the first.

    Raises:
        HsmUnavailable, BookBusy, BookUnavailable: nothing has left for a bank.
    """
    origin = command.origin
    card = await ready_card(ports, origin, command.card, Kind.BALANCE)
    if not isinstance(card, ReadyCard):
        return card

    entry = await new_entry(
        ports, origin, Kind.BALANCE, State.SENT, pan=command.card.pan, bank=card.bank
    )
    if await ports.book.commit(InsertEntry(entry)):
        return Repeat()

    outcome = await forward(ports, origin, entry, card_request(ports, origin, entry, card))
    return await settle(ports, origin, entry, outcome)
