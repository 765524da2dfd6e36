"""Sale: a card pays a merchant.

Check, route, protect the PIN, record (commit 1), forward, post (commit 2), answer.
Source: docs/interfaces/terminal.md, part 4; docs/interfaces/postings.md, "Card sale".
"""

from __future__ import annotations

from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.accounts.postings import card_sale
from acquirer.ledger.accounts.transfer_steps import Post
from acquirer.ledger.journal.entries import (
    Entry,
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
from acquirer.payments.kernel.records import new_entry, refuse


class SaleRequested(Command, frozen=True):
    """Somebody wants to pay the origin's amount."""

    card: PresentedCard


async def sale(ports: Ports, command: SaleRequested) -> Outcome:
    """Authorise a sale and post it.

    Raises:
        HsmUnavailable, BookBusy, BookUnavailable: nothing has left for a bank.
    """
    origin = command.origin
    if origin.named_minor == 0:
        return await refuse(
            ports, origin, Kind.SALE, ResponseCode.INVALID_AMOUNT, pan=command.card.pan
        )
    card = await ready_card(ports, origin, command.card, Kind.SALE)
    if not isinstance(card, ReadyCard):
        return card

    entry = await new_entry(
        ports, origin, Kind.SALE, State.SENT, pan=command.card.pan, bank=card.bank
    )
    if await ports.book.commit(InsertEntry(entry)):
        return Repeat()

    outcome = await forward(ports, origin, entry, card_request(ports, origin, entry, card))

    def posted(paid: Entry) -> tuple[Post, ...]:
        postings = card_sale(
            paid.amount_minor, origin.fee_rate, bank=paid.bank, merchant_id=paid.merchant_id
        )
        return (Post(paid.id, paid.currency_code, paid.business_date, postings),)

    icc = command.card.icc
    return await settle(
        ports, origin, entry, outcome, approved=posted(entry), in_part=posted, icc=icc
    )
