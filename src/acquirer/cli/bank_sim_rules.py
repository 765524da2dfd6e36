"""``acquirer bank-sim rules``: how the running bank simulator fails, changed while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
import typer

from acquirer.cli.lists import Column, print_table
from acquirer.cli.process import fail
from acquirer.cli.screen import print_json
from acquirer.hosts_sim.bank.control import ask_rules
from acquirer.hosts_sim.bank.errors import ControlError
from acquirer.hosts_sim.bank.settings import Fault, Match, Rule

rules_app = typer.Typer(help="How the running simulator fails.", no_args_is_help=True)

Data = Annotated[Path, typer.Option("--data", help="Folder of the running simulator's books.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
FAULTS = ", ".join(name for name in get_args(Fault) if name)
Row = dict[str, Any]


@rules_app.command("list")
def list_rules(data: Data, as_json: AsJson = False) -> None:
    """Show the rules; of a message the first that matches counts.

    Example: acquirer bank-sim rules list --data shop
    """
    _do(data, "list", as_json)


@rules_app.command()
def add(
    data: Data,
    response_code: Annotated[
        str, typer.Option("--response-code", help="DE39 instead of a decision.")
    ] = "",
    approved_minor: Annotated[
        int, typer.Option("--approved-minor", min=0, help="Approve only so much of a sale.")
    ] = 0,
    fault: Annotated[str, typer.Option("--fault", help=FAULTS + ".")] = "",
    amount_minor: Annotated[
        int | None, typer.Option("--amount-minor", min=0, help="Only this DE4.")
    ] = None,
    pan_suffix: Annotated[
        str, typer.Option("--pan-suffix", help="Only cards that end so, 4 digits at most.")
    ] = "",
    terminal_id: Annotated[str, typer.Option("--terminal", help="Only this DE41.")] = "",
    mti: Annotated[
        str, typer.Option("--mti", help="Only this, or what begins so; else 01xx and 02xx.")
    ] = "",
    processing_code: Annotated[
        str, typer.Option("--processing-code", help="Only this DE3, or what begins so.")
    ] = "",
    probability: Annotated[
        float, typer.Option("--probability", min=0, max=1, help="Share of the messages.")
    ] = 1.0,
    delay_s: Annotated[
        float | None, typer.Option("--delay", min=0, help="Seconds, of delay and late_reply.")
    ] = None,
    times: Annotated[
        int, typer.Option("--times", min=0, help="Only for so many messages; 0: for ever.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Add a rule before all others, until it is cleared or the simulator ends.

    Examples:

      acquirer bank-sim rules add --response-code 51 --amount-minor 1250 --data shop

      acquirer bank-sim rules add --fault drop --times 3 --data shop
    """
    match = {
        "amount_minor": amount_minor,
        "pan_suffix": pan_suffix,
        "terminal_id": terminal_id,
        "mti": mti,
        "processing_code": processing_code,
        "probability": probability,
    }
    rule = {
        "match": match,
        "approved_minor": approved_minor,
        "response_code": response_code,
        "fault": fault,
        "delay_s": delay_s,
        "times": times,
    }
    try:
        msgspec.convert(rule, Rule)
    except msgspec.ValidationError as error:
        fail(f"no such rule: {error}; a fault is one of {FAULTS}")
    _do(data, "add", as_json, rule=rule)


@rules_app.command()
def clear(
    data: Data,
    number: Annotated[
        int, typer.Argument(metavar="[NUMBER]", min=0, help="As listed; all without one.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Take a rule away, or all.

    Example: acquirer bank-sim rules clear 1 --data shop
    """
    _do(data, "clear", as_json, number=number)


def _do(data: Path, do: Literal["list", "add", "clear"], as_json: bool, **more: Any) -> None:
    try:
        rows = ask_rules(data, do, **more)
    except ControlError as error:
        fail(error)
    if as_json:
        print_json({"rules": rows})
        return
    numbered = [{"number": number, **row} for number, row in enumerate(rows, 1)]
    print_table("Rules", numbered, COLUMNS)


def _matches(row: Row) -> str:
    plain = msgspec.to_builtins(Match())
    given = row["rule"]["match"].items()
    return ", ".join(f"{name}={value}" for name, value in given if value != plain[name]) or "all"


COLUMNS: list[Column[Row]] = [
    Column("number", lambda row: str(row["number"]), right=True),
    Column("messages", _matches),
    Column("code", lambda row: row["rule"]["response_code"]),
    Column("fault", lambda row: row["rule"]["fault"]),
    Column("left", lambda row: "" if row["left"] is None else str(row["left"]), right=True),
]
