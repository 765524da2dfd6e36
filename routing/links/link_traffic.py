"""What travels on one connection of a bank link: frames out, frames in, replies matched.

The trio shell round ``mux`` and the framing: a reader, a writer that shares one ``send_all``
among all that is ready, and a sweeper that ends what is overdue. It knows no states, keys or
transactions; ``link.py`` does. What the peer starts and what nobody waits for goes to a bounded
inbox.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

import trio
from trio.lowlevel import Abort, ParkingLot, current_task, reschedule, wait_task_rescheduled

from acquirer.codecs.dialect import Dialect, load_dialect
from acquirer.codecs.errors import DialectError, FrameError, RemoteFormatError
from acquirer.codecs.framing import FrameDecoder, LengthHeader
from acquirer.codecs.message import Message
from acquirer.routing.banks.messages import decides
from acquirer.routing.errors import BankSettingsError
from acquirer.routing.links.link_drops import LinkDrops, place_of, shown_of
from acquirer.routing.links.mux import MatchKey, Mux, Slot
from acquirer.routing.outcomes import BankOutcome, LinkCounters, NoReply, NotSent, Replied
from acquirer.routing.settings import BankSettings

_INBOX_MAX = 64
_ANSWERS_MAX = 64
_RECEIVE_BYTES = 65536
# After so many messages of one peer the others have their turn.
FRAMES_AT_ONCE = 64
_SUSPECT_S = 1.0

_LINK_DOWN = NotSent("link down")
_EXPIRED = NotSent("expired")
_DUPLICATE = NotSent("duplicate key")
_WINDOW_FULL = NotSent("window full")
_TIMEOUT = NoReply("timeout")
_LOST = NoReply("link lost")


def wire_format(settings: BankSettings) -> tuple[Dialect, LengthHeader]:
    """The dialect and the length header of a link.

    Raises:
        BankSettingsError: there are no such.
    """
    try:
        dialect = load_dialect(settings.dialect)
        if settings.length_header:
            return dialect, LengthHeader.parse(settings.length_header)
    except DialectError as error:
        raise BankSettingsError(settings.name, "dialect", str(error)) from None
    return dialect, dialect.length_header


class _Waiter:
    """A task that waits for a reply, and what it got."""

    __slots__ = ("outcome", "task")

    def __init__(self, task: trio.lowlevel.Task) -> None:
        self.task = task
        self.outcome: BankOutcome = _LOST

    def wake(self, outcome: BankOutcome) -> None:
        self.outcome = outcome
        reschedule(self.task)


class LinkTraffic:
    """The messages of one link, over one connection after another.

    Attributes:
        received_at: when a message last came, on trio's clock.
        suspect: whether a request got no reply while nothing at all was received.
        stirred: tasks parked here wake when ``suspect`` is set or the owner unparks them.
    """

    def __init__(
        self,
        settings: BankSettings,
        dialect: Dialect,
        header: LengthHeader,
        counters: LinkCounters,
        taken: set[MatchKey],
        *,
        drops: LinkDrops,
        on_malformed: Callable[[Message, str], None],
    ) -> None:
        self.received_at = 0.0
        self.suspect = False
        self.stirred = ParkingLot()
        self._dialect = dialect
        self._header = header
        self._counters = counters
        self._taken = taken
        self._drops = drops
        self._on_malformed = on_malformed
        self._frame_bytes_max = settings.frame_bytes_max
        self._mux: Mux[_Waiter] = Mux(settings.window)
        self._outbox: list[tuple[Slot[_Waiter] | None, bytes]] = []
        self._outbox_filled = ParkingLot()
        self._inbox: deque[tuple[bytes, Message]] = deque()
        self._inbox_filled = ParkingLot()
        self._sweep_scope = trio.CancelScope()
        self._is_writing = False

    @property
    def in_flight(self) -> int:
        """Requests that wait for a reply."""
        return len(self._mux)

    def latest_deadline(self) -> float:
        """The latest deadline in flight, minus infinity where there is none."""
        return self._mux.latest_deadline()

    def frame(self, raw: bytes, envelope: bytes | None = None) -> bytes:
        """A message as it goes out: length header, envelope, message, trailer.

        Raises:
            LocalFormatError: it is longer than the length header can say.
        """
        return self._header.encode(self._dialect.frame_body(raw, envelope))

    async def exchange(self, message: Message, frame: bytes, deadline: float) -> BankOutcome:
        """Send a request and wait for its reply; cancelling releases the slot.

        Args:
            message: for its match key.
            frame: its bytes, as :meth:`frame` gives them.
            deadline: on trio's clock.
        """
        key = self._dialect.match_key(message)
        if message.mti[1] == "8":
            return await self._exchange(key, frame, deadline)
        if key in self._taken:
            self._counters.refused_duplicate += 1
            return _DUPLICATE
        self._taken.add(key)
        try:
            return await self._exchange(key, frame, deadline)
        finally:
            self._taken.discard(key)

    async def _exchange(self, key: MatchKey, frame: bytes, deadline: float) -> BankOutcome:
        slot = self._mux.open(key, deadline, _Waiter(current_task()))
        if not isinstance(slot, Slot):
            if slot.reason == "window":
                self._counters.refused_window += 1
                return _WINDOW_FULL
            self._counters.refused_duplicate += 1
            return _DUPLICATE
        self._outbox.append((slot, frame))
        self._outbox_filled.unpark()
        return await self._wait(slot)

    async def wait_again(self, message: Message, deadline: float) -> BankOutcome | None:
        """Wait on for the reply to a request that was sent; None where that is impossible."""
        key = self._dialect.match_key(message)
        slot = self._mux.open(key, deadline, _Waiter(current_task()))
        if not isinstance(slot, Slot):
            return None
        slot.sent = True
        return await self._wait(slot)

    def answer(self, frame: bytes) -> Literal["queued", "dropped"]:
        """Queue an answer to something that the peer started."""
        if len(self._outbox) >= self._mux.window + _ANSWERS_MAX:
            self._counters.overflowed += 1
            return "dropped"
        self._outbox.append((None, frame))
        self._outbox_filled.unpark()
        return "queued"

    async def next_inbound(self) -> tuple[bytes, Message]:
        """The next message that is no awaited reply, with the envelope it came in."""
        while not self._inbox:
            await self._inbox_filled.park()
        return self._inbox.popleft()

    async def carry(self, stream: trio.abc.Stream, session: trio.CancelScope) -> None:
        """Move messages over a connection until the peer ends it or the stream is unusable.

        Args:
            stream: the connection.
            session: cancelled at the end.

        Resource handling: the caller closes the stream and calls :meth:`lost`.
        """
        self.suspect = self._is_writing = False
        self.received_at = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, stream, nursery.cancel_scope)
            nursery.start_soon(self._sweep)
            await self._read(stream)
            nursery.cancel_scope.cancel()
        session.cancel()

    def lost(self) -> None:
        """End everything in flight: the connection is gone."""
        for slot in self._mux.close():
            if slot.sent:
                slot.waiter.wake(_LOST)
            else:
                self._counters.expired_unsent += 1
                slot.waiter.wake(_LINK_DOWN)
        self._outbox.clear()
        for _, message in self._inbox:
            self._drops.tell("link_message_dropped", message, reason="link lost")
        self._inbox.clear()

    async def farewell(self, stream: trio.abc.Stream, frame: bytes) -> None:
        """Send a last frame, unless another was cut off half-way."""
        if not self._is_writing:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await stream.send_all(frame)

    async def _wait(self, slot: Slot[_Waiter]) -> BankOutcome:
        if slot.deadline < self._sweep_scope.deadline:
            self._sweep_scope.deadline = slot.deadline

        def abort(_: object) -> Abort:
            self._mux.release(slot)
            return Abort.SUCCEEDED

        await wait_task_rescheduled(abort)
        return slot.waiter.outcome

    async def _read(self, stream: trio.abc.Stream) -> None:
        decoder = FrameDecoder(self._header, self._frame_bytes_max, tolerant=True)
        try:
            while received := await stream.receive_some(_RECEIVE_BYTES):
                await self._take_all(decoder.feed(bytes(received)))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        except FrameError as error:
            await self._take_all(error.frames)
            self._refuse(b"", error)

    async def _take_all(self, frames: Sequence[bytes]) -> None:
        for count, frame in enumerate(frames, 1):
            self._take(frame)
            if not count % FRAMES_AT_ONCE:
                # Not to be cancelled: replies that have come are not lost with their connection.
                await trio.lowlevel.cancel_shielded_checkpoint()

    def _take(self, frame: bytes) -> None:
        raw = b""
        try:
            if not frame:
                raise RemoteFormatError(f"no byte, or more than {self._frame_bytes_max}")
            envelope, raw = self._dialect.split_envelope(frame)
            message = self._understood(raw)
        except RemoteFormatError as error:
            self._refuse(raw, error)
            return
        # Not at the bytes: a length that lies may swallow replies for a long time.
        self.received_at = trio.current_time()
        if message.mti[2] in "13":
            slot = self._mux.match(self._dialect.match_key(message))
            if slot is not None:
                self._counters.replied += 1
                slot.waiter.wake(Replied(message))
                return
        if len(self._inbox) >= _INBOX_MAX:
            self._counters.overflowed += 1
            self._drops.tell("link_message_dropped", message, reason="too many at once")
            return
        self._inbox.append((envelope, message))
        self._inbox_filled.unpark()

    def _understood(self, raw: bytes) -> Message:
        """A message with all that decides; what else cannot be read is left out, and told.

        Raises:
            RemoteFormatError: it cannot be understood, or something that decides is missing.
        """
        message, faults = self._dialect.decode_around(raw)
        try:
            for fault in faults:
                number = int(fault.field)
                if decides(number, message.mti) or self._dialect.is_needed(number, message.mti):
                    raise fault
            self._dialect.check_needs(message)
        except RemoteFormatError as error:
            error.readable = {0: message.mti, **message.fields}
            raise
        for fault in faults:
            self._drops.tell("link_field_left_out", message, **place_of(fault))
        return message

    def _refuse(self, raw: bytes, error: RemoteFormatError) -> None:
        """Count a message that cannot be understood, tell of it, and keep it for the operator."""
        self._counters.malformed += 1
        shown = shown_of(self._dialect, raw, error)
        self._drops.tell("link_message_malformed", shown, **place_of(error))
        self._on_malformed(shown, str(error))

    async def _write(self, stream: trio.abc.Stream, carrying: trio.CancelScope) -> None:
        try:
            while True:
                while not self._outbox:
                    await self._outbox_filled.park()
                batch, self._outbox = self._outbox, []
                frames: list[bytes] = []
                for slot, frame in batch:
                    if slot is None:
                        frames.append(frame)
                    elif slot.is_open:
                        slot.sent = True
                        frames.append(frame)
                if frames:
                    self._counters.sent += len(frames)
                    self._is_writing = True
                    await stream.send_all(b"".join(frames))
                    self._is_writing = False
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            carrying.cancel()

    async def _sweep(self) -> None:
        """End the slots whose time is over."""
        while True:
            with trio.CancelScope(deadline=self._mux.next_deadline()) as scope:
                self._sweep_scope = scope
                await trio.sleep_forever()
            now = trio.current_time()
            for slot in self._mux.expire(now):
                if not slot.sent:
                    self._counters.expired_unsent += 1
                    slot.waiter.wake(_EXPIRED)
                    continue
                self._counters.timed_out += 1
                slot.waiter.wake(_TIMEOUT)
                if now - self.received_at > _SUSPECT_S and not self.suspect:
                    self.suspect = True
                    self.stirred.unpark_all()
