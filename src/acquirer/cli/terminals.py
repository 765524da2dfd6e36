"""``acquirer terminals``: what operators do to the terminals of a running switch.

``end-keys`` asks the running switch. Exit codes: 0 done, 1 the switch refuses, 2 a wrong command
line or no switch to ask. A terminal in software is ``acquirer terminal``.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from acquirer.cli.books import AsJson, Config, Data
from acquirer.cli.operator import call_switch
from acquirer.cli.screen import print_json, say

terminals_app = typer.Typer(help="The switch's terminals and their keys.", no_args_is_help=True)

TerminalId = Annotated[str, typer.Argument(metavar="TERMINAL_ID", help="Terminal id (DE41).")]


@terminals_app.command("end-keys")
def end_keys(
    terminal_id: TerminalId, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """End a terminal's working keys: nothing it sends counts until it signs on again.

    Example: acquirer terminals end-keys 10000001 --data shop
    """
    done = call_switch(data, config, f"terminals/{quote(terminal_id, safe='')}/end-keys")
    if as_json:
        print_json(done)
    elif done["had_keys"]:
        say(f"{terminal_id} has no keys any more and must sign on again")
    else:
        say(f"{terminal_id} had no keys")
