"""``acquirer saf``: what banks are owed and have not answered; dead letters retried, written off.

``list`` reads the books; the others ask the running switch. Exit codes: 0 done, 1 refused, 2 a
wrong command line, configuration or database, or no switch to ask.
"""

from __future__ import annotations

from typing import Annotated

import typer

from acquirer.cli.books import AsJson, Config, Data, open_books, show_time
from acquirer.cli.lists import Column, print_list
from acquirer.cli.operator import By, call_switch
from acquirer.cli.screen import print_json, say
from acquirer.codecs.money import format_minor
from acquirer.ledger.reports.saf import SafLine, saf_lines

saf_app = typer.Typer(help="Messages that banks are owed.", no_args_is_help=True)

ID_MAX = 2**63 - 1
Id = Annotated[
    int,
    typer.Argument(metavar="ID", min=1, max=ID_MAX, help="Of a dead letter, as `list` shows it."),
]


OWED: list[Column[SafLine]] = [
    Column("id", lambda line: str(line.id)),
    Column("since", lambda line: show_time(line.created_at_ms)),
    Column("bank", lambda line: line.bank),
    Column("kind", lambda line: line.kind),
    Column("tries", lambda line: str(line.attempts), right=True),
    Column("next", lambda line: "DEAD" if line.is_dead else show_time(line.next_at_ms)),
    Column("original", lambda line: f"{line.original_kind} {line.state}"),
    Column("rrn", lambda line: line.rrn),
    Column("terminal", lambda line: line.terminal_id),
    Column("card", lambda line: line.card),
    Column("late", lambda line: line.late_response_code),
    Column("amount", lambda line: format_minor(line.amount_minor, line.currency), right=True),
    Column("why given up", lambda line: line.dead_reason),
]


@saf_app.command("list")
def list_saf(
    data: Data = None,
    config: Config = None,
    dead: Annotated[bool, typer.Option("--dead", help="Dead letters only.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what banks have not answered yet, oldest first, and dead letters.

    Example: acquirer saf list --data shop --dead
    """
    with open_books(data, config) as connection:
        print_list(
            "items",
            saf_lines(connection, dead_only=dead, limit=limit),
            OWED,
            title="Owed to banks",
            as_json=as_json,
        )


@saf_app.command("retry")
def retry(
    id: Id, by: By = "", data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Send a dead letter again, as a repeat; its attempts are counted anew, its age is not.

    Example: acquirer saf retry 4711 --data shop
    """
    answer = call_switch(data, config, f"saf/{id}/retry", by=by, as_json=as_json)
    if as_json:
        print_json(answer)
    else:
        say(f"{id} is due again")


@saf_app.command("write-off")
def write_off(
    id: Id,
    name: Annotated[str, typer.Option("--name", help="Who decides.")],
    reason: Annotated[str, typer.Option("--reason", help="Why.")],
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Give a dead letter up for good, and post what that costs, with a name and a reason.

    A payment that the bank may still believe in goes to suspense, an advice that it never took
    is a loss.

    Example: acquirer saf write-off 41 --name w.chen --reason "bank confirms by letter" --data shop
    """
    answer = call_switch(
        data,
        config,
        f"saf/{id}/write-off",
        {"name": name, "reason": reason},
        by=by,
        as_json=as_json,
    )
    if as_json:
        print_json(answer)
    else:
        amount = format_minor(answer["amount_minor"], answer["currency_code"])
        say(
            f"{id} written off, rrn {answer['rrn']}: debit {answer['debit']},"
            f" credit {answer['credit']}, {amount} (currency {answer['currency_code']})"
        )
