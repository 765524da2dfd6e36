"""The bank simulator's rules, listed, added and cleared while it runs.

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
    """

    token: str
    do: Literal["list", "add", "clear"]
    rule: Rule | None = None
    number: Annotated[int, msgspec.Meta(ge=0, le=RULES_MAX)] = 0


async def serve_control(
    rules: RuleBook, folder: Path, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled; the file is there when this has started, and gone at the end.

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
        await trio.serve_listeners(partial(_serve_one, rules, where.token, places), listeners)
    finally:
        path.unlink(missing_ok=True)


async def _serve_one(
    rules: RuleBook, token: str, places: trio.Semaphore, stream: trio.abc.Stream
) -> None:
    line = b""
    with trio.move_on_after(TIME_S), suppress(trio.BrokenResourceError):
        async with places, stream:
            while b"\n" not in line and len(line) <= LINE_BYTES_MAX:
                data = await stream.receive_some(LINE_BYTES_MAX)
                if not data:
                    return
                line += data
            await stream.send_all(msgspec.json.encode(answer(rules, token, line)) + b"\n")


def answer(rules: RuleBook, token: str, line: bytes) -> dict[str, Any]:
    """Do what a line asks; the rules as they are then, or why nothing was done."""
    if len(line) > LINE_BYTES_MAX:
        return {"error": f"more than {LINE_BYTES_MAX} bytes"}
    try:
        request = msgspec.json.decode(line, type=Request)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return {"error": str(error)}
    if not hmac.compare_digest(request.token.encode(), token.encode()):
        return {"error": "another token; was the simulator started again?"}
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


def ask(folder: Path, do: Literal["list", "add", "clear"], **more: Any) -> list[dict[str, Any]]:
    """Ask the simulator whose books are in a folder; gives its rules as they are then.

    Raises:
        ControlError: none runs there, or it refuses; the text says why.
    """
    path = folder / CONTROL
    try:
        where = msgspec.json.decode(path.read_bytes(), type=Where)
        host, _, port = where.address.rpartition(":")
        line = json.dumps({"token": where.token, "do": do, **more}).encode() + b"\n"
        with socket.create_connection((host, int(port)), TIME_S) as connection:
            connection.sendall(line)
            with connection.makefile("rb") as answers:
                document = msgspec.json.decode(answers.readline(ANSWER_BYTES_MAX))
    except FileNotFoundError:
        raise ControlError(f"{path}: no such file; does a bank simulator run here?") from None
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise ControlError(f"no bank simulator answers as {path} says: {error}") from None
    if "error" in document:
        raise ControlError(f"the bank simulator refuses: {document['error']}")
    found: list[dict[str, Any]] = document["rules"]
    return found
