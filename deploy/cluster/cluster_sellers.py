"""Terminals that sell through whatever happens, and remember what they were told."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import trio

from acquirer.config.estate import Card, Estate
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.identity import identity
from acquirer.terminals_sim.link import TerminalLink, tcp
from acquirer.terminals_sim.state import TerminalState
from acquirer.terminals_sim.store import MemoryStore
from acquirer.terminals_sim.terminal import Terminal

AMOUNT_MINOR = 100
ANSWER_S = 3.0
PAUSE_S = 0.2
SETTLE_S = 180.0


@dataclass(frozen=True, slots=True)
class Approval:
    """A sale that a terminal was told 00 for; times by the monotonic clock, in seconds."""

    terminal_id: str
    batch: str
    stan: str
    asked_at: float
    told_at: float


@dataclass(slots=True)
class _Room:
    """Where one terminal sells: whether it may, and whether it has stopped."""

    opened: trio.Event = field(default_factory=trio.Event)
    left: trio.Event = field(default_factory=trio.Event)


@dataclass(slots=True)
class Sellers:
    """Terminals that sell one thing after the other.

    Attributes:
        approvals: all, in the order in which they were told.
        others: how many of each other outcome there were.
    """

    estate: Estate
    addresses: Sequence[str]
    approvals: list[Approval] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=dict)
    _rooms: list[_Room] = field(init=False)

    def __post_init__(self) -> None:
        self._rooms = [_Room() for _ in self.estate.terminals]

    async def run(self) -> None:
        """Sell while open, until cancelled."""
        async with trio.open_nursery() as nursery:
            for index, terminal in enumerate(self.estate.terminals):
                address = self.addresses[index % len(self.addresses)]
                card = self.estate.cards[index % len(self.estate.cards)]
                nursery.start_soon(
                    self._sell, terminal.terminal_id, address, card, self._rooms[index]
                )

    def open(self) -> None:
        """Begin to sell, or go on."""
        for room in self._rooms:
            room.opened.set()

    async def close(self) -> None:
        """Sell no more; on return each terminal has sent all that it owed, its reversals.

        Raises:
            trio.TooSlowError: one could not.
        """
        with trio.fail_after(SETTLE_S):
            for room in self._rooms:
                room.opened = trio.Event()
            for room in self._rooms:
                await room.left.wait()
                room.left = trio.Event()

    async def _sell(self, terminal_id: str, address: str, card: Card, room: _Room) -> None:
        who = identity(self.estate, terminal_id)
        terminal = Terminal(who, TerminalState(who.terminal_id), journal_max=2)
        host, _, port = address.rpartition(":")
        link = TerminalLink(tcp(host, int(port)))
        async with TerminalClient(terminal, MemoryStore(), link, timeout_s=ANSWER_S) as client:
            result = await client.sign_on()
            while not result.approved:
                await trio.sleep(PAUSE_S)
                result = await client.sign_on()
            while True:
                await room.opened.wait()
                while room.opened.is_set():
                    await self._sale(client, card)
                owed = await client.settle_debts()
                while owed is not None:
                    await trio.sleep(PAUSE_S)
                    owed = await client.settle_debts()
                room.left.set()

    async def _sale(self, client: TerminalClient, card: Card) -> None:
        asked_at = time.monotonic()
        result = await client.sale(AMOUNT_MINOR, card, pin="")
        if result.approved:
            named = (client.state.terminal_id, result.batch, result.stan)
            self.approvals.append(Approval(*named, asked_at, time.monotonic()))
        else:
            name = f"{result.outcome} {result.response_code}".strip()
            self.others[name] = self.others.get(name, 0) + 1
        await trio.sleep(PAUSE_S)
