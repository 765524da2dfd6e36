"""Downloads: terminals fetch parameters, keys of card schemes, chip applications, the blacklist.

A terminal that has another version than the current one is asked to fetch it in each reply
(``catalogue.py``). It has it with the reply to the parameters, or with the message that ends a
download, and then has what was current when it began. None of these messages bears a MAC.
Source: docs/interfaces/terminal.md, part 4 ("Downloads").
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from acquirer.codecs import bertlv
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.errors import BookBusy
from acquirer.switch.context import Context
from acquirer.switch.terminals.catalogue import (
    BLACKLIST,
    CA_KEYS,
    PARAMETERS,
    parameter_text,
)
from acquirer.switch.terminals.management import SAVE_TRIES_MAX, numbered
from acquirer.switch.terminals.request import Request, Told

Handler = Callable[[Context, Request], Awaitable[Told]]


async def parameters(context: Context, request: Request) -> Told:
    """All parameters of a terminal.

    Raises:
        BookBusy, BookUnavailable: it has not been noted that it has them.
    """
    terminal, catalogue = request.terminal, context.current().downloads
    text = parameter_text(catalogue.parameters, terminal.merchant, terminal.profile.encoding)
    await _note_fetched(context, request, PARAMETERS, catalogue.versions.get(PARAMETERS, ""))
    return _told(context, request, text)


def query(kind: str) -> Handler:
    """Answers what there is of a kind, after what the terminal knows already."""

    async def handle(context: Context, request: Request) -> Told:
        catalogue, known = context.current().downloads, _known(request)
        if not known:
            begun = context.terminals.downloads_begun
            begun[request.terminal.terminal_id, kind] = catalogue.versions.get(kind, "")
        found = catalogue.page(known) if kind == BLACKLIST else catalogue.listing(kind, known)
        return _told(context, request, found)

    return handle


def download(kind: str) -> Handler:
    """Answers with one key or application."""

    async def handle(context: Context, request: Request) -> Told:
        objects = bertlv.parse(request.message.binary(62), "62")
        tags = ("9F06", "9F22") if kind == CA_KEYS else ("9F06",)
        name = []
        for tag in tags:
            value = bertlv.find(objects, tag)
            if value is None:
                raise RemoteFormatError(f"the message needs tag {tag}", field="62")
            name.append((tag, value))
        return _told(context, request, context.current().downloads.item(kind, bertlv.build(name)))

    return handle


def end(kind: str) -> Handler:
    """Takes note that the terminal has fetched a kind."""

    async def handle(context: Context, request: Request) -> Told:
        current = context.current().downloads.versions.get(kind, "")
        begun = context.terminals.downloads_begun
        version = begun.pop((request.terminal.terminal_id, kind), current)
        await _note_fetched(context, request, kind, version)
        return Told(ResponseCode.APPROVED, numbered(context, request))

    return handle


def _told(context: Context, request: Request, de62: bytes) -> Told:
    return Told(ResponseCode.APPROVED, {**numbered(context, request), 62: de62.hex().upper()})


def _known(request: Request) -> int:
    """How many items or pages a terminal knows: DE62 ``1nn``."""
    text = request.message.binary(62)
    if len(text) != 3 or not text.isdigit() or text[:1] != b"1":
        raise RemoteFormatError("a query is 1 and two digits", field="62")
    return int(text[1:])


async def _note_fetched(context: Context, request: Request, kind: str, version: str) -> None:
    """Store which version a terminal has.

    Raises:
        BookBusy, BookUnavailable: it is not stored.
    """
    terminal = request.terminal
    for _ in range(SAVE_TRIES_MAX):
        row = terminal.row
        fetched = dict(row.fetched)
        if not version or fetched.get(kind) == version:
            return
        changed = tuple(sorted({**fetched, kind: version}.items()))
        if await context.terminals.save(
            terminal, replace(row, fetched=changed, key_version=row.key_version + 1)
        ):
            return
    raise BookBusy("the terminal's row kept changing")
