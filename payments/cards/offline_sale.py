"""Offline sale: a sale that was approved by phone, or by the terminal in its bank's place.

It has taken place: it is recorded, posted and owed to its bank in one commit, and answered then;
the bank is told until it takes it.
Source: docs/interfaces/terminal.md, part 4 ("Offline sale");
docs/interfaces/postings.md, "Card sale".
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from acquirer.codecs.icc import kept
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
from acquirer.payments.kernel.commands import Answer, Command, Outcome, PresentedCard, Repeat
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.ready_card import bank_for
from acquirer.payments.kernel.records import new_entry, refuse
from acquirer.payments.kernel.stand_in import advice_step

KIND = Kind.OFFLINE_SALE


class OfflineSaleTold(Command, frozen=True):
    """A card has paid the origin's amount.

    Attributes:
        approval_code: that was given by phone, or that the terminal made; 6 characters.
    """

    card: PresentedCard
    approval_code: str


async def offline_sale(ports: Ports, command: OfflineSaleTold) -> Outcome:
    """Take a sale that has been made.

    Raises:
        BookBusy, BookUnavailable: it is not taken.
    """
    origin = command.origin
    bank = _bank_or_refusal(ports, command)
    if isinstance(bank, ResponseCode):
        return await refuse(ports, origin, KIND, bank, pan=command.card.pan)
    entry = _approved(
        await new_entry(ports, origin, KIND, State.APPROVED, pan=command.card.pan, bank=bank),
        command.approval_code,
    )
    postings = card_sale(
        entry.amount_minor, origin.fee_rate, bank=bank, merchant_id=entry.merchant_id
    )
    post = Post(entry.id, entry.currency_code, entry.business_date, postings)
    icc = ports.vault.seal_icc(kept(command.card.icc), entry.rrn)
    owed = advice_step(entry, await ports.numbers.take(), ports.clock.now_ms(), icc)
    if await ports.book.commit(InsertEntry(entry), post, owed):
        return Repeat()
    ports.saf_queued()
    return Answer(ResponseCode.APPROVED, entry.reply)


def _bank_or_refusal(ports: Ports, command: OfflineSaleTold) -> str | ResponseCode:
    """The bank that is to be told, or the code that refuses the sale."""
    origin, card = command.origin, command.card
    if not origin.merchant.offline_sale:
        return ResponseCode.NOT_PERMITTED_TO_TERMINAL
    # No bank is asked, which else would say in what currency it pays.
    if origin.currency_code not in ("", origin.merchant.currency_code) or not origin.named_minor:
        return ResponseCode.INVALID_AMOUNT
    return bank_for(ports, origin, KIND, card)


def _approved(entry: Entry, approval_code: str) -> Entry:
    return replace(
        entry,
        response_code=ResponseCode.APPROVED,
        approval_code=approval_code,
        reply=msgspec.structs.replace(entry.reply, approval_code=approval_code),
    )
