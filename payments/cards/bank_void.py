"""What voids have in common: an earlier entry is claimed, and its bank is asked to undo it.

The entry is claimed together with recording the void, so that no reversal or second void can race
it; the claim ends with the outcome. Which entry that is, and what its undoing gives back, each
void's own module says.
Source: docs/interfaces/terminal.md, part 4; docs/interfaces/bank-link.md, "void".
"""

from __future__ import annotations

from collections.abc import Callable

from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.journal.entries import Entry, State
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import InsertEntry, Step, UpdateEntry
from acquirer.payments.kernel.commands import Origin, Outcome, Repeat
from acquirer.payments.kernel.commits import forward, settle, undo_request
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.ready_card import stored_pan
from acquirer.payments.kernel.records import new_entry, refuse
from acquirer.payments.kernel.undo import release_steps


async def void_at_bank(
    ports: Ports,
    origin: Origin,
    kind: Kind,
    original: Entry,
    condition_code: str,
    given_back: Callable[[Entry], tuple[Step, ...]],
    holds: tuple[Step, ...] = (),
) -> Outcome:
    """Claim an approved entry, have its bank void it, and give back what it took.

    Args:
        kind: of the void.
        condition_code: of the request, 2 digits or empty.
        given_back: the steps beside the states of both, from the void's entry.
        holds: further conditions of the claim; where one does not hold the answer is 12.

    Raises:
        BookBusy, BookUnavailable: nothing has left for a bank.
    """
    if not ports.banks.is_up(original.bank):
        return await refuse(ports, origin, kind, ResponseCode.UNAVAILABLE)
    pan = stored_pan(ports, original)
    if pan is None and original.card is not None:
        return await refuse(ports, origin, kind, ResponseCode.SECURITY_FAILED)
    entry = await new_entry(
        ports, origin, kind, State.SENT, pan=pan, bank=original.bank, original_id=original.id
    )
    claim = UpdateEntry.claim(original.id, entry.id)
    if failed := await ports.book.commit(InsertEntry(entry), claim, *holds):
        if failed.is_taken:
            return Repeat()
        return await refuse(ports, origin, kind, ResponseCode.INVALID_TRANSACTION)

    message = undo_request(ports, origin, entry, pan, original, condition_code)
    outcome = await forward(ports, origin, entry, message)

    voided = UpdateEntry.release(original.id, entry.id, State.VOIDED)
    return await settle(
        ports,
        origin,
        entry,
        outcome,
        approved=(voided, *given_back(entry)),
        undone=release_steps(entry, None),
    )
