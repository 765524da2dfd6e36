"""Pre-authorisation and its void: an amount is held, and given up again.

What is held are pending transfers. They end once: by a completion, a void, a reversal, or by
themselves (:func:`expire`), whichever changes the entry's state first.
Source: docs/interfaces/terminal.md, part 4 ("Pre-authorisation");
docs/interfaces/postings.md, "Pre-authorisation".
"""

from __future__ import annotations

from dataclasses import replace

from acquirer.codecs.pan import Pan
from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.accounts.postings import preauth as preauth_postings
from acquirer.ledger.accounts.transfer_steps import (
    PostPending,
    PostPendingResolve,
    Resolution,
)
from acquirer.ledger.journal.entries import Entry, State
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import InsertEntry, Step, UpdateEntry
from acquirer.payments.cards.bank_void import void_at_bank
from acquirer.payments.kernel.commands import Command, Outcome, PresentedCard, Repeat
from acquirer.payments.kernel.commits import card_request, forward, settle
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.ready_card import ReadyCard, ready_card
from acquirer.payments.kernel.records import new_entry, refuse
from acquirer.payments.kernel.references import Reference, find_preauth


class PreauthRequested(Command, frozen=True):
    """The origin's amount is to be held."""

    card: PresentedCard


class PreauthVoidRequested(Command, frozen=True):
    """A pre-authorisation is to be given up.

    Attributes:
        pan: of the card, where it is there; it must be the pre-authorisation's.
        condition_code: 2 digits, or empty.
    """

    reference: Reference
    pan: Pan | None = None
    condition_code: str = ""


async def preauth(ports: Ports, command: PreauthRequested) -> Outcome:
    """Have a bank hold an amount, and hold it in the books.

    Raises:
        HsmUnavailable, BookBusy, BookUnavailable: nothing has left for a bank.
    """
    origin, kind = command.origin, Kind.PREAUTH
    if origin.named_minor == 0:
        code = ResponseCode.INVALID_AMOUNT
        return await refuse(ports, origin, kind, code, pan=command.card.pan)
    card = await ready_card(ports, origin, command.card, kind)
    if not isinstance(card, ReadyCard):
        return card

    entry = await new_entry(ports, origin, kind, State.SENT, pan=command.card.pan, bank=card.bank)
    ends_at_ms = entry.created_at_ms + origin.merchant.preauth_days * ports.day_ms
    entry = replace(entry, lease_until_ms=ends_at_ms)
    if await ports.book.commit(InsertEntry(entry)):
        return Repeat()

    outcome = await forward(ports, origin, entry, card_request(ports, origin, entry, card))

    held = held_step(entry, entry.business_date)
    return await settle(ports, origin, entry, outcome, approved=(held,))


async def preauth_void(ports: Ports, command: PreauthVoidRequested) -> Outcome:
    """Have a bank give up what it holds, and give it up in the books.

    Raises:
        BookBusy, BookUnavailable: nothing has left for a bank.
    """
    origin = command.origin
    if not origin.may_key(command.condition_code, is_keyed=False):
        refused = ResponseCode.NOT_PERMITTED_TO_TERMINAL
        return await refuse(ports, origin, Kind.PREAUTH_VOID, refused)
    found = await find_preauth(ports, origin, command.reference, command.pan)
    code = refusal_of(ports, command.reference, found, command.pan)
    if not code and found is not None and origin.named_minor != found.amount_minor:
        code = ResponseCode.AMOUNT_DIFFERS
    if found is None or code:
        return await refuse(ports, origin, Kind.PREAUTH_VOID, code or ResponseCode.NO_ORIGINAL)
    return await void_at_bank(
        ports,
        origin,
        Kind.PREAUTH_VOID,
        found,
        command.condition_code,
        lambda entry: (given_up_step(found, entry.id, entry.business_date),),
    )


def refusal_of(ports: Ports, reference: Reference, preauth: Entry | None, pan: Pan | None) -> str:
    """The code that refuses what asks for an open pre-authorisation, or the empty string."""
    if preauth is None or preauth.card is None or not reference.fits(preauth):
        return ResponseCode.NO_ORIGINAL
    if pan is not None and ports.vault.token(pan) != preauth.card.pan_token:
        return ResponseCode.INVALID_CARD
    is_open = preauth.state is State.APPROVED and preauth.claimed_by is None
    return "" if is_open and not has_run_out(ports, preauth) else ResponseCode.INVALID_TRANSACTION


def has_run_out(ports: Ports, preauth: Entry) -> bool:
    """Whether an approved pre-authorisation has been lived through."""
    lasts_ms = preauth.lease_until_ms - preauth.created_at_ms
    return ports.clock.age_ms(preauth.created_at_ms) >= lasts_ms


async def expire(ports: Ports, preauth: Entry) -> bool:
    """End an open pre-authorisation that has run out; false where somebody was first.

    One that is being completed or voided at this moment is looked at again later.
    """
    if preauth.claimed_by is not None or not has_run_out(ports, preauth):
        return False
    date = ports.calendar.stamp(ports.clock.now_ms()).business_date
    expired = UpdateEntry.unclaimed(preauth.id, State.EXPIRED)
    released = PostPendingResolve(preauth.id, preauth.id, date, Resolution.EXPIRE)
    return await ports.book.commit(expired, released) is None


def held_step(preauth: Entry, business_date: str) -> PostPending:
    """The pending transfers of an open pre-authorisation."""
    postings = preauth_postings(
        preauth.amount_minor, bank=preauth.bank, merchant_id=preauth.merchant_id
    )
    return PostPending(
        preauth.id, preauth.currency_code, business_date, postings, preauth.lease_until_ms
    )


def given_up_step(preauth: Entry, by: int, business_date: str) -> PostPendingResolve:
    """The end of its pending transfers, by another entry, with nothing posted."""
    return PostPendingResolve(preauth.id, by, business_date, Resolution.VOID)


def reopened_steps(
    preauth: Entry, was: State, business_date: str, claimed_by: int | None = None
) -> tuple[Step, ...]:
    """It is open again, until when it was before, and holds its amount.

    Args:
        was: its state now.
        claimed_by: whose undo its bank still has to learn of.
    """
    stands = UpdateEntry(
        preauth.id, (was,), state=State.APPROVED, set_claim=True, claimed_by=claimed_by
    )
    return (stands, held_step(preauth, business_date))


async def preauth_reversed(ports: Ports, preauth: Entry, reversal: Entry) -> tuple[Step, ...] | str:
    """What the reversal of a pre-authorisation gives back: what it holds, if it has not run out."""
    if preauth.state is State.EXPIRED:
        return ()
    return (given_up_step(preauth, reversal.id, reversal.business_date),)


async def preauth_void_reversed(
    ports: Ports, void: Entry, reversal: Entry
) -> tuple[Step, ...] | str:
    """Its pre-authorisation is open again, claimed until the bank has undone the void."""
    assert void.original_id is not None
    preauth = await ports.book.entry(void.original_id)
    if preauth is None or preauth.state is State.REVERSED:
        return ResponseCode.APPROVED
    return reopened_steps(preauth, State.VOIDED, reversal.business_date, void.id)
