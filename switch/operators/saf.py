"""What operators do with messages that a bank never took: retry them, or write them off.

A write-off is a posting with a name and a reason, in the commit that takes the dead letter off
the list: money that the bank may hold for a payment that counts for nothing here goes to suspense;
money that the bank will not pay is a loss. ``operator_api.py`` offers these over HTTP.
"""

from __future__ import annotations

import re

import structlog

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.accounts.postings import scheme_account
from acquirer.ledger.accounts.transfer_steps import (
    Post,
    Posting,
)
from acquirer.ledger.errors import UnitRefused
from acquirer.ledger.journal.details import WriteOff
from acquirer.ledger.journal.entries import (
    Entry,
    SafItem,
)
from acquirer.ledger.journal.kinds import UNDOING, Kind
from acquirer.ledger.journal.steps import (
    InsertEntry,
    ReviveSaf,
    Step,
    WriteOffSaf,
)
from acquirer.payments.kernel.records import own_entry
from acquirer.switch.context import Context
from acquirer.switch.operators.operations import OPERATOR, Done, Refused
from acquirer.switch.workers.saf import undone_steps

log = structlog.get_logger("acquirer.operator")

WRITE_OFF = Kind.SAF_WRITE_OFF
LOSS = "expense:loss"
SUSPENSE = "liabilities:suspense"
NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
REASON_MAX = 200


async def retry_saf(context: Context, id: int) -> Done | Refused:
    """Make a dead letter due again, as a repeat; its attempts are counted anew, its age is not."""
    if await context.book.commit(ReviveSaf(id, context.clock.now_ms())):
        return _no_dead_letter(id)
    context.ports.saf_queued()
    return {"id": id, "retried": True}


async def write_off_saf(context: Context, id: int, name: str, reason: str) -> Done | Refused:
    """Give a dead letter up, and post what that costs.

    Args:
        id: of the dead letter.
        name: who decides.
        reason: why, up to 200 characters.
    """
    if not NAME.fullmatch(name):
        return Refused(f"name {name!r} cannot be: 1 to 64 letters, digits and ._@-")
    if not 0 < len(reason.strip()) <= REASON_MAX or not reason.isprintable():
        return Refused(f"this reason cannot be: 1 to {REASON_MAX} characters, on one line")
    try:
        item = await context.book.dead_letter(id)
        original = await context.book.entry(item.original_id) if item else None
    except UnitRefused as error:
        return Refused(f"nothing says what dead letter {id} costs: {error}")
    if item is None:
        return _no_dead_letter(id)
    if original is None:
        return Refused(f"nothing says what dead letter {id} costs: the journal lacks its entry")
    now_ms = context.clock.now_ms()
    posting = write_off_posting(item, original)
    entry = await own_entry(
        context.ports,
        WRITE_OFF,
        now_ms,
        key=(OPERATOR, WRITE_OFF, str(id)),
        merchant_id=original.merchant_id,
        amount_minor=posting.amount_minor if posting else 0,
        currency_code=original.currency_code,
        original_id=original.id,
        detail=WriteOff(name, reason.strip()),
    )
    postings = (posting,) if posting else ()
    steps: list[Step] = [
        WriteOffSaf(id, now_ms),
        InsertEntry(entry),
        Post(entry.id, entry.currency_code, entry.business_date, postings),
    ]
    after = undone_steps(original) if item.kind is BankMessage.REVERSAL else []
    while failed := await context.book.commit(*steps, *after):
        if failed.step not in after:
            return Refused(f"somebody else has dealt with dead letter {id} meanwhile")
        # What is not ours to change any more drops out: first the claim, then the entry.
        del after[after.index(failed.step) :]
    log.warning(
        "saf_written_off",
        item=id,
        rrn=entry.rrn,
        original_rrn=original.rrn,
        amount_minor=entry.amount_minor,
        currency_code=entry.currency_code,
        by=name,
        reason=reason.strip(),
    )
    return {
        "id": id,
        "rrn": entry.rrn,
        "original_rrn": original.rrn,
        "amount_minor": entry.amount_minor,
        "currency_code": entry.currency_code,
        "debit": posting.debit if posting else "",
        "credit": posting.credit if posting else "",
        "name": name,
    }


def _no_dead_letter(id: int) -> Refused:
    return Refused(f"no dead letter {id}; `acquirer saf list --dead` shows all")


def write_off_posting(item: SafItem, original: Entry) -> Posting | None:
    """The transfer of a write-off; None where no money was moved, only held.

    An advice that the bank never took, or an undone void that it still believes in, is money
    that it will not pay. A payment that it still believes in, or has never refunded, is money that
    it may pay without anybody here being owed it.
    """
    if original.kind in (Kind.PREAUTH, Kind.PREAUTH_VOID):
        return None
    scheme = scheme_account(item.bank)
    is_told = item.kind in (BankMessage.ADVICE, BankMessage.COMPLETION)
    if is_told or original.kind in UNDOING:
        return Posting(LOSS, scheme, original.amount_minor, "write-off")
    return Posting(scheme, SUSPENSE, original.amount_minor, "write-off")
