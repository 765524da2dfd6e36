"""Refunds: what a card gets back of a payment that its bank does not void.

A refund is an entry of its own beside the payment, approved and posted as it is stored, and sent to
the bank as an advice until the bank takes it. The payment keeps its effect. Whoever commits these
steps moves the payment, or its part, out of ``approved`` in the same commit, so that nothing is
refunded twice, and nothing that was voided is refunded.
Source: docs/interfaces/bank-link.md, "refund"; docs/interfaces/postings.md, "Refund".
"""

from __future__ import annotations

from dataclasses import replace

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.response_codes import ResponseCode
from acquirer.config.business import MerchantSettings
from acquirer.ledger.accounts.postings import MDR_INCOME, split_minor
from acquirer.ledger.accounts.transfer_steps import Post
from acquirer.ledger.journal.details import Refund
from acquirer.ledger.journal.entries import (
    Entry,
    Role,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    InsertEntry,
    Step,
)
from acquirer.payments.kernel.giving_back import owe_refund, taken
from acquirer.payments.kernel.numbers import bank_stan_of, rrn_of
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.records import usual_reply
from acquirer.routing.banks.messages import request_mti

KIND = Kind.REFUND


async def refund_steps(
    ports: Ports, cause: Entry, payment: Entry, amount_minor: int, fee_minor: int, reason: str
) -> tuple[Step, ...]:
    """The refund's entry, its posting, and the advice that is owed to the bank.

    Conditional (``LimitBalance``) on the merchant being owed what it takes from him; where
    that has changed, the caller asks for the steps again.

    Args:
        cause: the cancellation that gives the money back.
        payment: what the bank has authorised; its card gets the money.
        amount_minor: of the refund, at most what is left of the payment.
        fee_minor: the share of the fee that goes back with it, see :func:`returned_fee`.
        reason: shown to operators beside the queued advice.
    """
    number = await ports.numbers.take()
    stamp = ports.calendar.stamp(cause.created_at_ms)
    rrn = rrn_of(number, stamp.rrn_day)
    entry = replace(
        cause,
        id=number,
        rrn=rrn,
        kind=KIND,
        mti=request_mti(BankMessage.REFUND),
        role=Role.REFUND,
        detail=Refund(reason, fee_minor),
        amount_minor=amount_minor,
        fingerprint=b"",
        key_version=None,
        ksn=None,
        state=State.APPROVED,
        card=payment.card,
        bank=payment.bank,
        bank_stan=bank_stan_of(number),
        transmission_at=stamp.transmission_at,
        original_id=payment.id,
        response_code=ResponseCode.APPROVED,
        reply=usual_reply(stamp, rrn),
    )
    limits, postings = await taken(ports, entry, fee_minor, None)
    return (
        InsertEntry(entry),
        *limits,
        Post(entry.id, entry.currency_code, entry.business_date, postings),
        await owe_refund(ports, entry, reason),
    )


async def returned_fee(
    ports: Ports, merchant: MerchantSettings, payment: Entry, part: Entry | None
) -> int:
    """What the merchant gets back of a payment's fee, in minor units.

    Args:
        merchant: whose payment it is.
        payment: as the bank has authorised it.
        part: one order of several that it paid, whose share it is; None for all of it.
    """
    if merchant.refund_fee == "keep":
        return 0
    posted = await ports.book.postings_of_event(payment.id)
    fee_minor = sum(p.amount_minor for p in posted if p.credit == MDR_INCOME)
    if part is None:
        return fee_minor
    parts = [
        e for e in await ports.book.entries_of_original(payment.id) if e.kind is Kind.ORDER_SHARE
    ]
    shares = split_minor(fee_minor, [one.amount_minor for one in parts])
    # The remainder, which the largest part has, may be more than the part itself was paid.
    return min(shares[[one.id for one in parts].index(part.id)], part.amount_minor)
