"""One connection to the switch: frames out, frames in, time-outs. The trio shell of the wire.

A link may be shared by several terminals that take turns. It knows no messages: the caller's
``accept`` says which frame is the answer; others are dropped and counted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import trio

from acquirer.codecs.errors import FrameError
from acquirer.codecs.framing import FrameDecoder, LengthHeader
from acquirer.terminals_sim.errors import LinkError
from acquirer.terminals_sim.messages import FRAME_BYTES_MAX

STRAYS_MAX = 16
RECEIVE_BYTES = 8192

Connect = Callable[[], Awaitable[trio.abc.Stream]]
Direction = Literal["sent", "received"]
Watch = Callable[[Direction, bytes], None]
T = TypeVar("T")

_HEADER = LengthHeader()


def tcp(host: str, port: int) -> Connect:
    """A way to connect over TCP."""

    async def connect() -> trio.abc.Stream:
        return await trio.open_tcp_stream(host, port)

    return connect


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard on a connection: frames, nothing, or its end."""

    frames: tuple[bytes, ...]
    closed: bool


class TerminalLink:
    """A connection that is opened when it is needed and opened anew after a fault.

    Resource handling: :meth:`close` ends the connection; the link may be used again after it.

    Error handling: only :meth:`open` raises (:class:`LinkError`); a connection that breaks later
    is an answer that did not come.

    Args:
        connect: opens a stream.
        watch: is called with each frame, without its length header.
    """

    def __init__(self, connect: Connect, watch: Watch | None = None) -> None:
        self._connect = connect
        self._watch = watch
        self._stream: trio.abc.Stream | None = None
        self._decoder = FrameDecoder(_HEADER, FRAME_BYTES_MAX)
        self.strays = 0

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._stream is not None

    async def open(self, timeout_s: float) -> None:
        """Connect where there is no connection.

        Raises:
            LinkError: refused, unreachable, or not within ``timeout_s``.
        """
        if self._stream is not None:
            return
        try:
            with trio.fail_after(timeout_s):
                self._stream = await self._connect()
        except (OSError, trio.BrokenResourceError) as error:
            raise LinkError(f"the switch cannot be reached: {_reason(error)}") from None
        except trio.TooSlowError:
            raise LinkError("the switch cannot be reached: no connection in time") from None
        self._decoder = FrameDecoder(_HEADER, FRAME_BYTES_MAX)

    async def exchange(
        self, frame: bytes, accept: Callable[[bytes], T | None], timeout_s: float
    ) -> T | None:
        """Send a frame and wait for the one that answers it.

        Args:
            frame: without the length header.
            accept: gives a value for the answer, None for any other frame.
            timeout_s: for sending and waiting together.

        Returns:
            What ``accept`` gave, or None: no answer in time, or the connection broke. It is closed
            then, so that a late answer cannot be taken for another's.
        """
        found: T | None = None
        try:
            with trio.move_on_after(timeout_s):
                await self.send(frame)
                found = await self._answer(accept)
        finally:
            if found is None:
                await self.close()
        return found

    async def send(self, frame: bytes) -> bool:
        """Send one frame; False where the connection is gone."""
        if self._watch:
            self._watch("sent", frame)
        return await self.send_bytes(_HEADER.encode(frame))

    async def send_bytes(self, raw: bytes) -> bool:
        """Send bytes as they are, framed or not; False where the connection is gone."""
        if self._stream is None:
            return False
        try:
            await self._stream.send_all(raw)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        return True

    async def receive(self) -> list[bytes] | None:
        """The next whole frames, at least one; None where the peer closed or sent no frames."""
        while self._stream is not None:
            try:
                data = await self._stream.receive_some(RECEIVE_BYTES)
                frames = self._decoder.feed(bytes(data)) if data else None
            except (trio.BrokenResourceError, trio.ClosedResourceError, FrameError):
                return None
            if frames is None:
                return None
            for frame in frames:
                if self._watch:
                    self._watch("received", frame)
            if frames:
                return frames
        return None

    async def listen(self, timeout_s: float) -> Heard:
        """Whatever comes next within ``timeout_s``, for tests of odd behaviour."""
        with trio.move_on_after(timeout_s):
            frames = await self.receive()
            return Heard(tuple(frames or ()), closed=frames is None)
        return Heard((), closed=False)

    async def close(self) -> None:
        """End the connection, if there is one."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await trio.aclose_forcefully(stream)

    async def _answer(self, accept: Callable[[bytes], T | None]) -> T | None:
        found: T | None = None
        strays = 0
        while found is None and strays < STRAYS_MAX:
            frames = await self.receive()
            if frames is None:
                return None
            for frame in frames:
                answer = accept(frame) if found is None else None
                if answer is None:
                    strays += 1
                    self.strays += 1
                found = found if found is not None else answer
        return found


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
