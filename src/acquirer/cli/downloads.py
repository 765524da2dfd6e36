"""``acquirer downloads``: what terminals fetch, loaded from files into the running switch.

Exit codes: 0 done, 1 refused, 2 a wrong command line, a file that is wrong, or no switch to ask.
Source: docs/configuration.md, "Downloads".
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from acquirer.cli.books import AsJson, Config, Data
from acquirer.cli.config import read_toml, tell_change
from acquirer.cli.operator import By, call_switch
from acquirer.cli.process import fail
from acquirer.cli.screen import print_json

downloads_app = typer.Typer(help="What terminals fetch.", no_args_is_help=True)

Kind = Literal["parameters", "ca_keys", "ic_parameters", "blacklist"]
# Whose file is one table of its own, without a heading.
WHOLE: tuple[Kind, ...] = ("parameters", "blacklist")


@downloads_app.callback()
def downloads() -> None:
    """What terminals fetch: parameters, keys of card schemes, chip applications, the blacklist."""


@downloads_app.command()
def load(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help=", ".join(Kind.__args__))],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A TOML file.")],
    by: By = "",
    reason: Annotated[str, typer.Option("--reason", help="Why; else the file's name.")] = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Put a file in the place of what was loaded of its kind, whole or not at all.

    Terminals are asked to fetch it in their next replies.

    Example: acquirer downloads load blacklist lost.toml --data shop
    """
    document = read_toml(file)
    if kind in WHOLE:
        document = {kind: [document]}
    elif list(document) != [kind]:
        fail(f"{file}: has tables [[{kind}]] and nothing else")
    body = {"document": document, "kinds": [kind], "reason": reason or f"loads {file.name}"[:200]}
    done = call_switch(data, config, "config/import", body, by=by, as_json=as_json)
    if as_json:
        print_json(done)
    else:
        tell_change(done)
