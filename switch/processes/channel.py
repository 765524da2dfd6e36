"""Calls and tellings both ways over one stream between two processes of a switch: a trio shell.

Each frame is four bytes of length and a MessagePack array: ``[n, kind, arguments]`` calls, ``[0,
kind, arguments]`` tells, ``[-n, result]`` answers, ``[-n]`` alone says that the answer failed. The
other end is a process of the same program, so a frame that is none ends the channel.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog
import trio
from trio.lowlevel import Abort, current_task, reschedule, wait_task_rescheduled

from acquirer.switch.terminals.request_tasks import RequestTasks

log = structlog.get_logger("acquirer.processes")

CALLS_MAX = 8192
"""Calls of one side that wait for their answers."""
FRAME_BYTES_MAX = 16 * 1_048_576
_CANCEL = "cancel"
_HEAD = 4
_RECEIVE_BYTES = 262_144

Serve = Callable[..., Awaitable[Any]]
Hear = Callable[..., None]

_Call = tuple[int, str, list[Any]]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(strict=False).decode


class ChannelLost(Exception):
    """A call that will not be answered.

    Attributes:
        may_have_left: whether any byte of it may have reached the other side.
    """

    def __init__(self, *, may_have_left: bool) -> None:
        super().__init__("the other process is gone, or has too much to do")
        self.may_have_left = may_have_left


class CallFailed(Exception):
    """The other process could not answer a call; its log says why."""


class _Waiter:
    __slots__ = ("error", "has_left", "result", "task")

    def __init__(self, task: trio.lowlevel.Task) -> None:
        self.task = task
        self.result: Any = None
        self.error: Exception | None = None
        self.has_left = False


class Channel:
    """One end.

    Resource handling: :meth:`run` owns the stream and closes it. What is served is cancelled when
    the channel ends: whoever asked is gone.

    Args:
        stream: to the other process.
        serve: answers calls, ``serve(kind, *arguments)``.
        hear: takes tellings likewise; returns at once.
        on_lost: called once when the channel has ended, before those who wait learn it.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        serve: Serve,
        hear: Hear,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self.is_lost = False
        self._stream = stream
        self._serve = serve
        self._hear = hear
        self._on_lost = on_lost
        self._number = 0
        self._waiting: dict[int, _Waiter] = {}
        self._serving: dict[int, trio.CancelScope] = {}
        self._outbox: list[tuple[_Waiter | None, bytes]] = []
        self._filled = trio.lowlevel.ParkingLot()

    def tell(self, kind: str, *arguments: Any) -> None:
        """Say something that needs no answer; nothing where nobody is there any more."""
        self._put(None, (0, kind, arguments))

    async def call(self, kind: str, *arguments: Any) -> Any:
        """Ask something; cancelling tells the other side.

        Raises:
            ChannelLost: there will be no answer.
            CallFailed: the other side failed.
        """
        if self.is_lost or len(self._waiting) >= CALLS_MAX:
            await trio.lowlevel.checkpoint()
            raise ChannelLost(may_have_left=False)
        self._number += 1
        number = self._number
        waiter = self._waiting[number] = _Waiter(current_task())
        self._put(waiter, (number, kind, arguments))

        def abort(_: object) -> Abort:
            del self._waiting[number]
            self.tell(_CANCEL, number)
            return Abort.SUCCEEDED

        await wait_task_rescheduled(abort)
        if waiter.error is not None:
            raise waiter.error
        return waiter.result

    async def run(self) -> None:
        """Carry frames until either side ends it."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                await self._read(RequestTasks(nursery, self._answer))
                nursery.cancel_scope.cancel()
        finally:
            self.is_lost = True
            self._on_lost()
            for waiter in self._waiting.values():
                waiter.error = ChannelLost(may_have_left=waiter.has_left)
                reschedule(waiter.task)
            self._waiting.clear()
            await trio.aclose_forcefully(self._stream)

    def _put(self, waiter: _Waiter | None, frame: tuple[Any, ...]) -> None:
        if not self.is_lost:
            body = _encode(frame)
            self._outbox.append((waiter, len(body).to_bytes(_HEAD, "big") + body))
            self._filled.unpark()

    async def _write(self) -> None:
        try:
            while True:
                while not self._outbox:
                    await self._filled.park()
                batch, self._outbox = self._outbox, []
                for waiter, _ in batch:
                    if waiter is not None:
                        waiter.has_left = True
                await self._stream.send_all(b"".join(frame for _, frame in batch))
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            # The reader sees the end, after what is still to be read.
            return

    async def _read(self, tasks: RequestTasks[_Call]) -> None:
        buffer = bytearray()
        while True:
            try:
                data = await self._stream.receive_some(_RECEIVE_BYTES)
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if not data:
                return
            buffer += data
            at = 0
            while len(buffer) - at >= _HEAD:
                size = int.from_bytes(buffer[at : at + _HEAD], "big")
                if size > FRAME_BYTES_MAX:
                    log.error("channel_broken", bytes=size)
                    return
                if len(buffer) - at - _HEAD < size:
                    break
                body = bytes(buffer[at + _HEAD : at + _HEAD + size])
                at += _HEAD + size
                self._take(_decode(body), tasks)
            del buffer[:at]

    def _take(self, frame: list[Any], tasks: RequestTasks[_Call]) -> None:
        number = frame[0]
        if number < 0:
            waiter = self._waiting.pop(-number, None)
            if waiter is not None:
                if len(frame) == 2:
                    waiter.result = frame[1]
                else:
                    waiter.error = CallFailed()
                reschedule(waiter.task)
        elif number:
            tasks.start((number, frame[1], frame[2]))
        elif frame[1] == _CANCEL:
            scope = self._serving.get(frame[2][0])
            if scope is not None:
                scope.cancel()
        else:
            self._hear(frame[1], *frame[2])

    async def _answer(self, called: _Call) -> None:
        number, kind, arguments = called
        with trio.CancelScope() as scope:
            self._serving[number] = scope
            try:
                result = await self._serve(kind, *arguments)
                self._put(None, (-number, result))
            except Exception:
                log.exception("call_failed", kind=kind)
                self._put(None, (-number,))
            finally:
                del self._serving[number]
