"""What the books say: trial balance and an account's statement.

Reads only, over an SQLAlchemy connection of ``Database.read_only_engine``, beside a running
switch. Values out; rendering is the command line's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, select

from acquirer.ledger.errors import LedgerError
from acquirer.ledger.reports.pages import PAGE_ROWS
from acquirer.ledger.store.schema import accounts, transfers


@dataclass(frozen=True, slots=True)
class BalanceLine:
    """One account's posted balance, on the side where it stands; the other is zero.

    Attributes:
        pending_debit_minor, pending_credit_minor: what is held on either side, and moves no
            balance yet.
    """

    account: str
    currency_code: str
    debit_minor: int
    credit_minor: int
    pending_debit_minor: int = 0
    pending_credit_minor: int = 0


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """All accounts, by currency and name.

    Attributes:
        balanced: whether debits equal credits in each currency.
    """

    lines: tuple[BalanceLine, ...]
    balanced: bool


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One transfer from the point of view of one account.

    Attributes:
        balance_minor: posted balance after it, positive on the account's normal side.
    """

    transfer_id: int
    event_id: int
    business_date: str
    created_at_ms: int
    code: str
    phase: str
    other_account: str
    debit_minor: int
    credit_minor: int
    balance_minor: int


@dataclass(frozen=True, slots=True)
class Statement:
    """All transfers of one account, oldest first. Pending and voided ones move no balance.

    Attributes:
        lines: are read as they are asked for, before the next statement.
    """

    account: str
    currency_code: str
    normal_side: str
    debits_pending: int
    credits_pending: int
    lines: Iterator[StatementLine]


def trial_balance(connection: Connection) -> TrialBalance:
    """The posted balances of all accounts.

    >>> from acquirer.ledger.store.schema import metadata
    >>> from sqlalchemy import create_engine
    >>> engine = create_engine("sqlite://")
    >>> metadata.create_all(engine)
    >>> with engine.connect() as connection:
    ...     trial_balance(connection)
    TrialBalance(lines=(), balanced=True)
    """
    lines = []
    totals: dict[str, int] = {}
    query = select(
        accounts.c.name,
        accounts.c.currency_code,
        accounts.c.debits_posted,
        accounts.c.credits_posted,
        accounts.c.debits_pending,
        accounts.c.credits_pending,
    ).order_by(accounts.c.currency_code, accounts.c.name)
    for name, currency, debits, credits, *pending in connection.execute(query):
        net = debits - credits
        lines.append(BalanceLine(name, currency, max(net, 0), max(-net, 0), *pending))
        totals[currency] = totals.get(currency, 0) + net
    return TrialBalance(tuple(lines), not any(totals.values()))


def statements(connection: Connection, account: str) -> list[Statement]:
    """The statements of an account, one for each currency that it is kept in.

    All is of one state of the books, so that the balances fit each other.

    Raises:
        LedgerError: there is no such account.
    """
    rows = connection.execute(
        select(accounts).where(accounts.c.name == account).order_by(accounts.c.currency_code)
    ).all()
    if not rows:
        raise LedgerError(f"there is no account {account!r}")
    return [
        Statement(
            account,
            row.currency_code,
            row.normal_side,
            row.debits_pending,
            row.credits_pending,
            _lines(connection, row.id, row.normal_side),
        )
        for row in rows
    ]


def _lines(connection: Connection, account_id: int, normal_side: str) -> Iterator[StatementLine]:
    debit, credit = accounts.alias("debit"), accounts.alias("credit")
    query = (
        select(transfers, debit.c.name.label("debit_name"), credit.c.name.label("credit_name"))
        .join(debit, debit.c.id == transfers.c.debit_account_id)
        .join(credit, credit.c.id == transfers.c.credit_account_id)
        .where(
            (transfers.c.debit_account_id == account_id)
            | (transfers.c.credit_account_id == account_id)
        )
        .order_by(transfers.c.created_at_ms, transfers.c.id)
    )
    sign = 1 if normal_side == "debit" else -1
    balance = 0
    for row in connection.execute(query.execution_options(yield_per=PAGE_ROWS)):
        is_debit = row.debit_account_id == account_id
        if row.phase in ("posted", "post"):
            balance += sign * (row.amount_minor if is_debit else -row.amount_minor)
        yield StatementLine(
            row.id,
            row.event_id,
            row.business_date,
            row.created_at_ms,
            row.code,
            row.phase,
            row.credit_name if is_debit else row.debit_name,
            row.amount_minor if is_debit else 0,
            0 if is_debit else row.amount_minor,
            balance,
        )
