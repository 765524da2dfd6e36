"""``acquirer bank-sim``: run the bank core simulator, and look into its books."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import trio
import typer

from acquirer.cli.bank_sim_rules import rules_app
from acquirer.cli.lists import Column, print_table
from acquirer.cli.process import fail, first_of, print_ready, until_signalled
from acquirer.cli.screen import print_json, say
from acquirer.config.loading import ConfigError
from acquirer.hosts_sim.bank import report
from acquirer.hosts_sim.bank.control import ask_code
from acquirer.hosts_sim.bank.errors import BooksError, ControlError
from acquirer.hosts_sim.bank.server import serve
from acquirer.hosts_sim.bank.settings import BankSimSettings, demo_settings_path, load_settings

bank_sim_app = typer.Typer(
    name="bank-sim",
    help="A bank core simulator with accounts, PIN verification and books of its own.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
)
bank_sim_app.add_typer(rules_app, name="rules")

DataOption = Annotated[Path, typer.Option("--data", help="Folder of the bank's books.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LimitOption = Annotated[int, typer.Option("--limit", min=0, help="Newest rows only; 0 for all.")]


@bank_sim_app.callback()
def bank_sim(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings file; the demo's if left out.")
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the books.")] = None,
    listen: Annotated[str | None, typer.Option("--listen", help="host:port, port 0: any.")] = None,
    dialect: Annotated[str | None, typer.Option("--dialect", help="Name or file.")] = None,
    security: Annotated[
        Literal["none", "zone"] | None, typer.Option("--security", help="MAC and key exchange.")
    ] = None,
) -> None:
    """A bank core in software: serves until SIGINT or SIGTERM.

    Options override the settings file.

    Example: acquirer bank-sim --config bank-sim.toml
    """
    if context.invoked_subcommand is not None:
        return
    overrides = {"listen": listen, "dialect": dialect, "security": security}
    if data is not None:
        overrides["data"] = str(data)
    elif config is None:
        fail("--data is needed where no --config is given")
    reason = ""
    try:
        settings = load_settings(config or demo_settings_path())
        given = {key: value for key, value in overrides.items() if value is not None}
        trio.run(_run, msgspec.structs.replace(settings, **given))
    except* (ConfigError, BooksError, OSError) as group:
        reason = str(first_of(group))
    if reason:
        fail(reason)


@bank_sim_app.command()
def transactions(data: DataOption, as_json: JsonOption = False, limit: LimitOption = 0) -> None:
    """Show the bank's transactions, oldest first.

    Example: acquirer bank-sim transactions --data shop
    """
    try:
        with report.transactions(data, limit) as found:
            if as_json:
                print_json(found)
            else:
                _show_transactions(**found)
    except BooksError as error:
        fail(str(error))


def _show_transactions(transactions: Iterator[report.Row], reversals: Iterator[report.Row]) -> None:
    names = "kind rrn stan terminal_id amount_minor state response_code"
    print_table("Transactions", transactions, _columns(names))
    first = next(reversals, None)
    if first is not None:
        names = "original_rrn original_stan terminal_id amount_minor reason response_code"
        print_table("Reversals", chain([first], reversals), _columns(names))


@bank_sim_app.command()
def qr(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A card of the estate.")],
    data: DataOption,
) -> None:
    """Print a code that the card's holder shows instead of it, good once and for a minute.

    Example: acquirer bank-sim qr alice --data shop
    """
    try:
        say(ask_code(data, name))
    except ControlError as error:
        fail(error)


@bank_sim_app.command()
def totals(data: DataOption, as_json: JsonOption = False) -> None:
    """Show counts and sums by kind and state, and the net approved amount.

    Example: acquirer bank-sim totals --data shop
    """
    try:
        found = report.totals(data)
    except BooksError as error:
        fail(str(error))
    if as_json:
        print_json(found)
        return
    figures = found["totals"]
    columns = _columns("kind state count amount_minor booked_minor")
    print_table("Totals", figures["by_kind"], columns)
    say(f"net approved {figures['net_approved_minor']} minor units")


async def _run(settings: BankSimSettings) -> None:
    async with trio.open_nursery() as nursery:
        print_ready(bank=await nursery.start(_serve, settings))
        await until_signalled(nursery.cancel_scope.cancel)


async def _serve(settings: BankSimSettings, task_status: trio.TaskStatus[str]) -> None:
    await serve(settings, control=True, task_status=task_status)


def _columns(names: str) -> list[Column[report.Row]]:
    return [_column(name) for name in names.split()]


def _column(name: str) -> Column[report.Row]:
    heading = name.replace("_", " ").replace("response code", "code")
    is_number = name.endswith(("minor", "count"))
    return Column(heading, lambda row: "" if row[name] is None else str(row[name]), is_number)
