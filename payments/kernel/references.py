"""How a transaction names an earlier one of its merchant, and how that is found.

Source: docs/interfaces/terminal.md, part 4 ("References").
"""

from __future__ import annotations

import msgspec

from acquirer.codecs.pan import Pan
from acquirer.ledger.journal.entries import Entry, Role, State
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.kernel.commands import Named, Origin
from acquirer.payments.kernel.ports import Ports


class Reference(msgspec.Struct, frozen=True):
    """All that a transaction says of an earlier one; it must all be right.

    Attributes:
        named: as its terminal has numbered it, or None.
        rrn: 12 characters, or empty.
        date: MMDD, or empty.
        approval_code: 6 characters, or empty.
    """

    named: Named | None = None
    rrn: str = ""
    date: str = ""
    approval_code: str = ""

    def fits(self, original: Entry) -> bool:
        """Whether all that is said is right."""
        return (
            self.named in (None, Named(original.batch, original.stan))
            and self.rrn in ("", original.rrn)
            and self.date in ("", original.reply.local_date)
            and self.approval_code in ("", original.approval_code)
        )


async def find_original(ports: Ports, origin: Origin, reference: Reference) -> Entry | None:
    """What the RRN, or else the asking terminal's own number, names of the merchant's, or None."""
    named = reference.named
    if reference.rrn:
        found = await ports.book.entry_by_rrn(reference.rrn)
    elif named is not None:
        found = await ports.book.find_entry(
            origin.terminal_id, named.batch, named.stan, Role.ORIGINAL
        )
    else:
        return None
    return found if found is not None and found.merchant_id == origin.merchant_id else None


async def find_preauth(
    ports: Ports, origin: Origin, reference: Reference, pan: Pan | None
) -> Entry | None:
    """The pre-authorisation that is meant; by approval code and card where no number names it.

    Of several that fit the newest, and rather one that is open.
    """
    if reference.rrn or reference.named is not None:
        found = await find_original(ports, origin, reference)
        return found if found is not None and found.kind is Kind.PREAUTH else None
    if pan is None or not reference.approval_code:
        return None
    fitting = [
        one
        for one in await ports.book.preauths(ports.vault.token(pan), reference.approval_code)
        if one.merchant_id == origin.merchant_id and reference.fits(one)
    ]
    is_open = (one for one in fitting if one.state is State.APPROVED)
    return next(is_open, fitting[0] if fitting else None)
