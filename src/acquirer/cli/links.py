"""``acquirer links``: the bank links of a running switch: states, counters, and what one may do.

Everything is asked of the switch itself, over its operator interface. Exit codes: 0 done,
1 refused, 2 a wrong command line or no switch to ask.
"""

from __future__ import annotations

from functools import partial
from operator import itemgetter
from typing import Annotated, Any
from urllib.parse import quote

import typer

from acquirer.cli.books import AsJson, Config, Data
from acquirer.cli.lists import Column, print_table
from acquirer.cli.operator import By, call_switch
from acquirer.cli.screen import print_json, say
from acquirer.codecs.money import format_minor

links_app = typer.Typer(help="The links to banks.", invoke_without_command=True)

COUNTERS = (
    "connects",
    "sent",
    "replied",
    "timed_out",
    "expired_unsent",
    "unmatched",
    "malformed",
    "mac_errors",
    "key_changes",
)
LinkName = Annotated[str, typer.Argument(metavar="LINK", help="Name of a link, or of its bank.")]


@links_app.callback()
def show_links(
    context: typer.Context, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Show every link's state and counters.

    ``timed_out`` was sent and not answered: reversals are due. ``expired_unsent`` never left:
    none are.

    Example: acquirer links --data shop
    """
    if context.invoked_subcommand is not None:
        return
    links = call_switch(data, config, "links")["links"]
    if as_json:
        print_json({"links": links})
        return
    texts = [Column(name, itemgetter(name)) for name in ("bank", "link", "address", "state")]
    counts = [Column(name, partial(_count, name), right=True) for name in ("in_flight", *COUNTERS)]
    print_table("Bank links", links, texts + counts)


@links_app.command("unmatched")
def show_unmatched(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show the latest replies that nothing waited for: late, doubled, unknown or broken ones.

    ``why`` says what of a broken one could not be understood.

    Example: acquirer links unmatched --data shop
    """
    unmatched = call_switch(data, config, "links")["unmatched"]
    if as_json:
        print_json({"unmatched": unmatched})
        return
    columns = ("at", "link", "mti", "stan", "rrn", "terminal_id", "response_code", "approval_code")
    print_table(
        "Replies that nothing waited for",
        unmatched,
        [
            *(Column(name, itemgetter(name)) for name in columns),
            Column("amount", _amount, right=True),
            Column("why", itemgetter("reason")),
        ],
    )


def _count(name: str, link: dict[str, Any]) -> str:
    return str(link[name])


def _amount(reply: dict[str, Any]) -> str:
    return format_minor(reply["amount_minor"], reply["currency_code"])


@links_app.command("hold")
def hold(link: LinkName, by: By = "", data: Data = None, config: Config = None) -> None:
    """Sign a link off and keep it so; what is in flight is still answered.

    Example: acquirer links hold demo --data shop
    """
    _tell(call_switch(data, config, f"links/{quote(link, safe='')}/hold", by=by))


@links_app.command("release")
def release(link: LinkName, by: By = "", data: Data = None, config: Config = None) -> None:
    """Sign a held link on again.

    Example: acquirer links release demo --data shop
    """
    _tell(call_switch(data, config, f"links/{quote(link, safe='')}/release", by=by))


@links_app.command("rekey")
def rekey(link: LinkName, by: By = "", data: Data = None, config: Config = None) -> None:
    """Ask the bank for new zone keys; the old ones stay good for what is in flight.

    Example: acquirer links rekey demo --data shop
    """
    _tell(call_switch(data, config, f"links/{quote(link, safe='')}/rekey", by=by))


@links_app.command("cut-over")
def cut_over(link: LinkName, by: By = "", data: Data = None, config: Config = None) -> None:
    """Tell the bank that the business date ends.

    Example: acquirer links cut-over demo --data shop
    """
    _tell(call_switch(data, config, f"links/{quote(link, safe='')}/cut-over", by=by))


def _tell(link: dict[str, Any]) -> None:
    say(f"{link['link']}: {link['state']}")
