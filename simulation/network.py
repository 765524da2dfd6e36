"""A simulated network: streams between named parties, with delays and the faults of a seed.

Streams behave as TCP does: bytes in order, in any split, until an end that a side may never learn
of. On connections that carry frames with a two-byte length header, faults strike whole
frames too: lost, late, doubled, overtaken, mangled, or sent once more on a connection of its own.
The clock delivers everything in the order of time. Nothing here knows messages.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from random import Random

import trio
from trio.lowlevel import ParkingLot

from acquirer.simulation.clock import DayClock
from acquirer.simulation.day import Faults
from acquirer.simulation.trace import Trace

LATENCY_MIN_S, LATENCY_MAX_S = 0.0005, 0.004
# The fault that a service has a second door; copies of a frame then reach both at one time.
TWO_DOORS = "sibling"
TWIN = "twin"
AT_ONCE = 3
CHANGES_DOORS = 0.6
_HEADER_BYTES = 2
_FRAME_FAULTS = ("loss", "duplicate", "reorder", "garbage")
_STREAM_FAULTS = ("half_open", "cut", "partial")

Tap = Callable[[bytes], None]


class Host:
    """One end's process: what it holds is gone at once when it dies."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.streams: dict[int, SimStream] = {}

    def drop(self) -> None:
        """The process is dead: every peer is told so by its own stack, as far as it can be."""
        for stream in list(self.streams.values()):
            stream.reset()


@dataclass(slots=True)
class Route:
    """How a service is reached.

    Attributes:
        serve: takes the far end of each connection.
        is_framed: whether frames with a two-byte length travel.
        twins: whether frames of callers may be sent again on a connection of their own.
        said: sees every whole frame that the service sends, and by ``to_copy`` whether to a copy.
        heard: sees every whole frame that callers send, as somebody on the way does.
    """

    host: Host
    serve: Callable[[SimStream], None]
    is_framed: bool = True
    twins: bool = False
    said: Callable[..., None] | None = None
    heard: Tap | None = None


class Network:
    """All connections of a run.

    Attributes:
        routes: services by name.
        doors: those that are one service to callers: each of them will do.
    """

    def __init__(self, agenda: DayClock, faults: Faults, trace: Trace, draw: Random) -> None:
        self.agenda = agenda
        self.faults = faults
        self.trace = trace
        self.routes: dict[str, Route] = {}
        self.doors: tuple[str, ...] = ()
        self._draw = draw
        self._numbers = count(1)
        self._stalled: list[SimStream] = []

    def latency_s(self) -> float:
        """How long something small takes now."""
        return self._draw.uniform(LATENCY_MIN_S, LATENCY_MAX_S)

    def door(self, name: str) -> str:
        """A service that will do in place of another."""
        return self.faults.choice(TWO_DOORS, self.doors) if name in self.doors else name

    def changes_doors(self) -> bool:
        """Whether a caller hangs up now, to come to either door next."""
        return bool(self.doors) and self.faults.between(TWO_DOORS, 0.0, 1.0) < CHANGES_DOORS

    async def connect(self, name: str, host: Host) -> SimStream:
        """Connect to a service.

        Raises:
            OSError: nobody listens there.
        """
        await trio.sleep(self.latency_s())
        return self.open(name, host)

    def open(self, name: str, host: Host) -> SimStream:
        """As :meth:`connect`, at once.

        Raises:
            OSError: nobody listens there.
        """
        route = self.routes.get(name)
        if route is None:
            raise ConnectionRefusedError(f"{name} does not listen")
        number = next(self._numbers)
        near = SimStream(self, f"{host.name}>{name}#{number}", host, number)
        far = SimStream(self, f"{name}>{host.name}#{number}", route.host, -number)
        near.join(far)
        near.is_framed = far.is_framed = route.is_framed
        if route.twins:
            near.twin = partial(self._twin, name)
        is_copy = host.name == TWIN
        far.said = partial(route.said, to_copy=is_copy) if route.said else None
        near.said = None if is_copy else route.heard
        route.serve(far)
        return near

    def _twin(self, name: str, frame: bytes) -> None:
        """Send a frame once more, later, on a connection that nobody reads."""
        if name in self.doors and self.faults.strikes(TWO_DOORS):
            for _ in range(AT_ONCE):
                self.inject(name, frame)
        if not self.faults.strikes("twin"):
            return
        delay_s = self.faults.between("twin", 0.0, 0.01)
        if self.faults.between("twin", 0.0, 1.0) < 0.3:
            delay_s = self.faults.between("twin", 0.01, 40.0)
        self.agenda.after(delay_s, partial(self.inject, name, frame))

    def inject(self, name: str, frame: bytes) -> None:
        """Send a frame on a connection of its own; its answer is lost."""
        try:
            stream = self.open(self.door(name), Host(TWIN))
        except OSError:
            return
        self.trace.note("network", f"{stream.name}: a frame of {len(frame)} bytes once more")
        stream.push(frame)
        self.agenda.after(60.0, stream.close)

    async def away(self, name: str, seconds: float) -> None:
        """Let a service be gone for so long: nobody listens, and every connection breaks.

        One that is gone already returns when it was to return.
        """
        route = self.routes.pop(name, None)
        if route is None:
            return
        self.trace.note("network", f"{name} is gone for {seconds:.1f} s")
        route.host.drop()
        try:
            await trio.sleep(seconds)
        finally:
            self.routes[name] = route

    def stalled(self, stream: SimStream) -> None:
        """Remember a half-open connection, to end it when the network heals."""
        self._stalled.append(stream)

    def heal(self) -> None:
        """End what is half open."""
        for stream in self._stalled:
            stream.reset()
        self._stalled.clear()


class SimStream(trio.abc.Stream):
    """One end of a connection."""

    def __init__(self, network: Network, name: str, host: Host, key: int) -> None:
        self.name = name
        self.is_framed = False
        self.twin: Tap | None = None
        self.said: Tap | None = None
        self._network = network
        self._host = host
        self._key = key
        self._peer = self
        self._received: deque[bytes] = deque()
        self._filled = ParkingLot()
        self._has_ended = self._is_reset = self._is_closed = self._is_stalled = False
        self._in_order_at = 0.0
        self._unframed = b""
        host.streams[key] = self

    def join(self, peer: SimStream) -> None:
        """Make two ends one connection."""
        self._peer, peer._peer = peer, self

    # What trio's streams do.

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send; returns before the peer has it."""
        self._check_sending()
        self.push(bytes(data))
        await trio.lowlevel.checkpoint()
        self._check_sending()

    def _check_sending(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError
        if self._is_reset:
            raise trio.BrokenResourceError

    async def wait_send_all_might_not_block(self) -> None:
        """It never blocks."""
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What has arrived, empty at the end."""
        if self._received or self._has_ended or self._is_closed or self._is_reset:
            await trio.lowlevel.checkpoint()
        while not self._received:
            if self._is_closed:
                raise trio.ClosedResourceError
            if self._is_reset:
                raise trio.BrokenResourceError
            if self._has_ended:
                return b""
            await self._filled.park()
        data = self._received.popleft()
        if max_bytes is not None and len(data) > max_bytes:
            self._received.appendleft(data[max_bytes:])
            data = data[:max_bytes]
        return data

    async def aclose(self) -> None:
        """Close; what was sent still arrives."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """As :meth:`aclose`, at once."""
        if self._is_closed:
            return
        self._is_closed = True
        self._host.streams.pop(self._key, None)
        self._filled.unpark_all()
        if not self._is_stalled and not self._is_reset:
            self._deliver(self._peer._end, self._network.latency_s())

    def reset(self) -> None:
        """The connection breaks: both ends learn it, this one at once."""
        self._broken()
        if not self._is_stalled:
            self._network.agenda.after(self._network.latency_s(), self._peer._broken)
        else:
            self._peer._broken()

    def _broken(self) -> None:
        self._is_reset = True
        self._host.streams.pop(self._key, None)
        self._filled.unpark_all()

    def _end(self) -> None:
        self._has_ended = True
        self._filled.unpark_all()

    # What the network does with what is sent.

    def push(self, data: bytes) -> None:
        """Give bytes to the network."""
        if self._is_stalled or self._is_closed or self._is_reset:
            return
        self._network.trace.bytes(self.name.encode(), data)
        fault = self._network.faults.first(_STREAM_FAULTS)
        if fault:
            self._strike(fault, data)
            return
        if not self.is_framed:
            self._deliver(partial(self._peer._arrive, data), self._delay_s())
            return
        data = self._unframed + data
        start = 0
        while len(data) - start >= _HEADER_BYTES:
            end = start + _HEADER_BYTES + int.from_bytes(data[start : start + _HEADER_BYTES], "big")
            if end > len(data):
                break
            self._send_frame(data[start:end])
            start = end
        self._unframed = data[start:]

    def _send_frame(self, frame: bytes) -> None:
        network, faults = self._network, self._network.faults
        if self.said is not None:
            self.said(frame)
        fault = faults.first(_FRAME_FAULTS)
        if fault:
            network.trace.note("network", f"{self.name}: {fault}")
        if self.twin is not None and fault != "garbage":
            # What is refused for its MAC leaves no trace, so a good copy of it would be new.
            self.twin(frame)
        if fault == "loss":
            return
        if fault == "reorder":
            later_s = faults.between(fault, 0.0, 0.05)
            network.agenda.after(later_s, partial(self._peer._arrive, frame))
            return
        if fault == "garbage":
            frame = self._mangled(frame)
        self._deliver(partial(self._arrive_at_peer, frame), self._delay_s())
        if fault == "duplicate":
            later_s = faults.between(fault, 0.0, 2.0)
            network.agenda.after(later_s, partial(self._peer._arrive, frame))

    def _mangled(self, frame: bytes) -> bytes:
        faults = self._network.faults
        form = faults.choice("garbage", ("bit", "noise", "before", "length"))
        at = int(faults.between("garbage", _HEADER_BYTES, len(frame) - 1))
        if form == "bit":
            flipped = frame[at] ^ (1 << int(faults.between("garbage", 0, 8)))
            return frame[:at] + bytes([flipped]) + frame[at + 1 :]
        noise = faults.bytes("garbage", at)
        if form == "noise":
            return frame[:_HEADER_BYTES] + faults.bytes("garbage", len(frame) - _HEADER_BYTES)
        if form == "before":
            return len(noise).to_bytes(_HEADER_BYTES, "big") + noise + frame
        return noise

    def _strike(self, fault: str, data: bytes) -> None:
        network = self._network
        network.trace.note("network", f"{self.name}: {fault}")
        if fault == "half_open":
            self._is_stalled = self._peer._is_stalled = True
            network.stalled(self)
            return
        if fault == "partial":
            part = data[: int(network.faults.between(fault, 0, len(data)))]
            self._deliver(partial(self._peer._arrive, part), 0.0)
        self._deliver(self._peer._broken, network.latency_s())
        self._broken()

    def _delay_s(self) -> float:
        faults = self._network.faults
        if faults.strikes("delay"):
            return faults.between("delay", 0.05, 8.0)
        return self._network.latency_s()

    def _deliver(self, act: Callable[[], object], delay_s: float) -> None:
        """In order after what was sent before."""
        self._in_order_at = max(self._in_order_at, trio.current_time() + delay_s)
        self._network.agenda.at(self._in_order_at, act)

    def _arrive_at_peer(self, frame: bytes) -> None:
        faults = self._network.faults
        if len(frame) > 1 and faults.strikes("split"):
            cut = int(faults.between("split", 1, len(frame)))
            self._peer._arrive(frame[:cut])
            self._peer._arrive(frame[cut:])
            return
        self._peer._arrive(frame)

    def _arrive(self, data: bytes) -> None:
        if self._is_closed or self._is_reset or self._is_stalled or self._has_ended or not data:
            return
        self._received.append(data)
        self._filled.unpark_all()
