"""The bank simulator's rules, listed, added and cleared while it runs, and payment codes made.

A loopback port of its own, named with a token in a file of the books' folder that only its owner
can read. A request is one line of JSON, and so is the answer. Rules that were added are gone with
the process; those of its settings file come back.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import trio

from acquirer.hosts_sim.bank.errors import ControlError
from acquirer.hosts_sim.bank.rules import RuleBook
from acquirer.hosts_sim.bank.settings import Rule, rule_fault

CONTROL = "bank-control.json"
LOOPBACK = "127.0.0.1"
LINE_BYTES_MAX = 4_096
ANSWER_BYTES_MAX = 1_048_576
RULES_MAX = 200
TIME_S = 5.0
CONNECTIONS_MAX = 4


class Where(msgspec.Struct, frozen=True):
    """What the file in the books' folder says."""

    address: str
    token: str


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked.

    Attributes:
        rule: for ``add``; it comes before all others.
        number: for ``clear``, from 1 as listed; 0 for all.
        card: for ``code``, the name of a card.
    """

    token: str
    do: Literal["list", "add", "clear", "code"]
    rule: Rule | None = None
    number: Annotated[int, msgspec.Meta(ge=0, le=RULES_MAX)] = 0
    card: Annotated[str, msgspec.Meta(max_length=100)] = ""


MakeCode = Callable[[str], Awaitable[str]]


async def serve_control(
    rules: RuleBook,
    make_code: MakeCode,
    folder: Path,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; the file is there when this has started, and gone at the end.

    Args:
        make_code: gives a card's holder a code; raises ControlError where it cannot.

    Raises:
        OSError: the file cannot be written.
    """
    listeners = await trio.open_tcp_listeners(0, host=LOOPBACK)
    port = listeners[0].socket.getsockname()[1]
    where = Where(f"{LOOPBACK}:{port}", secrets.token_urlsafe(32))
    path = folder / CONTROL
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(where))
    places = trio.Semaphore(CONNECTIONS_MAX)
    try:
        task_status.started()
        serve = partial(_serve_one, rules, make_code, where.token, places)
        await trio.serve_listeners(serve, listeners)
    finally:
        path.unlink(missing_ok=True)


async def _serve_one(
    rules: RuleBook,
    make_code: MakeCode,
    token: str,
    places: trio.Semaphore,
    stream: trio.abc.Stream,
) -> None:
    line = b""
    with trio.move_on_after(TIME_S), suppress(trio.BrokenResourceError):
        async with places, stream:
            while b"\n" not in line and len(line) <= LINE_BYTES_MAX:
                data = await stream.receive_some(LINE_BYTES_MAX)
                if not data:
                    return
                line += data
            request = request_of(token, line)
            if isinstance(request, Request) and request.do == "code":
                told = await _new_code(make_code, request.card)
            else:
                told = changed(rules, request)
            await stream.send_all(msgspec.json.encode(told) + b"\n")


def request_of(token: str, line: bytes) -> Request | str:
    """What a line asks, or why nothing is done."""
    if len(line) > LINE_BYTES_MAX:
        return f"more than {LINE_BYTES_MAX} bytes"
    try:
        request = msgspec.json.decode(line, type=Request)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return str(error)
    if not hmac.compare_digest(request.token.encode(), token.encode()):
        return "another token; was the simulator started again?"
    return request


async def _new_code(make_code: MakeCode, card: str) -> dict[str, Any]:
    try:
        return {"code": await make_code(card)}
    except ControlError as error:
        return {"error": str(error)}


def changed(rules: RuleBook, request: Request | str) -> dict[str, Any]:
    """Do what is asked of the rules; they as they are then, or why nothing was done."""
    if isinstance(request, str):
        return {"error": request}
    if request.do == "add":
        fault = "needs a rule" if request.rule is None else rule_fault(request.rule)
        if not fault and len(rules) >= RULES_MAX:
            fault = f"there are {RULES_MAX} rules; clear some"
        if fault or request.rule is None:
            return {"error": fault}
        rules.add(request.rule)
    elif request.do == "clear":
        if request.number > len(rules):
            return {"error": f"there is no rule {request.number}; there are {len(rules)}"}
        rules.clear(request.number)
    return {"rules": rules.listed()}


def ask_rules(
    folder: Path, do: Literal["list", "add", "clear"], **more: Any
) -> list[dict[str, Any]]:
    """Ask the simulator whose books are in a folder; gives its rules as they are then.

    Raises:
        ControlError: none runs there, or it refuses; the text says why.
    """
    rules: list[dict[str, Any]] = _ask(folder, {"do": do, **more})["rules"]
    return rules


def ask_code(folder: Path, card: str) -> str:
    """A payment code of the simulator whose books are in a folder, for a card of its own.

    Raises:
        ControlError: none runs there, or it has no such card; the text says why.
    """
    code: str = _ask(folder, {"do": "code", "card": card})["code"]
    return code


def _ask(folder: Path, what: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of the simulator whose books are in a folder.

    Raises:
        ControlError: none runs there, or it refuses; the text says why.
    """
    path = folder / CONTROL
    try:
        where = msgspec.json.decode(path.read_bytes(), type=Where)
        host, _, port = where.address.rpartition(":")
        line = json.dumps({"token": where.token, **what}).encode() + b"\n"
        with socket.create_connection((host, int(port)), TIME_S) as connection:
            connection.sendall(line)
            with connection.makefile("rb") as answers:
                document: dict[str, Any] = msgspec.json.decode(answers.readline(ANSWER_BYTES_MAX))
    except FileNotFoundError:
        raise ControlError(f"{path}: no such file; does a bank simulator run here?") from None
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise ControlError(f"no bank simulator answers as {path} says: {error}") from None
    if "error" in document:
        raise ControlError(f"the bank simulator refuses: {document['error']}")
    return document
