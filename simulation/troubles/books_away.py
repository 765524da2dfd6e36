"""Books that are away while a crowd pays at one terminal, hundreds of sales at one time.

Each sale comes again, byte for byte, when the books are back, until it has an answer. What the
switch has said under a MAC it says again; no sale counts twice, and none that was refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

import trio

from acquirer.codecs.message import Message
from acquirer.simulation.network import Host
from acquirer.simulation.parties import crowd_identity
from acquirer.simulation.process import SWITCH
from acquirer.simulation.troubles.base import Trouble
from acquirer.switch.terminals.repeats import REPEATS_MS
from acquirer.terminals_sim import kinds
from acquirer.terminals_sim.cards import present, swiped
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.link import TerminalLink
from acquirer.terminals_sim.messages import assemble
from acquirer.terminals_sim.state import JournalEntry, TerminalState
from acquirer.terminals_sim.store import MemoryStore
from acquirer.terminals_sim.terminal import Terminal

if TYPE_CHECKING:
    from acquirer.simulation.world import World

KIND = "books_away"
CROWDS = ("20", "20", "40", "60", "1500")
A_DAY_MAX = 2
CONNECTIONS = 4
ASKED_AGAIN_MAX = 30
AGAIN_S = 3.0
AMOUNT_MINOR_MAX = 40
_FRAME_HEADER_BYTES = 2


class BooksAway(Trouble):
    """The books, and the terminal, of such a day."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._me = crowd_identity()
        self._host = Host(self._me.terminal_id)
        self._cards = [card for card in world.estate.cards if not card.status]
        self._sales: dict[str, tuple[int, bytes]] = {}
        self._answers: dict[str, Message] = {}
        world.auditor.told.append(self._told)

    async def run(self) -> None:
        """Let a crowd come, and another."""
        faults, world = self.world.faults, self.world
        terminal = await self._signed_on()
        for _ in range(A_DAY_MAX):
            await trio.sleep(faults.between(KIND, 0.5, 8.0))
            sales = self._crowd(terminal, int(faults.choice(KIND, CROWDS)))
            faults.note(KIND)
            world.parts.books_are_away = True
            world.trace.note("disk", f"the books are away, and {len(sales)} pay")
            await trio.sleep(faults.between(KIND, 0.0, 0.5))
            self._send(sales)
            await trio.sleep(faults.between(KIND, 0.1, 4.0))
            world.parts.books_are_away = False
            world.trace.note("disk", "the books are back")
            self._send(sales)
            await trio.sleep(faults.between(KIND, 10.0, 20.0))

    async def mend(self) -> None:
        """The books are back, and every sale gets an answer."""
        self.world.parts.books_are_away = False
        for _ in range(ASKED_AGAIN_MAX):
            open_sales = [
                frame for stan, (_, frame) in self._sales.items() if stan not in self._answers
            ]
            if not open_sales:
                return
            self._send(open_sales)
            await trio.sleep(AGAIN_S)

    def terminals(self) -> Iterable[TerminalState]:
        """What the terminal has sold."""
        journal = [
            JournalEntry(
                kinds.SALE.name,
                answer.get(60)[2:8],
                stan,
                self._sales[stan][0],
                rrn=answer.get(37),
                response_code=answer.get(39),
                state="approved" if answer.get(39) == "00" else "declined",
            )
            for stan, answer in self._answers.items()
        ]
        return (TerminalState(self._me.terminal_id, journal=tuple(journal)),)

    def findings(self) -> Iterable[str]:
        """Sales without an answer, though all is well.

        Of one that was stored while the clock was months off, nothing is said any more; and books
        that were brought back may have forgotten the terminal's keys.
        """
        world = self.world
        if world.auditor.lost.happened:
            return ()
        old = {
            stan
            for stan, at_ms in world.auditor.rows(
                "SELECT stan, created_at_ms FROM journal WHERE terminal_id = ?",
                self._me.terminal_id,
            )
            if abs(world.true_ms() - int(str(at_ms))) > REPEATS_MS
        }
        missing = len(self._sales.keys() - self._answers.keys() - old)
        return (f"crowd: {missing} sales got no answer at all",) if missing else ()

    async def _signed_on(self) -> Terminal:
        world = self.world

        async def connect() -> trio.abc.Stream:
            return await world.network.connect(world.network.door(SWITCH), self._host)

        terminal = Terminal(self._me, TerminalState(self._me.terminal_id))
        client = TerminalClient(terminal, MemoryStore(), TerminalLink(connect), timeout_s=5.0)
        async with client:
            result = await client.sign_on()
            while not result.approved:
                await trio.sleep(1.0)
                result = await client.sign_on()
        return terminal

    def _crowd(self, terminal: Terminal, count: int) -> list[bytes]:
        """As many sales of different cards, each with a STAN of its own."""
        faults, keys = self.world.faults, terminal.keys
        terminal.state = TerminalState(
            self._me.terminal_id,
            batch=terminal.state.batch,
            next_stan=len(self._sales) + 100,
            network_code=terminal.state.network_code,
            wrapped_keys=terminal.state.wrapped_keys,
        )
        # A chip would say the amount of one of them.
        card = swiped(self._cards, int(faults.between(KIND, 0, len(self._cards))))
        like = terminal.sale(1, present(card, pin="")).message.fields
        frames = []
        for stan in range(len(self._sales) + 100, len(self._sales) + 100 + count):
            amount_minor = int(faults.between(KIND, 1, AMOUNT_MINOR_MAX))
            fields = {**like, 4: f"{amount_minor:012d}", 11: f"{stan:06d}"}
            frame = assemble(self._me, kinds.SALE, fields, keys).frame
            framed = len(frame).to_bytes(_FRAME_HEADER_BYTES, "big") + frame
            self._sales[f"{stan:06d}"] = (amount_minor, framed)
            frames.append(framed)
        return frames

    def _send(self, frames: list[bytes]) -> None:
        """Send them on a few connections of their own, all at once."""
        network = self.world.network
        for place in range(CONNECTIONS):
            try:
                stream = network.open(network.door(SWITCH), self._host)
            except OSError:
                continue
            for frame in frames[place::CONNECTIONS]:
                stream.push(frame)
            network.agenda.after(60.0, partial(stream.close))

    def _told(self, message: Message) -> None:
        """What it is told under a MAC, the terminal believes; it is the same each time."""
        stan = message.get(11)
        if message.get(41) != self._me.terminal_id or message.mti != "0210":
            return
        if message.get(64) and stan in self._sales:
            self._answers[stan] = message
