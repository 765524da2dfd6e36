"""Sale void: undo a sale, or an instalment, of the open batch.

Source: docs/interfaces/terminal.md, part 4 ("Sale void");
docs/interfaces/postings.md, "Void, reversal".
"""

from __future__ import annotations

from acquirer.codecs.pan import Pan
from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.accounts.transfer_steps import PostReversed
from acquirer.ledger.journal.entries import (
    Entry,
    Role,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    Step,
    UpdateEntry,
)
from acquirer.ledger.owed.advices import LimitRefunded, LimitTipped
from acquirer.payments.cards.bank_void import void_at_bank
from acquirer.payments.kernel.commands import Command, Named, Outcome
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.records import refuse
from acquirer.payments.kernel.tips import amount_with, tip_of

# What a void undoes.
VOIDABLE = frozenset({Kind.SALE, Kind.INSTALMENT})


class VoidRequested(Command, frozen=True):
    """A sale is to be undone.

    Attributes:
        sale: which.
        rrn: of the sale, as its slip says it.
        pan: of the card, where it is there; it must be the sale's.
        approval_code: of the sale, where it is named.
        condition_code: 2 digits, or empty.
        of: what kind of sale.
    """

    sale: Named
    rrn: str
    pan: Pan | None = None
    approval_code: str = ""
    condition_code: str = ""
    of: Kind = Kind.SALE


async def void(ports: Ports, command: VoidRequested) -> Outcome:
    """Void a sale at its bank and post it back.

    Raises:
        BookBusy, BookUnavailable: nothing has left for a bank.
    """
    origin = command.origin
    if not origin.may_key(command.condition_code, is_keyed=False):
        return await refuse(ports, origin, Kind.VOID, ResponseCode.NOT_PERMITTED_TO_TERMINAL)
    sale = await ports.book.find_entry(
        origin.terminal_id, command.sale.batch, command.sale.stan, Role.ORIGINAL
    )
    tip = await tip_of(ports, sale) if sale is not None else None
    code = _refusal(ports, command, sale, tip)
    if sale is None or code:
        return await refuse(ports, origin, Kind.VOID, code or ResponseCode.NO_ORIGINAL)
    if tip is not None and await ports.book.advice_is_owed(tip.id):
        # Its bank does not know of it yet, and would refuse to void the whole.
        return await refuse(ports, origin, Kind.VOID, ResponseCode.INVALID_TRANSACTION)

    def given_back(entry: Entry) -> tuple[Step, ...]:
        back = PostReversed(sale.id, entry.id, entry.business_date)
        if tip is None:
            return (back,)
        voided = UpdateEntry.unclaimed(tip.id, State.VOIDED)
        return (back, voided, PostReversed(tip.id, entry.id, entry.business_date))

    tip_minor = tip.amount_minor if tip else 0
    return await void_at_bank(
        ports,
        origin,
        Kind.VOID,
        sale,
        command.condition_code,
        given_back,
        # Not one that was refunded in part, or is given a tip at this moment.
        (LimitRefunded(sale.id, 0), LimitTipped(sale.id, tip_minor)),
    )


def _refusal(ports: Ports, command: VoidRequested, sale: Entry | None, tip: Entry | None) -> str:
    """The code that refuses this void, or the empty string."""
    if sale is None or sale.kind is not command.of or command.rrn != sale.rrn:
        return ResponseCode.NO_ORIGINAL
    if sale.merchant_id != command.origin.merchant_id:
        return ResponseCode.NO_ORIGINAL
    if command.pan is not None and (
        sale.card is None or ports.vault.token(command.pan) != sale.card.pan_token
    ):
        return ResponseCode.INVALID_CARD
    is_held = sale.state is not State.APPROVED or sale.claimed_by is not None
    if is_held or command.origin.has_closed(sale):
        return ResponseCode.INVALID_TRANSACTION
    if command.approval_code not in ("", sale.approval_code):
        return ResponseCode.NO_ORIGINAL
    amount_minor = command.origin.named_minor
    if sale.kind is Kind.INSTALMENT and amount_minor != sale.amount_minor:
        return ResponseCode.AMOUNT_DIFFERS
    whole_minor = amount_with(sale, tip)
    if amount_minor > whole_minor:
        return ResponseCode.OVER_AMOUNT_LIMIT
    return ResponseCode.INVALID_AMOUNT if amount_minor < whole_minor else ""


async def void_reversed(ports: Ports, void: Entry, reversal: Entry) -> tuple[Step, ...] | str:
    """What the reversal of an approved void gives back: its sale stands again.

    Claimed until the bank has undone the void, lest another void overtake the undo.
    """
    if void.original_id is None:
        return ()
    sale = await ports.book.entry(void.original_id)
    if sale is None or sale.state is State.REVERSED:
        return ResponseCode.APPROVED
    stands = UpdateEntry(
        void.original_id,
        (State.VOIDED,),
        state=State.APPROVED,
        set_claim=True,
        claimed_by=void.id,
    )
    tip = await tip_of(ports, sale, State.VOIDED)
    if tip is None:
        return (stands,)
    return (stands, UpdateEntry(tip.id, (State.VOIDED,), state=State.APPROVED))
