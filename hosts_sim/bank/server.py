"""The bank core simulator as a whole: books, cards and the port that links connect to.

``serve`` composes and runs it, in a process of its own (``acquirer bank-sim``) or inside another
trio program. For simulated networks :class:`BankSim` takes any stream.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from random import Random

import trio

from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.errors import DialectError
from acquirer.codecs.framing import LengthHeader
from acquirer.config.estate import load_estate
from acquirer.config.loading import ConfigError
from acquirer.hosts_sim.bank.books import Books
from acquirer.hosts_sim.bank.cards import CardFile
from acquirer.hosts_sim.bank.codes import CODE_DIGITS
from acquirer.hosts_sim.bank.connection import Connection, Core
from acquirer.hosts_sim.bank.control import serve_control
from acquirer.hosts_sim.bank.entries import NewCode, Result
from acquirer.hosts_sim.bank.errors import ControlError
from acquirer.hosts_sim.bank.host import CardTerms
from acquirer.hosts_sim.bank.plans import plans_of
from acquirer.hosts_sim.bank.rules import RuleBook
from acquirer.hosts_sim.bank.schema import open_for_writing
from acquirer.hosts_sim.bank.settings import BankSimSettings
from acquirer.hosts_sim.bank.writer import InlineWriter, ThreadWriter, Writer

DIAL_AGAIN_S = 0.5


class BankSim:
    """A running bank core; made by :func:`open_bank`."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._connections: set[Connection] = set()

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one link; closes the stream. A link too many is closed at once."""
        if len(self._connections) >= self._core.settings.connections_max:
            await trio.aclose_forcefully(stream)
            return
        connection = Connection(self._core, stream)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)

    @property
    def rules(self) -> RuleBook:
        """What makes it fail."""
        return self._core.rules

    async def new_code(self, name: str) -> str:
        """A code for the holder of a card to show, 19 digits; it is good once and for a minute.

        Raises:
            ControlError: the bank has no such card, or none that may be used.
        """
        core, now = self._core, self._core.wall()
        found = core.cards.named(name)
        if found is None:
            raise ControlError(f"the bank has no card {name!r}")
        card, bin_prefix = found
        if card.refusal("", f"{now:%y%m}"):
            raise ControlError(f"the card {name!r} may not be used")
        places = CODE_DIGITS - len(bin_prefix)
        drawn = int.from_bytes(core.random_bytes(8), "big") % 10**places
        code = f"{bin_prefix}{drawn:0{places}d}"
        kept, at = trio.Event(), now.isoformat(timespec="seconds")
        results: list[Result] = []

        def done(result: Result) -> None:
            results.append(result)
            kept.set()

        core.writer.submit(NewCode(code, card.token, card.masked, at), done)
        await kept.wait()
        if results[0].response_code != "00":
            raise ControlError("the books did not keep the code; ask again")
        return code

    def announce(self, code: str) -> None:
        """Start network management on every link, such as ``101`` for new keys.

        Args:
            code: DE70.
        """
        for connection in self._connections:
            connection.announce(code)

    @property
    def malformed(self) -> int:
        """Frames of the open links that held no message."""
        return sum(connection.malformed for connection in self._connections)

    def __repr__(self) -> str:
        return f"<BankSim {self._core.settings.bank}, {len(self._connections)} links>"


@asynccontextmanager
async def open_bank(
    settings: BankSimSettings,
    *,
    inline: bool = False,
    wall: Callable[[], datetime] = datetime.now,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> AsyncIterator[BankSim]:
    """Open the books and give a bank that serves streams.

    Args:
        settings: the whole configuration.
        inline: commit on this thread, one by one, for simulated time.
        wall: local time.
        random_bytes: for zone keys.

    Raises:
        ConfigError: estate, bank or dialect are not to be had.
        BooksError: the books cannot be opened.
    """
    estate = load_estate(settings.estate)
    bank = next((bank for bank in estate.banks if bank.name == settings.bank), None)
    if bank is None:
        known = ", ".join(bank.name for bank in estate.banks)
        raise ConfigError(settings.estate or "demo estate", "bank", f"one of {known}")
    try:
        dialect = load_dialect(settings.dialect)
        header = dialect.length_header
        if settings.length_header:
            header = LengthHeader.parse(settings.length_header)
    except DialectError as error:
        raise ConfigError(settings.dialect, "dialect", str(error)) from None
    cards = CardFile(bank, estate.cards)
    random = Random(settings.seed)
    db = open_for_writing(settings.data)
    try:
        books = Books(db, cards, settings.limits)
        async with _writer(books, inline) as writer:
            core = Core(
                settings=settings,
                dialect=dialect,
                header=header,
                cards=cards,
                rules=RuleBook(settings.rules, random),
                random=random,
                writer=writer,
                zmk=bytes.fromhex(bank.zmk),
                zpk=bytes.fromhex(bank.zpk),
                plans=plans_of(bank.name, estate.instalment_plans),
                terms=CardTerms.of(estate),
                wall=wall,
                random_bytes=random_bytes,
            )
            yield BankSim(core)
    finally:
        db.close()


async def serve(
    settings: BankSimSettings,
    *,
    inline: bool = False,
    wall: Callable[[], datetime] = datetime.now,
    control: bool = False,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Listen and serve until cancelled.

    Args:
        settings: the whole configuration.
        inline: see :func:`open_bank`.
        wall: local time.
        control: whether its rules may be changed by its owner while it runs.
        task_status: ``started`` is called with the address, ``host:port``, when listening.

    Raises:
        ConfigError: the configuration cannot be used.
        BooksError: the books cannot be opened.
        OSError: the address cannot be listened on.
    """
    host, _, port = settings.listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise ConfigError("bank-sim", "listen", f"{settings.listen!r} is not host:port")
    listeners = await trio.open_tcp_listeners(int(port), host=host)
    address = f"{host}:{listeners[0].socket.getsockname()[1]}"
    try:
        async with (
            open_bank(settings, inline=inline, wall=wall) as bank,
            trio.open_nursery() as nursery,
        ):
            await nursery.start(trio.serve_listeners, bank.serve_stream, listeners)
            if control:
                await nursery.start(serve_control, bank.rules, bank.new_code, Path(settings.data))
            for other in settings.connect:
                nursery.start_soon(_dial, bank, other)
            task_status.started(address)
    finally:
        for listener in listeners:
            await trio.aclose_forcefully(listener)


async def _dial(bank: BankSim, address: str) -> None:
    """Keep a link to a switch that waits for it, for ever."""
    host, _, port = address.rpartition(":")
    while True:
        with suppress(OSError):
            stream = await trio.open_tcp_stream(host, int(port))
            await bank.serve_stream(stream)
        await trio.sleep(DIAL_AGAIN_S)


@asynccontextmanager
async def _writer(books: Books, inline: bool) -> AsyncIterator[Writer]:
    if inline:
        yield InlineWriter(books)
        return
    writer = ThreadWriter(books)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        try:
            yield writer
        finally:
            writer.stop()
