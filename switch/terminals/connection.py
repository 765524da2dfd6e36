"""One terminal's connection: how long it may be silent, its requests in flight, its replies.

Source: docs/interfaces/terminal.md, part 1.
"""

from __future__ import annotations

import math

import trio

from acquirer.config.tcp_stream import TcpStream
from acquirer.switch.processes.handed import HandedStream
from acquirer.switch.settings import LimitSettings

SEND_S = 10.0
DEADLINE_MOVES = 64
"""How often a busy connection's deadline moves in one idle time: moving it costs a heap's entry."""


class Connection:
    """One terminal's stream, with replies sent whole and requests counted.

    Attributes:
        address: where it comes from; empty where that is not known.
        in_flight: requests that are not answered yet.
        closed: whether nothing is read or sent any more.
        proven: whether a message of it was answered.
        reading: cancelled to end it; its deadline is when patience ends.
        handed: the stream without TLS, where another process of the switch handed it over.
        is_leaving: whether it is to go back there as soon as nothing is under way on it.
    """

    __slots__ = (
        "_begun_at", "_is_going", "_limits", "_lock", "_renew_at", "_turn", "_was_heard",
        "address", "closed", "handed", "in_flight", "is_leaving", "proven", "reading", "stream",
    )  # fmt: skip

    def __init__(
        self,
        stream: trio.abc.Stream,
        address: str,
        limits: LimitSettings,
        handed: HandedStream | None = None,
    ) -> None:
        self.handed = handed
        self.is_leaving = self._is_going = self._was_heard = False
        self.stream = stream
        self.address = address
        self.in_flight = 0
        self.closed = False
        self.proven = False
        self.reading = trio.CancelScope()
        self._limits = limits
        self._begun_at: float | None = None
        self._renew_at = 0.0
        self._lock = trio.Lock()
        self._turn: trio.Event | None = None

    def heard(self, now: float, *, whole: bool, partial: bool) -> None:
        """Something came, or the connection begins: set when patience ends.

        Args:
            now: trio's clock.
            whole: whether a frame became whole; patience begins anew, a 64th later at the most.
            partial: whether a part of another one is there.
        """
        patience_s = self._limits.idle_s if self.proven else self._limits.first_frame_s
        if partial:
            if whole or self._begun_at is None:
                self._begun_at = now
            whole_by = self._begun_at + self._limits.frame_s
            by = now + patience_s if whole else self.reading.deadline
            self.reading.deadline = min(by, whole_by)
            self._renew_at = now
        elif whole and now >= self._renew_at:
            self._begun_at = None
            self._renew_at = now + patience_s / DEADLINE_MOVES
            self.reading.deadline = self._renew_at + patience_s

    def prove(self, now: float) -> None:
        """A message was answered: from now on it may be silent for longer."""
        self.proven = True
        if self.handed is not None:
            self.handed.prove()
        self._renew_at = now
        if self._begun_at is None and self._turn is None:
            self.heard(now, whole=True, partial=False)

    async def send(self, reply: bytes) -> None:
        """Send a reply; a terminal that has gone or does not read loses it."""
        if self.closed:
            return
        try:
            left: bytes | memoryview = reply
            if isinstance(self.stream, TcpStream) and not self._lock.locked():
                left = self.stream.send_now(reply)
            if left:
                await self._send_slowly(left)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            self.close()

    async def _send_slowly(self, reply: bytes | memoryview) -> None:
        with trio.move_on_after(SEND_S) as sending:
            async with self._lock:
                await self.stream.send_all(reply)
        if sending.cancelled_caught:
            self.close()

    async def wait_for_turn(self, pipelined_max: int) -> None:
        """Wait until fewer than ``pipelined_max`` requests of this connection are in flight."""
        if self.in_flight < pipelined_max:
            return
        self.reading.deadline = math.inf
        while self.in_flight >= pipelined_max:
            self._turn = trio.Event()
            await self._turn.wait()
        self._renew_at = 0.0
        self.heard(trio.current_time(), whole=True, partial=self._begun_at is not None)

    def done(self) -> None:
        """One request of this connection has ended."""
        self.in_flight -= 1
        if self._turn is not None:
            self._turn.set()
            self._turn = None
        if self.is_leaving:
            self._was_heard = True
            self._let_go()

    @property
    def is_movable(self) -> bool:
        """Whether another process could go on with it: not under TLS."""
        return self.handed is not None and self.stream is self.handed

    def leave(self) -> None:
        """Have it go back as soon as nothing is under way on it."""
        self.is_leaving = True
        self._let_go()

    def may_go(self, pending_bytes: int) -> bool:
        """Whether it goes now, and nothing more is read; not in the middle of a frame."""
        self._is_going = self.is_leaving and self.is_movable and not pending_bytes
        self._is_going &= not self.in_flight
        return self._is_going

    def go_back(self) -> None:
        """Hand it back, if it goes."""
        if self._is_going and not self.closed and self.handed is not None:
            self.handed.give_back()

    def _let_go(self) -> None:
        """Wake who reads; under TLS close it, between an answer and the next request."""
        if self.in_flight or self.handed is None:
            return
        if self.is_movable:
            self.handed.interrupt()
        elif self._was_heard:
            self.close()

    def close(self) -> None:
        """Close at once: the reading task ends, and takes the stream with it."""
        self.closed = True
        self.reading.cancel()
