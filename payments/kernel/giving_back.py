"""What goes back to a card beside its payment: what it takes of the merchant, what banks are owed.

Shared by refunds that somebody asks for and by cancellations that a bank does not void.
Source: docs/interfaces/postings.md, "Refund"; docs/interfaces/bank-link.md, "refund".
"""

from __future__ import annotations

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.accounts.postings import merchant_account, merchant_debt_account, refund
from acquirer.ledger.accounts.transfer_steps import LimitBalance, Posting
from acquirer.ledger.journal.entries import (
    Entry,
    SafItem,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    QueueSaf,
    Step,
)
from acquirer.ledger.owed.advices import LimitRefunded
from acquirer.payments.kernel.ports import Ports


async def taken(
    ports: Ports, entry: Entry, fee_minor: int, debt_limit_minor: int | None
) -> tuple[tuple[LimitBalance, ...], tuple[Posting, ...]]:
    """The postings of a refund, and the steps under which they are right.

    First from what the merchant is owed, then as his debt. Where a first step
    (:class:`LimitBalance` of his payable) does not hold, that has changed, and the caller asks
    again; where the second does not, his debt would be above its limit.

    Args:
        entry: the refund's.
        fee_minor: the share of the payment's fee that goes back with it.
        debt_limit_minor: minor units; None for no limit.
    """
    payable = merchant_account(entry.merchant_id)
    debt = merchant_debt_account(entry.merchant_id)
    debits, credits, debits_pending, _ = await ports.book.account_sums(payable, entry.currency_code)
    balance_minor = debits + debits_pending - credits
    postings = refund(
        entry.amount_minor,
        fee_minor,
        -balance_minor,
        bank=entry.bank,
        merchant_id=entry.merchant_id,
    )
    covered_minor = sum(one.amount_minor for one in postings if one.debit == payable)
    owed_minor = sum(one.amount_minor for one in postings if one.debit == debt)
    # Where he is owed too little, all of it counts; else at least what is taken must be there.
    low_minor, high_minor = (balance_minor,) * 2 if owed_minor else (None, -covered_minor)
    limits = [LimitBalance(payable, entry.currency_code, low_minor, high_minor)]
    if owed_minor and debt_limit_minor is not None:
        most_minor = debt_limit_minor - owed_minor
        limits.append(LimitBalance(debt, entry.currency_code, high_minor=most_minor))
    return tuple(limits), postings


async def none_refunded(ports: Ports, payment: Entry) -> tuple[Step, ...] | str:
    """The step under which nothing of a payment was given back; 12 where something was.

    It must stand after the step that changes the payment.
    """
    about = await ports.book.entries_of_original(payment.id)
    if any(one.kind is Kind.REFUND and one.state in (State.SENT, State.APPROVED) for one in about):
        return ResponseCode.INVALID_TRANSACTION
    return (LimitRefunded(payment.id, 0),)


async def owe_refund(ports: Ports, entry: Entry, reason: str, *, attempts: int = 0) -> QueueSaf:
    """The step that owes the bank the advice of a refund.

    Args:
        reason: shown to operators beside it.
        attempts: how often it may have left already.
    """
    return QueueSaf(
        SafItem(
            id=await ports.numbers.take(),
            bank=entry.bank,
            kind=BankMessage.REFUND,
            original_id=entry.id,
            reason=reason,
            created_at_ms=entry.created_at_ms,
            next_at_ms=entry.created_at_ms,
            attempts=attempts,
            stan=entry.bank_stan,
            transmission_at=entry.transmission_at,
        )
    )
