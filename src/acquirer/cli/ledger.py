"""``acquirer ledger`` and ``acquirer journal``: what the books say, and whether they agree.

Read-only: works beside a running switch, takes no lock, writes nothing. Exit codes: 0 fine,
1 the books do not agree, 2 a wrong command line, configuration or database.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from acquirer.config.loading import ConfigError, load
from acquirer.ledger.database import Database
from acquirer.ledger.errors import BooksDiffer, LedgerError
from acquirer.ledger.money import format_minor
from acquirer.ledger.reports import Statement, journal_lines, statements, trial_balance
from acquirer.ledger.verify import verify

ledger_app = typer.Typer(help="The double-entry ledger.", no_args_is_help=True)
journal_app = typer.Typer(no_args_is_help=True)

Data = Annotated[
    Path | None, typer.Option("--data", help="Data folder of `acquirer up` or `acquirer serve`.")
]
Config = Annotated[Path | None, typer.Option("--config", help="The switch's configuration file.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


class _DatabaseTable(msgspec.Struct, frozen=True):
    url: str


class _SwitchFile(msgspec.Struct, frozen=True):
    """The only table of the switch's file that is read here."""

    database: _DatabaseTable


@ledger_app.command("trial-balance")
def print_trial_balance(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Print the balance of every account; debits and credits must sum to the same."""
    with _books(data, config) as connection:
        found = trial_balance(connection)
    if as_json:
        lines = [
            {
                "account": line.account,
                "currency": line.currency_code,
                "debit_minor": line.debit_minor,
                "credit_minor": line.credit_minor,
            }
            for line in found.lines
        ]
        _print_json({"balanced": found.balanced, "lines": lines})
    else:
        table = Table("account", "currency", title="Trial balance")
        table.add_column("debit", justify="right")
        table.add_column("credit", justify="right")
        for line in found.lines:
            table.add_row(
                line.account,
                line.currency_code,
                _side(line.debit_minor, line.currency_code),
                _side(line.credit_minor, line.currency_code),
            )
        for currency in sorted({line.currency_code for line in found.lines}):
            own = [line for line in found.lines if line.currency_code == currency]
            table.add_section()
            table.add_row(
                "total",
                currency,
                format_minor(sum(line.debit_minor for line in own), currency),
                format_minor(sum(line.credit_minor for line in own), currency),
                style="bold",
            )
        _console().print(table)
        _console().print("balanced" if found.balanced else "[bold red]NOT BALANCED")
    raise typer.Exit(0 if found.balanced else 1)


@ledger_app.command("statement")
def print_statement(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Full name of an account.")],
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Print all transfers of one account, oldest first, with its running balance."""
    with _books(data, config) as connection:
        found = statements(connection, account)
    if as_json:
        _print_json({"account": account, "statements": [asdict(item) for item in found]})
        return
    for item in found:
        _console().print(_statement_table(item))


@ledger_app.command("verify")
def run_verify(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Recompute the books from their transfers; exit 1 at the first difference."""
    difference = ""
    counts: dict[str, int] = {}
    with _books(data, config) as connection:
        try:
            counts = asdict(verify(connection))
        except BooksDiffer as error:
            difference = str(error)
    if as_json:
        _print_json({"verified": not difference, "difference": difference, "counts": counts})
    elif difference:
        Console(stderr=True, soft_wrap=True).print(f"The books differ: {difference}", markup=False)
    else:
        _console().print(
            "The books agree: "
            + ", ".join(f"{number} {name}" for name, number in counts.items())
            + "."
        )
    raise typer.Exit(1 if difference else 0)


@journal_app.callback()
def journal() -> None:
    """The journal of transactions."""


@journal_app.command("list")
def list_journal(
    data: Data = None,
    config: Config = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the journal's transactions, newest first."""
    with _books(data, config) as connection:
        lines = journal_lines(connection, limit)
    if as_json:
        _print_json({"transactions": [asdict(line) for line in lines]})
        return
    table = Table("time (UTC)", "rrn", "terminal", "batch", "stan", "kind", title="Journal")
    table.add_column("amount", justify="right")
    for name in ("state", "code", "card", "order"):
        table.add_column(name)
    for line in lines:
        table.add_row(
            _time(line.created_at_ms),
            line.rrn,
            line.terminal_id,
            line.batch,
            line.stan,
            line.kind,
            format_minor(line.amount_minor, line.currency),
            line.state,
            line.response_code,
            line.card,
            line.order_no,
        )
    _console().print(table)


@contextmanager
def _books(data: Path | None, config: Path | None) -> Iterator[Connection]:
    """A read-only connection in one transaction; what is wrong ends the command with code 2."""
    try:
        database = Database(_database_url(data, config))
        if database.file is not None and not database.file.is_file():
            _stop(f"{database.file}: no such database; has a switch run here?")
        engine = database.read_only_engine()
        with engine.connect() as connection:
            if not inspect(connection).has_table("transfers"):
                _stop("the database has no books; has a switch run here?")
            yield connection
    except ConfigError as error:
        _stop(str(error))
    except (LedgerError, ArgumentError) as error:
        _stop(str(error))
    except SQLAlchemyError as error:
        _stop("the database cannot be read: " + str(error).partition("\n")[0])


def _database_url(data: Path | None, config: Path | None) -> str:
    if (data is None) == (config is None):
        raise typer.BadParameter("give either --data or --config")
    if data is not None:
        if not data.is_dir():
            raise typer.BadParameter(f"{data} is no folder", param_hint="--data")
        config = data / "switch.toml"
        if not config.exists():
            return f"sqlite:///{data / 'switch.sqlite3'}"
    assert config is not None
    url = load(config, _SwitchFile).database.url
    file = url.removeprefix("sqlite:///")
    return url if file == url else f"sqlite:///{config.parent / file}"


def _stop(text: str) -> NoReturn:
    typer.echo(f"acquirer: {text}", err=True)
    raise typer.Exit(2)


def _statement_table(item: Statement) -> Table:
    title = f"{item.account} ({item.currency_code}, {item.normal_side}-normal)"
    table = Table("time (UTC)", "date", "event", "code", "phase", "other account", title=title)
    for name in ("debit", "credit", "balance"):
        table.add_column(name, justify="right")
    for line in item.lines:
        table.add_row(
            _time(line.created_at_ms),
            line.business_date,
            str(line.event_id),
            line.code,
            line.phase,
            line.other_account,
            _side(line.debit_minor, item.currency_code),
            _side(line.credit_minor, item.currency_code),
            format_minor(line.balance_minor, item.currency_code),
        )
    return table


def _side(amount_minor: int, currency_code: str) -> str:
    return format_minor(amount_minor, currency_code) if amount_minor else ""


def _time(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def _print_json(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False))


def _console() -> Console:
    console = Console()
    # Into a pipe or a file tables are not squeezed to a terminal's width.
    return console if console.is_terminal else Console(width=200)
