"""Calls to the operator interface of a running switch, for commands that change something.

The switch holds the only writer of its books, so a command asks it; the token comes from the
switch's own file and the address from ``up.json`` beside it, or from the file where it is fixed.
"""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import typer

from acquirer.cli.books import switch_file
from acquirer.cli.process import fail
from acquirer.cli.screen import say
from acquirer.cli.serve import load_switch_settings
from acquirer.config.loading import ConfigError
from acquirer.switch.settings import SwitchSettings

TIMEOUT_S = 10.0
NOT_FOUND, REFUSED = 404, 409


def read_settings(data: Path | None, config: Path | None) -> SwitchSettings:
    """The switch's settings; what is wrong with them ends the command with code 2."""
    file = switch_file(data, config)
    if not file.exists():
        fail(f"{file}: no such file; has a switch run here?")
    try:
        return load_switch_settings(file)
    except ConfigError as error:
        fail(error)


def call_switch(
    data: Path | None, config: Path | None, path: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Have the running switch do something; exit code 2 where it cannot, 1 where it refuses.

    Args:
        path: below ``/operator/``, its parts percent-encoded where they need it.
    """
    file = switch_file(data, config)
    settings = read_settings(data, config)
    if not settings.operator_token:
        fail(f"{file}: operator_token is empty, so operators cannot call this switch")
    address = _address(file, settings)
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
    try:
        connection.request(
            "POST",
            f"/operator/{path}",
            msgspec.json.encode(body or {}),
            {"authorization": f"Bearer {settings.operator_token}"},
        )
        response = connection.getresponse()
        status, answer = response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or error
        fail(
            f"no switch answers at {address}: {why}; start it with `acquirer up` or"
            " `acquirer serve`"
        )
    finally:
        connection.close()
    if status == NOT_FOUND:
        fail(f"the switch at {address} knows no {unquote(path)}; is the name right?")
    try:
        document = msgspec.json.decode(answer, type=dict[str, Any])
    except msgspec.DecodeError:
        fail(f"the switch at {address} answers {status}; is it one?")
    if status == REFUSED:
        say(f"acquirer: refused: {document['error']}", err=True)
        raise typer.Exit(1)
    if status != 200:
        fail(f"the switch answers {status}: {document.get('error', '')}")
    return document


def _address(file: Path, settings: SwitchSettings) -> str:
    up = file.parent / "up.json"
    if settings.listen.http.endswith(":0") and up.exists():
        return msgspec.json.decode(up.read_bytes(), type=dict[str, str])["http"]
    if settings.listen.http.endswith(":0"):
        fail(f"{file}: listen.http takes a free port, so nobody can call it")
    return settings.listen.http
