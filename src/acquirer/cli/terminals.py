"""``acquirer terminals``: the switch's terminals; new ones, those on hold, and their keys.

``show`` and ``list`` read the books; the others ask the running switch. Exit codes: 0 done, 1 the
switch refuses, 2 a wrong command line, a terminal that cannot be served, or no switch to ask. A
terminal in software is ``acquirer terminal``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from acquirer.cli.bodies import Change, show_members, the_one
from acquirer.cli.books import AsJson, Config, Data
from acquirer.cli.config import read_current
from acquirer.cli.hsm_output import TestLmksOption, telling_refusals
from acquirer.cli.lists import Column, print_list
from acquirer.cli.operator import By, Reason, call_switch
from acquirer.cli.screen import print_json, say
from acquirer.cli.terminal_keys import KeySource, imported_tmk
from acquirer.config.business import TerminalSettings
from acquirer.switch.configuration.kinds import KINDS, shown

terminals_app = typer.Typer(help="The switch's terminals and their keys.", no_args_is_help=True)

TerminalId = Annotated[str, typer.Argument(metavar="TERMINAL_ID", help="Terminal id (DE41).")]

Tmk = Annotated[
    str, typer.Option("--tmk", metavar="KEY", help="Its master key under the LMK (type 002).")
]
KIND = KINDS["terminal"]

LINES: list[Column[TerminalSettings]] = [
    Column("terminal", lambda one: one.terminal_id),
    Column("merchant", lambda one: one.merchant_id),
    Column("profile", lambda one: one.profile),
    Column("state", lambda one: "on hold" if one.on_hold else ""),
]


@terminals_app.command("add")
def add(
    terminal_id: TerminalId,
    merchant_id: Annotated[str, typer.Option("--merchant", help="Whose it is.")],
    profile: Annotated[
        str, typer.Option("--profile", help="Name of the profile by which it talks, such as cup.")
    ],
    tmk: Tmk = "",
    ksn: Annotated[
        str,
        typer.Option(
            "--ksn",
            metavar="DIGITS",
            help="Key serial number, counter zero, where keys are derived.",
        ),
    ] = "",
    by: By = "",
    reason: Reason = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Add a terminal; it may sign on at once.

    Example: acquirer terminals add 10000099 --merchant 898110055410002 --profile cup --tmk U…
    --reason "second till" --data shop
    """
    members = {
        "terminal_id": terminal_id,
        "merchant_id": merchant_id,
        "profile": profile,
        "tmk": tmk,
        "ksn": ksn,
    }
    asked = Change(KIND.name, by, reason, data, config, as_json)
    asked.tell(asked.add(members))


@terminals_app.command("hold")
def hold(
    terminal_id: TerminalId,
    release: Annotated[bool, typer.Option("--release", help="Let it pay again.")] = False,
    by: By = "",
    reason: Reason = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Refuse a terminal's payments (58); what is to be undone or confirmed goes on.

    Example: acquirer terminals hold 10000003 --reason "reported stolen" --data shop
    """
    asked = Change(KIND.name, by, reason, data, config, as_json)
    asked.change(terminal_id, {"on_hold": not release})


@terminals_app.command("keys")
def keys(
    terminal_id: TerminalId,
    tmk: Tmk = "",
    now: Annotated[
        bool, typer.Option("--now", help="End its working keys: it must sign on again.")
    ] = False,
    every: Annotated[
        int | None,
        typer.Option(
            "--every", metavar="N", min=0, help="Ask it to sign on after N transactions; 0 never."
        ),
    ] = None,
    each_batch: Annotated[
        bool, typer.Option("--each-batch", help="End its working keys with each batch.")
    ] = False,
    prompts: Annotated[
        int, typer.Option("--prompt", min=0, max=9, help="Ask for so many components, unseen.")
    ] = 0,
    components: Annotated[
        list[Path] | None, typer.Option("--component", help="File of a component; once for each.")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option("--key-file", help="Lines: terminal, key under a ZMK, KCV.")
    ] = None,
    zmk: Annotated[str, typer.Option("--zmk", help="That ZMK under the LMK.")] = "",
    check: Annotated[str, typer.Option("--kcv", help="The check value that is expected.")] = "",
    hsm: Annotated[Path | None, typer.Option("--hsm", help="The module's file.")] = None,
    test_lmks: TestLmksOption = False,
    by: By = "",
    reason: Reason = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Give a terminal a new master key, or have it sign on for new working keys.

    Now, after so many transactions, or with each batch; the latter two take each other's place.

    Examples:

      acquirer terminals keys 10000003 --now --data shop

      acquirer terminals keys 10000003 --every 200 --data shop

      acquirer terminals keys 10000003 --tmk U… --reason "exchanged" --data shop

      acquirer terminals keys 10000003 --prompt 2 --hsm hsm.toml --reason "ceremony" --data shop

      acquirer terminals keys 10000003 --key-file keys.txt --zmk U… --hsm hsm.toml
      --reason "of the vendor" --data shop
    """
    source = KeySource(prompts, tuple(components or ()), key_file, zmk, hsm, test_lmks, check)
    if [bool(tmk), source.is_given, now, every is not None, each_batch].count(True) != 1:
        raise typer.BadParameter(
            "give one of --tmk, --prompt or --component, --key-file, --now, --every, --each-batch"
        )
    if source.is_given:
        with telling_refusals():
            tmk = imported_tmk(terminal_id, source)
    if now:
        end_keys(terminal_id, by, data, config, as_json)
        return
    rotation = {"keys_every": every or 0, "keys_each_batch": each_batch}
    members = {"tmk": tmk} if tmk else rotation
    reason = reason or ("" if tmk else "rotation of working keys")
    Change(KIND.name, by, reason, data, config, as_json).change(terminal_id, members)


@terminals_app.command("list")
def list_terminals(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show all terminals.

    Example: acquirer terminals list --data shop
    """
    print_list(
        "terminals",
        read_current(data, config).terminals,
        LINES,
        title="Terminals",
        as_json=as_json,
        document=lambda one: shown(KIND, one),
    )


@terminals_app.command("show")
def show(
    terminal_id: TerminalId, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Show one terminal.

    Example: acquirer terminals show 10000003 --data shop
    """
    terminals = read_current(data, config).terminals
    known = (one for one in terminals if one.terminal_id == terminal_id)
    found = the_one(known, KIND.name, terminal_id, as_json=as_json)
    show_members(shown(KIND, found), as_json=as_json)


@terminals_app.command("end-keys")
def end_keys(
    terminal_id: TerminalId,
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """End a terminal's working keys: nothing it sends counts until it signs on again.

    Example: acquirer terminals end-keys 10000001 --data shop
    """
    path = f"terminals/{quote(terminal_id, safe='')}/end-keys"
    done = call_switch(data, config, path, by=by, as_json=as_json)
    if as_json:
        print_json(done)
    elif done["had_keys"]:
        say(f"{terminal_id} has no keys any more and must sign on again")
    else:
        say(f"{terminal_id} had no keys")
