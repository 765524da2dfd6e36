"""``acquirer saf``: what banks are owed and have not answered; dead letters retried, written off.

``list`` reads the books; the others ask the running switch. Exit codes: 0 done, 1 refused, 2 a
wrong command line, configuration or database, or no switch to ask.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from acquirer.cli.books import AsJson, Config, Data, console, open_books, show_time
from acquirer.cli.operator import call_switch
from acquirer.cli.screen import print_json, say
from acquirer.codecs.money import format_minor
from acquirer.ledger.reports.saf import saf_lines

saf_app = typer.Typer(help="Messages that banks are owed.", no_args_is_help=True)

ID_MAX = 2**63 - 1
Id = Annotated[
    int,
    typer.Argument(metavar="ID", min=1, max=ID_MAX, help="Of a dead letter, as `list` shows it."),
]


@saf_app.command("list")
def list_saf(
    data: Data = None,
    config: Config = None,
    dead: Annotated[bool, typer.Option("--dead", help="Dead letters only.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what banks have not answered yet, oldest first, and dead letters.

    Example: acquirer saf list --data shop --dead
    """
    with open_books(data, config) as connection:
        lines = saf_lines(connection, dead_only=dead)
    if as_json:
        print_json({"items": [asdict(line) for line in lines]})
        return
    table = Table("id", "since (UTC)", "bank", "kind", "tries", "next (UTC)", title="Owed to banks")
    for name in ("original", "rrn", "terminal", "card", "late"):
        table.add_column(name)
    table.add_column("amount", justify="right")
    for line in lines:
        table.add_row(
            str(line.id),
            show_time(line.created_at_ms),
            line.bank,
            line.kind,
            str(line.attempts),
            "DEAD" if line.is_dead else show_time(line.next_at_ms),
            f"{line.original_kind} {line.state}",
            line.rrn,
            line.terminal_id,
            line.card,
            line.late_response_code,
            format_minor(line.amount_minor, line.currency),
        )
    console().print(table)


@saf_app.command("retry")
def retry(id: Id, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Send a dead letter again, as a repeat, with its attempts and age counted anew.

    Example: acquirer saf retry 4711 --data shop
    """
    answer = call_switch(data, config, f"saf/{id}/retry")
    if as_json:
        print_json(answer)
    else:
        say(f"{id} is due again")


@saf_app.command("write-off")
def write_off(
    id: Id,
    name: Annotated[str, typer.Option("--name", help="Who decides.")],
    reason: Annotated[str, typer.Option("--reason", help="Why.")],
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Give a dead letter up for good, and post what that costs, with a name and a reason.

    A payment that the bank may still believe in goes to suspense, an advice that it never took
    is a loss.

    Example: acquirer saf write-off 41 --name w.chen --reason "bank confirms by letter" --data shop
    """
    answer = call_switch(data, config, f"saf/{id}/write-off", {"name": name, "reason": reason})
    if as_json:
        print_json(answer)
    else:
        say(
            f"{id} written off, rrn {answer['rrn']}: debit {answer['debit']},"
            f" credit {answer['credit']}, {answer['amount_minor']} minor units"
        )
