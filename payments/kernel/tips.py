"""A sale's tip, which whoever undoes or refunds the sale must know of.

Source: docs/interfaces/terminal.md, part 4 ("Tip adjustment").
"""

from __future__ import annotations

from acquirer.ledger.journal.entries import Entry, State
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.kernel.ports import Ports


async def tip_of(ports: Ports, payment: Entry, state: State = State.APPROVED) -> Entry | None:
    """The tip of a sale that is in a state; None where there is none, or it is no sale."""
    if payment.kind is not Kind.SALE:
        return None
    about = await ports.book.entries_of_original(payment.id)
    return next((one for one in about if one.kind is Kind.TIP and one.state is state), None)


def amount_with(payment: Entry, tip: Entry | None) -> int:
    """What a payment comes to, minor units."""
    return payment.amount_minor + (tip.amount_minor if tip else 0)
