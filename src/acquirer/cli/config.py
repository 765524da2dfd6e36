"""``acquirer config``: the business configuration, out and in, compared, and its history.

``export``, ``diff`` and ``history`` read the books; ``import`` asks the running switch. Exit codes:
0 done, 1 differences found or refused, 2 a wrong command line, a configuration that cannot be
served, or no switch to ask. Source: docs/configuration.md, "Business configuration".
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import tomli_w
import typer
from sqlalchemy import inspect

from acquirer.cli.books import AsJson, Config, Data, open_books, show_time, switch_file
from acquirer.cli.lists import Column, print_list
from acquirer.cli.operator import By, Reason, call_switch, read_settings
from acquirer.cli.process import fail
from acquirer.cli.screen import print_json, say
from acquirer.cli.serve import SQLITE
from acquirer.config.private import close_to_others
from acquirer.ledger.store.configuration import (
    ConfigVersion,
    StoredConfiguration,
    config_history,
    read_configuration,
)
from acquirer.simulation.provision import without_none
from acquirer.switch.configuration.changes import configuration_of
from acquirer.switch.configuration.documents import (
    Difference,
    body_of,
    differences,
    read_document,
    write_document,
)
from acquirer.switch.configuration.kinds import KINDS, Configuration, shown

config_app = typer.Typer(help="The business configuration.", no_args_is_help=True)

File = Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A TOML file.")]
Kinds = Annotated[
    list[str],
    typer.Option("--kind", help=f"Only this kind, more than once for several: {', '.join(KINDS)}."),
]
NO_KINDS: list[str] = []
# All of the group take these; to look nobody needs a name.
Unused = Annotated[str, typer.Option(hidden=True)]

HISTORY: list[Column[ConfigVersion]] = [
    Column("epoch", lambda one: str(one.epoch), right=True),
    Column("since", lambda one: show_time(one.valid_from)),
    Column("kind", lambda one: one.kind),
    Column("key", lambda one: one.key),
    Column("version", lambda one: str(one.version), right=True),
    Column("body", lambda one: "removed" if one.body is None else ""),
    Column("made by", lambda one: one.made_by),
    Column("checked by", lambda one: one.checked_by),
    Column("reason", lambda one: one.reason),
]
DIFFERENCES: list[Column[Difference]] = [
    Column("kind", lambda one: one.kind),
    Column("key", lambda one: one.key),
    Column("change", lambda one: one.change),
    Column("members", lambda one: told_members(one)),
]


@config_app.command("export")
def export(
    file: File = None,
    kind: Kinds = NO_KINDS,
    by: Unused = "",
    reason: Unused = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write the configuration as TOML, one table a body, to FILE or to the screen.

    Keys and secrets are in it, so the file is its owner's alone.

    Example: acquirer config export merchants.toml --kind merchant --data shop
    """
    _check_kinds(kind)
    stored = _stored(data, config)
    document = write_document(_readable(stored), kind)
    if as_json:
        print_json({"epoch": stored.epoch, **document})
        return
    text = f"# Epoch {stored.epoch}\n\n" + tomli_w.dumps(document)
    if file is None:
        say(text, nl=False)
        return
    _write(file, text)
    say(f"epoch {stored.epoch} written to {file}")


@config_app.command("import")
def import_file(
    file: File = None,
    kind: Kinds = NO_KINDS,
    by: By = "",
    reason: Reason = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Replace what is there of the kinds that FILE names, whole or not at all.

    It counts in every process within a second. Without FILE the switch's own file is taken in.

    Example: acquirer config import merchants.toml --reason "new contract" --data shop
    """
    document = read_toml(file or switch_file(data, config))
    body = {"document": document, "kinds": kind, "reason": reason}
    done = call_switch(data, config, "config/import", body, by=by, as_json=as_json)
    if as_json:
        print_json(done)
    else:
        tell_change(done)


@config_app.command("diff")
def diff(
    file: File = None,
    kind: Kinds = NO_KINDS,
    by: Unused = "",
    reason: Unused = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show what an import of FILE would change; exit code 1 where that is anything.

    Without FILE the switch's own file is compared: what differs there has drifted.

    Example: acquirer config diff --data shop
    """
    path = file or switch_file(data, config)
    read = read_document(read_toml(path), kind)
    if read.faults:
        fail("; ".join(f"{path}: {fault}" for fault in read.faults))
    stored = _stored(data, config)
    before = _readable(stored)
    # What the switch's own file does not have at all is not expected there.
    kinds = [one for one, bodies in read.bodies.items() if bodies or file is not None]
    found = differences(before, before.having(read.bodies), kinds)
    if as_json:
        print_json({"epoch": stored.epoch, "differences": [_difference(one) for one in found]})
    elif found:
        print_list("differences", found, DIFFERENCES, title="Differences", as_json=False)
    else:
        say(f"no difference from epoch {stored.epoch}")
    raise typer.Exit(1 if found else 0)


@config_app.command("history")
def history(
    file: File = None,
    kind: Kinds = NO_KINDS,
    by: Unused = "",
    reason: Unused = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show all versions, the oldest first: what, since when, by whom, why; or write them to FILE.

    Example: acquirer config history --kind route --data shop
    """
    _check_kinds(kind)
    with open_books(data, config) as connection:
        if not inspect(connection).has_table("config_versions"):
            fail(NONE_YET)
        versions = config_history(connection, tuple(kind))
        if file is not None:
            told = [_version(one) for one in versions]
            _write(file, tomli_w.dumps(without_none({"versions": told})))
            return
        print_list(
            "versions",
            versions,
            HISTORY,
            title="Configuration",
            as_json=as_json,
            document=_version,
        )


def _write(file: Path, text: str) -> None:
    try:
        if file.is_file():
            # One that is there keeps its mode.
            close_to_others(file)
        file.write_text(text, "utf-8")
    except OSError as error:
        fail(error)


def tell_change(done: dict[str, Any]) -> None:
    """Say what a change did, for people."""
    if done["repeated"]:
        say(f"nothing to change; epoch {done['epoch']} stays")
        return
    for version in done["versions"]:
        say(f"{version['kind']} {version['key']}: version {version['version']}")
    say(f"epoch {done['epoch']}")


def read_current(data: Path | None, config: Path | None) -> Configuration:
    """The configuration that counts, before the first start what the switch's file says.

    What is wrong ends the command with code 2.
    """
    settings = read_settings(data, config)
    books = settings.database.url.removeprefix(SQLITE)
    if books != settings.database.url and not Path(books).exists():
        return Configuration.of_file(settings)
    stored = _stored(data, config, may_be_empty=True)
    return _readable(stored) if stored.epoch else Configuration.of_file(settings)


NONE_YET = "the books hold no configuration yet; start the switch once"


def _stored(
    data: Path | None, config: Path | None, *, may_be_empty: bool = False
) -> StoredConfiguration:
    with open_books(data, config) as connection:
        if not inspect(connection).has_table("config_versions"):
            fail(NONE_YET)
        stored = read_configuration(connection)
    if not (stored.epoch or may_be_empty):
        fail(NONE_YET)
    return stored


def _readable(stored: StoredConfiguration) -> Configuration:
    configuration, faults = configuration_of(stored)
    if faults:
        fail("; ".join(map(str, faults)))
    return configuration


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file; one that is none ends the command with code 2."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        fail(error)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        fail(f"{path}: is not TOML: {error}")


def _check_kinds(kinds: Sequence[str]) -> None:
    for name in kinds:
        if name not in KINDS:
            reason = f"no kind {name!r}; there are {', '.join(KINDS)}"
            raise typer.BadParameter(reason, param_hint="--kind")


def told_members(one: Difference) -> str:
    """The members that differ; of a body that stays, each with its values before and after."""
    if one.change != "changed":
        return ", ".join(one.members)
    return ", ".join(
        f"{name}: {'none' if before is None else before} → {'none' if after is None else after}"
        for name, (before, after) in one.members.items()
    )


def _difference(one: Difference) -> dict[str, Any]:
    members = [
        {"member": name, "before": before, "after": after}
        for name, (before, after) in one.members.items()
    ]
    return {"kind": one.kind, "key": one.key, "change": one.change, "members": members}


def _version(one: ConfigVersion) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "key": one.key,
        "version": one.version,
        "epoch": one.epoch,
        "body": _shown_body(one),
        "valid_from": one.valid_from,
        "made_by": one.made_by,
        "checked_by": one.checked_by,
        "reason": one.reason,
        "replaces": one.replaces,
    }


def _shown_body(one: ConfigVersion) -> dict[str, Any] | None:
    if one.body is None:
        return None
    kind = KINDS.get(one.kind)
    try:
        return shown(kind, body_of(kind, one.body)) if kind else {}
    except msgspec.ValidationError:
        return {}
