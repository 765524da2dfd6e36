"""Terminals' connections as a worker has them: handed over by the supervisor, and back."""

from __future__ import annotations

import math
from socket import IPPROTO_TCP, TCP_NODELAY, socket

import trio

from acquirer.config.tcp_stream import TcpStream
from acquirer.switch.processes.channel import Channel
from acquirer.switch.processes.descriptors import Hand, Handed


class HandedStream(TcpStream):
    """One connection; tells the supervisor what becomes of it.

    Attributes:
        number: by which the supervisor knows it.
        was_proven: whether another worker has answered a request on it.
    """

    def __init__(
        self, handed: socket, number: int, was_proven: bool, control: Channel, hand: Hand
    ) -> None:
        handed.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        super().__init__(handed)
        self.number = number
        self.was_proven = was_proven
        self._control = control
        self._hand = hand
        self._is_ours = True

    def prove(self) -> None:
        """A request on it was answered."""
        self._control.tell("proven", self.number)

    def interrupt(self) -> None:
        """Wake who waits for bytes, by a ClosedResourceError; nothing is lost."""
        trio.lowlevel.notify_closing(self._socket)

    def give_back(self) -> None:
        """Let another worker go on with it; nothing of it may have been read and not answered."""
        self._is_ours = False
        self._hand.give(socket(fileno=self._socket.detach()), self.number)

    async def aclose(self) -> None:
        """Close it, if it is still ours."""
        if self._is_ours:
            self._is_ours = False
            self._control.tell("closed", self.number)
        await super().aclose()


class HandedListener(trio.abc.Listener[HandedStream]):
    """Stands for the port: gives what the supervisor hands over."""

    def __init__(self, control: Channel, hand: Hand) -> None:
        self._control = control
        self._hand = hand
        self._send, self._receive = trio.open_memory_channel[HandedStream](math.inf)

    async def take(self, handed: Handed) -> None:
        """A connection has come; its note is its number and whether it is proven."""
        number, was_proven = handed.note
        stream = HandedStream(handed.socket, number, was_proven, self._control, self._hand)
        try:
            self._send.send_nowait(stream)
        except trio.ClosedResourceError:
            await trio.aclose_forcefully(stream)

    async def accept(self) -> HandedStream:
        """Wait for the next."""
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            raise trio.ClosedResourceError from None

    async def aclose(self) -> None:
        """Take no more, and close what nobody has accepted."""
        self._send.close()
        while True:
            try:
                stream = self._receive.receive_nowait()
            except (trio.EndOfChannel, trio.WouldBlock):
                break
            await trio.aclose_forcefully(stream)
        self._receive.close()
