"""``acquirer hsm console``: type a host command, see its reply field by field.

The commands go to a module in this process or, with ``--connect``, to one on the network: the
simulator or a real payShield. ``?`` lists the commands, ``? CA`` shows one's layout, ``quit`` ends.
With a module in this process ``A`` authorises activities and ``C`` takes them back, as they do at
a payShield's console; alone, ``A`` lists them, and ``C`` takes all back.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from typing import Annotated

import typer

from acquirer.cli.hsm_key import request_bytes
from acquirer.cli.hsm_output import (
    ConfigOption,
    JsonOption,
    TestLmksOption,
    open_module,
    show,
    telling_refusals,
)
from acquirer.cli.screen import say
from acquirer.hsm_sim.command_layouts import LAYOUTS, reply_fields
from acquirer.hsm_sim.errors import ERROR_TEXTS, HsmConfigError
from acquirer.hsm_sim.explain import TITLES
from acquirer.hsm_sim.module import SecurityModule, reply_code

ANSWER_TIMEOUT_S = 10.0
REQUEST_CHARACTERS_MAX = 130_000

Exchange = Callable[[bytes], bytes]
"""Request without header to reply without header."""


def console(
    config: ConfigOption = None,
    test_lmks: TestLmksOption = False,
    connect: Annotated[
        str, typer.Option("--connect", help="host:port of a module to talk to instead.")
    ] = "",
    header_length: Annotated[
        int, typer.Option("--header-length", min=0, max=255, help="Message header, with --connect.")
    ] = 4,
    default_lmk: Annotated[
        str, typer.Option("--default-lmk", help="LMK of requests without %, in this process.")
    ] = "",
    authorised: Annotated[
        bool, typer.Option("--authorised", help="In the authorised state, in this process.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Talk to a module: type a command, see the reply field by field.

    Example: acquirer hsm console --test-lmks

    Example: acquirer hsm console --connect 127.0.0.1:1500 --header-length 4

    A line is a command code and its body, such as NC or A00001U; a byte that has no
    key is a backslash, x and two hexadecimal digits. A line such as A export.001.host
    authorises an activity, C export.001.host takes it back, in this process.
    """
    with telling_refusals():
        if connect:
            _talk(_over_tcp(connect, header_length), None, as_json)
            return
        module = open_module(config, test_lmks, authorised=authorised, default_lmk=default_lmk)
        _talk(module.execute, module, as_json)


def _talk(exchange: Exchange, module: SecurityModule | None, as_json: bool) -> None:
    for line in _lines():
        if line in ("quit", "exit"):
            return
        if line.startswith("?"):
            _help(line[1:].strip().upper(), as_json)
            continue
        if module is not None:
            module.last_refusal = None
        try:
            if line.split(maxsplit=1)[0] in ("A", "C"):
                show([("authorised", _authorise(module, *line.split()))], as_json)
                continue
            request = request_bytes(line)
        except HsmConfigError as error:
            say(str(error), err=True)
            continue
        show(_facts(request, exchange(request), module), as_json)
        if not as_json:
            say()


def _authorise(module: SecurityModule | None, verb: str, *names: str) -> str:
    """Do what ``A`` and ``C`` ask for; what is authorised then."""
    if module is None:
        raise HsmConfigError("activities are authorised at the module itself, not at its host port")
    state = module.state
    if verb == "A":
        state.activities.authorise(names)
    elif names:
        state.activities.cancel(names)
    else:
        state.cancel_authorisation()
    return "everything" if state.authorised else ", ".join(state.activities.names()) or "nothing"


def _lines() -> Iterator[str]:
    """What is typed, line by line, until the end of input."""
    asking = sys.stdin.isatty()
    while True:
        if asking:
            say("hsm> ", nl=False)
        line = sys.stdin.readline(REQUEST_CHARACTERS_MAX)
        if not line:
            return
        if line.strip():
            yield line.strip("\r\n")


def _help(command: str, as_json: bool) -> None:
    if not command:
        show(sorted(TITLES.items()), as_json)
        return
    layout = LAYOUTS.get(command)
    if layout is None or command not in TITLES:
        say(f"there is no command {command}", err=True)
        return
    reply = ", ".join(name for name, _ in layout.reply) or "-"
    facts = (("request", layout.request), ("reply", reply))
    show(((command, TITLES[command]), *facts), as_json)


def _facts(request: bytes, reply: bytes, module: SecurityModule | None) -> list[tuple[str, str]]:
    """A reply in words: code, error code, fields, trailer, and why it was refused if known."""
    text = reply.decode("latin-1")
    command, code = request[:2].decode("latin-1"), text[2:4]
    title = TITLES.get(command)
    facts = [
        ("command", f"{command} {title}" if title else f"{command} (unknown)"),
        ("reply code", text[:2]),
        ("error code", f"{code} {ERROR_TEXTS.get(code, 'no errors')}"),
    ]
    if text[:2] != (reply_code(command) if len(command) == 2 else ""):
        return [*facts, ("more", _printable(text[4:]))]
    body, mark, trailer = text[4:], "", ""
    if b"\x19" in request and "\x19" in body:
        body, mark, trailer = body.rpartition("\x19")
    facts += [(name, _printable(value)) for name, value in reply_fields(command, body)]
    if mark:
        facts.append(("trailer", _printable(trailer)))
    if module is not None and module.last_refusal is not None:
        facts.append(("reason", module.last_refusal.reason))
    return facts


def _printable(text: str) -> str:
    """Text of printable ASCII, other characters as ``\\xNN``."""
    return "".join(char if " " <= char <= "~" else f"\\x{ord(char):02X}" for char in text)


def _connection(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise HsmConfigError("--connect is host:port")
    try:
        return socket.create_connection((host.strip("[]"), int(port)), ANSWER_TIMEOUT_S)
    except OSError as error:
        raise HsmConfigError(f"{address}: cannot connect: {error.strerror or error}") from None


def _over_tcp(address: str, header_length: int) -> Exchange:
    """An exchange over a connection; one request at a time.

    A connection that the module has closed meanwhile, because nothing was typed, is opened anew.
    """
    header = b"0" * header_length
    stream = _connection(address)

    def exchange(request: bytes) -> bytes:
        nonlocal stream
        if len(header) + len(request) > 0xFFFF:
            raise HsmConfigError("the request is longer than a frame")
        try:
            reply = _ask(stream, header + request)
            if not reply:
                stream.close()
                stream = _connection(address)
                reply = _ask(stream, header + request)
        except OSError as error:
            raise HsmConfigError(f"the module does not answer: {error}") from None
        if not reply:
            raise HsmConfigError("the module closed the connection")
        return reply[header_length:]

    return exchange


def _ask(stream: socket.socket, frame: bytes) -> bytes:
    """The reply to a frame; empty where the connection ends before it."""
    try:
        stream.sendall(len(frame).to_bytes(2, "big") + frame)
        return _receive(stream, int.from_bytes(_receive(stream, 2), "big"))
    except (BrokenPipeError, ConnectionResetError):
        return b""


def _receive(stream: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        chunk = stream.recv(size - len(received))
        if not chunk:
            return b""
        received += chunk
    return received
