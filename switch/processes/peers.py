"""The other workers as one of them sees them: bank links that are there, and those that are here.

Each pair of workers has a :class:`Channel`. Over it go requests to banks whose links the other one
has, and from there how these links are. Which worker has which bank says the supervisor.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from math import inf
from typing import Any

import trio

from acquirer.codecs.message import Message
from acquirer.config.tcp_stream import TcpStream
from acquirer.routing.links.link_states import LinkState
from acquirer.routing.links.shared_link import BankPlace, LinkView
from acquirer.routing.outcomes import BankOutcome, NoReply, NotSent, Replied
from acquirer.switch.processes.channel import CallFailed, Channel, ChannelLost

_LINK_DOWN = NotSent("link down")
_EXPIRED = NotSent("expired")
_LOST = NoReply("link lost")


class Peer:
    """Another worker; a ``Relay`` to the banks whose links it has."""

    def __init__(self, stream: trio.abc.Stream, places: Places) -> None:
        self._places = places
        self._channel = Channel(stream, self._serve, self._hear, self._lost)

    async def run(self) -> None:
        """Talk to it until it is gone."""
        for place in self._places.here():
            self.show(place)
        await self._channel.run()

    def show(self, place: BankPlace) -> None:
        """Say how links are that are here."""
        now = trio.current_time()
        shown = [
            (view.link, view.state.value, view.is_held, view.zpk, _left(view, now))
            for view in place.views()
        ]
        self._channel.tell("views", place.bank, shown)

    async def exchange(
        self, bank: str, link: str, message: Message, deadline: float
    ) -> BankOutcome:
        """As ``BankLink.exchange``, over a link that this worker has."""
        left_s = deadline - trio.current_time()
        if left_s <= 0:
            return _EXPIRED
        try:
            told = await self._channel.call(
                "exchange", bank, link, message.mti, message.fields, left_s
            )
        except ChannelLost as lost:
            return _LOST if lost.may_have_left else _LINK_DOWN
        except CallFailed:
            return _LOST
        return _outcome(*told)

    async def _serve(
        self, kind: str, bank: str, link: str, mti: str, fields: dict[int, str], left_s: float
    ) -> tuple[Any, ...]:
        deadline = trio.current_time() + left_s
        message = Message(mti, fields)
        outcome = await self._places.of(bank).serve(link, message, deadline)
        if isinstance(outcome, Replied):
            return "replied", outcome.message.mti, outcome.message.fields
        return "not_sent" if isinstance(outcome, NotSent) else "no_reply", outcome.reason

    def ask(self, bank: str) -> None:
        """Have it say how a bank's links are."""
        self._channel.tell("show", bank, [])

    def _hear(self, kind: str, bank: str, shown: list[Any]) -> None:
        if kind == "show":
            self.show(self._places.of(bank))
            return
        now = trio.current_time()
        views = [
            LinkView(
                link,
                LinkState(state),
                is_held,
                zpk,
                {key: inf if left_s is None else now + left_s for key, left_s in good.items()},
            )
            for link, state, is_held, zpk, good in shown
        ]
        self._places.of(bank).see(self, views)

    def _lost(self) -> None:
        for place in self._places.all():
            place.lost(self)


def _left(view: LinkView, now: float) -> dict[str, float | None]:
    """Keys and the seconds for which each is good; None for ever."""
    return {zpk: None if until == inf else until - now for zpk, until in view.good_zpks.items()}


def _outcome(kind: str, *told: Any) -> BankOutcome:
    if kind == "replied":
        return Replied(Message(*told))
    return NotSent(*told) if kind == "not_sent" else NoReply(*told)


class Places:
    """Where the links of all banks are, and the other workers by slot.

    Args:
        nursery: runs the talk with other workers, and hand-overs.
        told: called when a bank's links have left this worker in order.
    """

    def __init__(self, nursery: trio.Nursery, told: Callable[[str], None]) -> None:
        self._nursery = nursery
        self._told = told
        self._places: dict[str, BankPlace] = {}
        self._peers: dict[int, Peer] = {}
        self._owners: dict[str, int] = {}

    def of(self, bank: str) -> BankPlace:
        """A bank's."""
        if bank not in self._places:
            self._places[bank] = BankPlace(bank, self._show)
        return self._places[bank]

    def all(self) -> list[BankPlace]:
        """All that were asked for."""
        return list(self._places.values())

    def here(self) -> list[BankPlace]:
        """Those whose links this worker has."""
        return [place for place in self._places.values() if place.is_here]

    def meet(self, slot: int, end: socket.socket) -> None:
        """Another worker has come; its predecessor in this slot is gone."""
        stream = TcpStream(end)
        peer = self._peers[slot] = Peer(stream, self)
        self._nursery.start_soon(peer.run)
        for bank, owner in self._owners.items():
            if owner == slot:
                self._follow(bank, peer)

    def follow(self, bank: str, slot: int) -> None:
        """The bank's links are in this slot's worker, or, with 0, on their way."""
        self._owners[bank] = slot
        self._follow(bank, self._peers.get(slot))

    def take(self, bank: str) -> None:
        """The bank's links are here from now on."""
        self._owners[bank] = 0
        self.of(bank).take()

    def give_up(self, bank: str) -> None:
        """Let a bank's links go, in order."""
        self._nursery.start_soon(self._give_up, bank)

    async def _give_up(self, bank: str) -> None:
        place = self.of(bank)
        await place.give_up()
        self._told(bank)

    def _follow(self, bank: str, peer: Peer | None) -> None:
        self.of(bank).follow(peer)
        if peer is not None:
            peer.ask(bank)

    def _show(self, place: BankPlace) -> None:
        for peer in self._peers.values():
            peer.show(place)
