"""Calls to the operator interface of a running switch, for commands that change something.

The switch holds the only writer of its books, so a command asks it. It does so for the owner of the
switch's file, whose token stands there, or with ``--by`` for an operator, whose token stands in
``ACQUIRER_TOKEN``. The address comes from ``up.json`` beside the file, or from the file itself.
"""

from __future__ import annotations

import getpass
import http.client
import os
from pathlib import Path
from typing import Annotated, Any, NoReturn
from urllib.parse import quote, unquote

import msgspec
import typer

from acquirer.cli.books import switch_file
from acquirer.cli.process import fail
from acquirer.cli.screen import print_json, say
from acquirer.cli.serve import load_switch_settings
from acquirer.config.loading import ConfigError
from acquirer.switch.settings import SwitchSettings

By = Annotated[
    str,
    typer.Option(
        "--by",
        metavar="NAME",
        help="The operator who does it, with his token in ACQUIRER_TOKEN; else the file's owner.",
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="Needed: why, 1 to 200 characters.")]

TOKEN = "ACQUIRER_TOKEN"
TIMEOUT_S = 30.0
NOT_FOUND, REFUSED, UNFIT = 404, 409, 422


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
    data: Path | None,
    config: Path | None,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    by: str = "",
    as_json: bool = False,
) -> dict[str, Any]:
    """Have the running switch do something; exit code 2 where it cannot, 1 where it refuses.

    Args:
        path: below ``/operator/``, its parts percent-encoded where they need it.
        by: who does it; empty for the owner of the switch's file.
        as_json: whether a refusal is one JSON object, too.
    """
    file = switch_file(data, config)
    settings = read_settings(data, config)
    address = _address(file, settings)
    headers = _shown_by(by) if by else _shown_by_owner(file, settings)
    try:
        status, answer = ask_switch(address, headers, path, body or {})
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or error
        fail(
            f"no switch answers at {address}: {why}; start it with `acquirer up` or"
            " `acquirer serve`"
        )
    if status == NOT_FOUND:
        fail(f"the switch at {address} knows no {unquote(path)}; is the name right?")
    try:
        document = msgspec.json.decode(answer, type=dict[str, Any])
    except msgspec.DecodeError:
        fail(f"the switch at {address} answers {status}; is it one?")
    if status in (REFUSED, UNFIT):
        refuse(document["error"], 1 if status == REFUSED else 2, as_json=as_json)
    if status != 200:
        fail(f"the switch answers {status}: {document.get('error', '')}")
    return document


def ask_switch(
    address: str, headers: dict[str, str], path: str, body: dict[str, Any]
) -> tuple[int, bytes]:
    """One call: status and answer.

    Raises:
        OSError, http.client.HTTPException: there is none.
    """
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
    try:
        connection.request("POST", f"/operator/{path}", msgspec.json.encode(body), headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def owner_headers(token: str) -> dict[str, str]:
    """What the owner of a switch's file shows."""
    user = quote(getpass.getuser())
    return {"authorization": f"Bearer {token}", "acquirer-user": user}


def _shown_by_owner(file: Path, settings: SwitchSettings) -> dict[str, str]:
    if not settings.operator_token:
        fail(f"{file}: operator_token is empty, so its owner cannot call this switch; use --by")
    return owner_headers(settings.operator_token)


def _shown_by(name: str) -> dict[str, str]:
    token = os.environ.get(TOKEN, "").encode("latin-1", "replace").decode("latin-1")
    return {"authorization": f"Bearer {token}", "acquirer-by": quote(name)}


def refuse(error: str | dict[str, Any], code: int, *, as_json: bool) -> NoReturn:
    """Tell a refusal and end."""
    if as_json and isinstance(error, dict):
        print_json({"error": error})
        raise typer.Exit(code)
    if isinstance(error, str):
        lines = [error]
    elif faults := error.get("faults"):
        lines = [f"{fault['place']}: {fault['reason']}" for fault in faults]
    else:
        lines = [f"{error['code']}: {error['message']}"]
    for line in lines:
        say(f"acquirer: refused: {line}", err=True)
    raise typer.Exit(code)


def _address(file: Path, settings: SwitchSettings) -> str:
    up = file.parent / "up.json"
    if settings.listen.http.endswith(":0") and up.exists():
        return msgspec.json.decode(up.read_bytes(), type=dict[str, str])["http"]
    if settings.listen.http.endswith(":0"):
        fail(f"{file}: listen.http takes a free port, so nobody can call it")
    return settings.listen.http
