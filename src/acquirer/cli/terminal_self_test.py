"""``acquirer terminal self-test``: what a message's MAC should have been, in a sandbox only.

It opens the terminal's working keys in the books under the published test master key, which is
what ``acquirer up`` runs on. Keys under any other do not open, so nothing can be told of them; the
switch itself has no part in it. Source: docs/interfaces/terminal.md, part 3.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from sqlalchemy import select

from acquirer.cli import terminal_view as view
from acquirer.cli.books import open_books
from acquirer.cli.config import read_current
from acquirer.cli.operator import read_settings
from acquirer.cli.screen import say
from acquirer.cli.terminal_setup import DECLINED, USAGE, Setup
from acquirer.codecs.capture import Capture, open_capture
from acquirer.codecs.dialect import Dialect, load_dialect
from acquirer.codecs.explain import plain_text
from acquirer.codecs.explain_broken import explain_found
from acquirer.codecs.masked_hex import masked_run
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.operator import role_of, variant_test_lmk
from acquirer.ledger.journal.entries import (
    TerminalRow,
)
from acquirer.ledger.store.rows import terminal_of
from acquirer.ledger.store.schema import terminals
from acquirer.terminals_sim.messages import DIALECT
from acquirer.terminals_sim.security import message_mac

FRAME_DIGITS_MAX = 2 * (4_096 + 2)
MAC_KEY = "003"
MAC_BYTES = 8
MANAGEMENT = "08"


def self_test(
    context: typer.Context,
    frame: Annotated[
        str, typer.Argument(help="A message in hexadecimal, with or without length, TPDU, header.")
    ],
) -> None:
    """Check a message that your terminal sent: its layout, and its MAC under the terminal's keys.

    Works with the books of `acquirer up` only, whose keys are under a published test key.
    A - reads the message from standard input. Exit code 1 where something is wrong.

    Example: acquirer terminal --data shop self-test 003760000301026031003100000800…
    """
    setup: Setup = context.obj
    if setup.data is None:
        raise view.fail("say which sandbox: --data of `acquirer up`", USAGE)
    dialect = load_dialect(DIALECT)
    found = open_capture(_bytes_of(frame), dialect)
    if found.message is None or found.error is not None:
        for line in plain_text(explain_found(found, dialect)).splitlines():
            say(line)
        raise typer.Exit(DECLINED)
    message = found.message
    terminal_id = message.get(41)
    row, algorithm = _terminal(setup.data, terminal_id)
    say(f"layout right: {message.mti}, terminal {terminal_id}, {len(found.raw)} bytes")
    if 64 not in message.fields:
        _without_mac(message.mti)
    _check_mac(found, dialect, row, algorithm)


def _bytes_of(frame: str) -> bytes:
    text = sys.stdin.read(2 * FRAME_DIGITS_MAX) if frame == "-" else frame
    digits = "".join(text.split())
    if len(digits) > FRAME_DIGITS_MAX:
        raise view.fail(f"a message has at most {FRAME_DIGITS_MAX} hexadecimal digits", USAGE)
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise view.fail("the message is not written in hexadecimal", USAGE) from None


def _terminal(data: Path, terminal_id: str) -> tuple[TerminalRow, str]:
    """What the books know of a terminal, and its algorithm of DE64."""
    current = read_current(data, None)
    settings = next((one for one in current.terminals if one.terminal_id == terminal_id), None)
    if settings is None:
        raise view.fail(f"the switch knows no terminal {terminal_id} (DE41)", DECLINED)
    profiles = read_settings(data, None).profiles
    profile = next(one for one in profiles if one.name == settings.profile)
    if profile.key_scheme != "tmk":
        reason = (
            f"terminal {terminal_id}'s keys are derived ({profile.key_scheme}): its MAC cannot be"
        )
        raise view.fail(f"{reason} checked here; docs/interfaces/terminal.md has a frame", USAGE)
    query = select(terminals).where(terminals.c.terminal_id == terminal_id)
    with open_books(data, None) as connection:
        row = connection.execute(query).first()
    if row is None:
        raise view.fail(f"terminal {terminal_id} has not signed on yet", DECLINED)
    return terminal_of(tuple(row)), profile.mac


def _without_mac(mti: str) -> NoReturn:
    if mti.startswith(MANAGEMENT):
        say("no MAC; sign-on, sign-off and echo test need none")
        raise typer.Exit
    raise view.fail("no MAC: DE64 is missing", DECLINED)


def _check_mac(found: Capture, dialect: Dialect, row: TerminalRow, algorithm: str) -> None:
    """Tell over what the MAC is computed, what it should be and what it is."""
    lmk = variant_test_lmk(test_lmk=True)
    got = found.raw[-MAC_BYTES:]
    keys = [("the newest sign-on", one.tak) for one in row.waiting[:1]]
    keys += [("a sign-on before", one.tak) for one in row.waiting[1:]]
    keys += [("the keys that were used last", row.tak)] if row.tak else []
    if not keys:
        raise view.fail(f"terminal {row.terminal_id} has no keys: sign on", DECLINED)
    expected = []
    for name, text in keys:
        try:
            key = lmk.key((role_of(MAC_KEY), text)).clear
        except Refusal:
            raise view.fail(
                f"the keys of terminal {row.terminal_id} are not under the published test master"
                " key: this is no sandbox, and only its security module can tell a MAC",
                USAGE,
            ) from None
        mac = message_mac(algorithm, key, found.raw[:-MAC_BYTES])
        if mac == got:
            say(f"MAC right: {_shown(got, algorithm)}, under {name}", style="green")
            return
        expected.append(f"{_shown(mac, algorithm)} (under {name})")
    over = masked_run(found, dialect)
    say(
        f"MAC ({algorithm}) computed over {over}, expected {' or '.join(expected)}, got"
        f" {_shown(got, algorithm)}",
        style="red",
    )
    raise typer.Exit(DECLINED)


def _shown(mac: bytes, algorithm: str) -> str:
    if algorithm == "cup_ecb" and mac.isalnum():
        return mac.decode()
    return mac.hex().upper()
