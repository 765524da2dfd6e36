"""The terminals' TCP port: bytes in, frames to the session, replies out.

A request in flight outlives its connection, so that its outcome is stored even if the terminal
hangs up. Limits: open connections, over all and of one address (``config/admission.py``); requests
at once, over all, on one connection and of one terminal; how long one may have to wait
(``load.py``); bytes of a frame; time for the first frame, for each frame from its first byte to its
last, and between frames.
Source: docs/interfaces/terminal.md, part 1.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog
import trio

from acquirer.codecs.errors import FrameError
from acquirer.codecs.framing import FrameDecoder
from acquirer.config.admission import Admission, Turned
from acquirer.config.log_limit import LogLimit
from acquirer.config.tcp_stream import TcpStream
from acquirer.config.tls import tls_reason
from acquirer.switch.processes.handed import HandedStream
from acquirer.switch.settings import LimitSettings
from acquirer.switch.terminals.connection import Connection
from acquirer.switch.terminals.load import Load
from acquirer.switch.terminals.request_tasks import RequestTasks
from acquirer.switch.terminals.session import FRAME_BYTES_MAX, FRAMING, CloseConnection, Session
from acquirer.switch.watch.metrics import Metrics

log = structlog.get_logger("acquirer.switch")

_CAPACITY_ERRORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_CAPACITY_PAUSE_S = 0.1
_READ_BYTES = 16_384

# Where a frame came from, and whether it would wait too long.
_Arrived = tuple[Connection, bytes, bool]


class TerminalServer:
    """Serves terminals on one listening socket until told to drain.

    Resource handling: ``serve`` owns every connection; when it returns, all are closed and every
    request that was in flight has been answered or has run out of the drain time.
    """

    def __init__(
        self,
        session: Session,
        limits: LimitSettings,
        metrics: Metrics,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._session = session
        self._limits = limits
        self._metrics = metrics
        self._tls = tls
        self._admission: Admission[Connection] = Admission(
            limits.connections_max, limits.per_address_max
        )
        self._load = Load(limits.queue_s)
        self._log_limit = LogLimit()
        self._draining = trio.Event()
        self._quiet = trio.Event()
        self._handed: dict[int, Connection] = {}
        self._releases_all = False

    def drain(self) -> None:
        """Take no new connection and no new request; ``serve`` returns when all are answered."""
        self._draining.set()

    def release(self, count: int | None = None) -> None:
        """Have connections go back to where they were handed from, each between two requests.

        One under TLS cannot go: it is closed after its next answer, where all are to go.

        Args:
            count: so many; left out all, and all that come from now on.
        """
        self._releases_all |= count is None
        chosen = [
            connection
            for connection in self._handed.values()
            if not connection.is_leaving and (count is None or connection.is_movable)
        ]
        for connection in chosen[:count]:
            connection.leave()

    def close_handed(self, number: int) -> None:
        """Close a connection that was handed to this server, if it is still there."""
        if connection := self._handed.get(number):
            connection.close()

    def count_refused(self, count: int) -> None:
        """Count connections that were turned away before they were handed to this server."""
        self._metrics.refused_connections.inc(count)

    async def serve(
        self,
        listener: trio.abc.Listener[trio.abc.Stream],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve what connects to a listener, and close it at the end.

        Error handling: only errors of a full process are retried by accept; others end it.
        """
        with _watched_by(self._load):
            await self._serve(listener, task_status)

    async def _serve(
        self, listener: trio.abc.Listener[trio.abc.Stream], task_status: trio.TaskStatus[None]
    ) -> None:
        async with trio.open_nursery() as requests, trio.open_nursery() as connections:
            task_status.started()
            tasks = RequestTasks(requests, self._request)
            connections.start_soon(self._accept, listener, connections, tasks)
            await self._draining.wait()
            await listener.aclose()
            with trio.move_on_after(self._limits.drain_s):
                while self._load.in_flight:
                    self._quiet = trio.Event()
                    await self._quiet.wait()
            connections.cancel_scope.cancel()
            requests.cancel_scope.cancel()

    async def _accept(
        self,
        listener: trio.abc.Listener[trio.abc.Stream],
        connections: trio.Nursery,
        tasks: RequestTasks[_Arrived],
    ) -> None:
        while True:
            try:
                stream = await listener.accept()
            except trio.ClosedResourceError:
                return
            except OSError as error:
                if error.errno not in _CAPACITY_ERRORS:
                    raise
                await trio.sleep(_CAPACITY_PAUSE_S)
                continue
            if isinstance(stream, trio.SocketStream):
                stream = TcpStream.of(stream)
            address = stream.peer if isinstance(stream, TcpStream) else ""
            handed = stream if isinstance(stream, HandedStream) else None
            secured = stream if self._tls is None else _secured(stream, self._tls)
            connection = Connection(secured, address, self._limits, handed)
            admitted = self._admission.enter(connection, connection.address)
            if isinstance(admitted, Turned):
                self._metrics.refused_connections.inc()
                await trio.aclose_forcefully(stream)
                continue
            if admitted.gives_way is not None:
                self._metrics.refused_connections.inc()
                admitted.gives_way.close()
            if handed is not None:
                self._welcome(handed, connection)
            connections.start_soon(self._connection, connection, tasks)

    def _welcome(self, handed: HandedStream, connection: Connection) -> None:
        self._handed[handed.number] = connection
        if handed.was_proven:
            connection.proven = True
            self._admission.prove(connection)
        if self._releases_all:
            connection.leave()

    async def _connection(self, connection: Connection, tasks: RequestTasks[_Arrived]) -> None:
        self._metrics.connections.set(len(self._admission))
        try:
            with connection.reading:
                if isinstance(connection.stream, trio.SSLStream):
                    with trio.fail_after(self._limits.frame_s):
                        await connection.stream.do_handshake()
                await self._read(connection, tasks)
                await connection.wait_for_turn(1)
            connection.go_back()
        except (
            OSError,
            trio.BrokenResourceError,
            trio.ClosedResourceError,
            trio.TooSlowError,
        ) as error:
            if reason := tls_reason(error):
                self._warn("tls_failed", reason)
        finally:
            connection.closed = True
            self._admission.leave(connection)
            if connection.handed is not None:
                del self._handed[connection.handed.number]
            self._metrics.connections.set(len(self._admission))
            await trio.aclose_forcefully(connection.stream)

    async def _read(self, connection: Connection, tasks: RequestTasks[_Arrived]) -> None:
        decoder = FrameDecoder(FRAMING, FRAME_BYTES_MAX)
        connection.heard(trio.current_time(), whole=True, partial=False)
        while not self._draining.is_set():
            if connection.may_go(decoder.pending_bytes):
                return
            try:
                data = await connection.stream.receive_some(_READ_BYTES)
            except trio.ClosedResourceError:
                if connection.is_leaving and not connection.closed:
                    continue
                raise
            if not data:
                return
            frames, is_over = self._cut(decoder, bytes(data))
            is_partial = bool(decoder.pending_bytes)
            connection.heard(trio.current_time(), whole=bool(frames), partial=is_partial)
            for frame in frames:
                await connection.wait_for_turn(self._limits.pipelined_max)
                if self._load.in_flight >= self._limits.in_flight_max:
                    return
                is_too_much = self._load.is_too_much()
                self._load.arrived()
                connection.in_flight += 1
                tasks.start((connection, frame, is_too_much))
            if is_over or connection.closed:
                return

    async def _request(self, arrived: _Arrived) -> None:
        connection, frame, is_too_much = arrived
        try:
            reply = await self._session.answer(frame, connection.address, is_too_much=is_too_much)
            if reply is not None:
                if not connection.proven:
                    connection.prove(trio.current_time())
                    self._admission.prove(connection)
                await connection.send(reply)
        except CloseConnection as error:
            self._warn("closed", error)
            connection.close()
        except Exception:
            # A bug in one transaction must not end all others. Nothing is answered, so the
            # terminal reverses; what was recorded is undone by recovery.
            self._metrics.failed_requests.inc()
            log.exception("request_failed")
            connection.close()
        finally:
            self._load.answered()
            if self._load.in_flight == 0:
                self._quiet.set()
            connection.done()

    def _cut(self, decoder: FrameDecoder, data: bytes) -> tuple[Sequence[bytes], bool]:
        """The frames that are whole now, and whether what follows them can be no frame."""
        try:
            return decoder.feed(data), False
        except FrameError as error:
            self._warn("bad_frame", error)
            return error.frames, True

    def _warn(self, event: str, reason: object) -> None:
        left_out = self._log_limit.take(trio.current_time())
        if left_out is not None:
            log.warning(event, reason=str(reason), left_out=left_out)


@contextmanager
def _watched_by(load: Load) -> Iterator[None]:
    trio.lowlevel.add_instrument(load)
    try:
        yield
    finally:
        trio.lowlevel.remove_instrument(load)


def _secured(stream: trio.abc.Stream, tls: ssl.SSLContext) -> trio.abc.Stream:
    return trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
