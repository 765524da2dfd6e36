"""``acquirer ledger``: what the books say, and whether they agree.

Read-only: works beside a running switch, takes no lock, writes nothing. Exit codes: 0 fine,
1 the books do not agree, 2 a wrong command line, configuration or database.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from acquirer.cli.backup import backup, restored
from acquirer.cli.books import AsJson, Config, Data, open_books, show_time
from acquirer.cli.lists import Column, print_table
from acquirer.cli.process import fail
from acquirer.cli.screen import counted, print_json, say
from acquirer.codecs.money import format_minor
from acquirer.ledger.accounts.verify import verify
from acquirer.ledger.errors import BooksDiffer, LedgerError
from acquirer.ledger.reports.books import (
    BalanceLine,
    Statement,
    StatementLine,
    statements,
    trial_balance,
)

ledger_app = typer.Typer(help="The double-entry ledger.", no_args_is_help=True)
ledger_app.command("backup")(backup)
ledger_app.command("restored")(restored)


@ledger_app.command("trial-balance")
def print_trial_balance(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Print the balance of every account; debits and credits must sum to the same.

    Example: acquirer ledger trial-balance --data shop
    """
    with open_books(data, config) as connection:
        found = trial_balance(connection)
    if as_json:
        lines = [
            {
                "account": line.account,
                "currency": line.currency_code,
                "debit_minor": line.debit_minor,
                "credit_minor": line.credit_minor,
                "pending_debit_minor": line.pending_debit_minor,
                "pending_credit_minor": line.pending_credit_minor,
            }
            for line in found.lines
        ]
        print_json({"balanced": found.balanced, "lines": lines})
    else:
        print_table("Trial balance", [*found.lines, *_totals(found.lines)], BALANCES)
        say("balanced") if found.balanced else say("NOT BALANCED", style="red")
    raise typer.Exit(0 if found.balanced else 1)


BALANCES: list[Column[BalanceLine]] = [
    Column("account", lambda line: line.account),
    Column("currency", lambda line: line.currency_code),
    Column("debit", lambda line: _side(line.debit_minor, line.currency_code), right=True),
    Column("credit", lambda line: _side(line.credit_minor, line.currency_code), right=True),
    Column("held", lambda line: _held(line), right=True),
]


def _held(line: BalanceLine) -> str:
    """What is pending, on which side."""
    amounts = (("debit", line.pending_debit_minor), ("credit", line.pending_credit_minor))
    return ", ".join(
        f"{format_minor(minor, line.currency_code)} {side}" for side, minor in amounts if minor
    )


def _totals(lines: Sequence[BalanceLine]) -> Iterator[BalanceLine]:
    for currency in sorted({line.currency_code for line in lines}):
        own = [line for line in lines if line.currency_code == currency]
        debit_minor = sum(line.debit_minor for line in own)
        yield BalanceLine("total", currency, debit_minor, sum(line.credit_minor for line in own))


@ledger_app.command("statement")
def print_statement(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Full name of an account.")],
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Print all transfers of one account, oldest first, with its running balance.

    Example: acquirer ledger statement assets:scheme:demo --data shop
    """
    with open_books(data, config) as connection:
        try:
            found = statements(connection, account)
        except LedgerError as error:
            fail(f"{error}; `acquirer ledger trial-balance` lists them")
        if as_json:
            print_json({"account": account, "statements": map(_statement_object, found)})
            return
        for item in found:
            title = f"{item.account} ({item.currency_code}, {item.normal_side}-normal)"
            print_table(title, item.lines, _statement_columns(item.currency_code))


def _statement_object(item: Statement) -> dict[str, object]:
    return {
        "account": item.account,
        "currency_code": item.currency_code,
        "normal_side": item.normal_side,
        "debits_pending": item.debits_pending,
        "credits_pending": item.credits_pending,
        "lines": item.lines,
    }


@ledger_app.command("verify")
def run_verify(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Recompute the books from their transfers; exit 1 at the first difference.

    Example: acquirer ledger verify --data shop
    """
    difference = ""
    counts: dict[str, int] = {}
    with open_books(data, config) as connection:
        try:
            counts = asdict(verify(connection))
        except BooksDiffer as error:
            difference = str(error)
    if as_json:
        print_json({"verified": not difference, "difference": difference, "counts": counts})
    elif difference:
        say(f"The books differ: {difference}", err=True)
    else:
        summary = counted(counts)
        say(f"The books agree: {summary}.")
    raise typer.Exit(1 if difference else 0)


def _statement_columns(currency_code: str) -> list[Column[StatementLine]]:
    return [
        Column("time", lambda line: show_time(line.created_at_ms)),
        Column("date", lambda line: line.business_date),
        Column("event", lambda line: str(line.event_id)),
        Column("code", lambda line: line.code),
        Column("phase", lambda line: line.phase),
        Column("other account", lambda line: line.other_account),
        Column("debit", lambda line: _side(line.debit_minor, currency_code), right=True),
        Column("credit", lambda line: _side(line.credit_minor, currency_code), right=True),
        Column("balance", lambda line: format_minor(line.balance_minor, currency_code), right=True),
    ]


def _side(amount_minor: int, currency_code: str) -> str:
    return format_minor(amount_minor, currency_code) if amount_minor else ""
