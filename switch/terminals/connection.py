"""One terminal's connection: how long it may be silent, its requests in flight, its replies.

Source: docs/interfaces/terminal.md, part 1.
"""

from __future__ import annotations

import math

import trio

from acquirer.config.tcp_stream import TcpStream
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
    """

    __slots__ = (
        "_begun_at", "_limits", "_lock", "_renew_at", "_turn", "address", "closed", "in_flight",
        "proven", "reading", "stream"
    )  # fmt: skip

    def __init__(self, stream: trio.abc.Stream, address: str, limits: LimitSettings) -> None:
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

    def close(self) -> None:
        """Close at once: the reading task ends, and takes the stream with it."""
        self.closed = True
        self.reading.cancel()
