"""A small HTTP/1.1 server for one ASGI application: a trio shell around h11.

For operators and watchers, some requests a second; each is read whole, within bounds, before the
application sees it: bytes, pieces, time, connections. What may hide a second request is refused:
two headers that tell where a body ends, and changes of protocol, so also HTTP/2 in clear text. No
TLS, no sockets of the web. Source: RFC 9112; ASGI 3.0; the protocol itself is h11's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote

import h11
import structlog
import trio

from acquirer.config.admission import Admission, Turned

log = structlog.get_logger("acquirer.http")

HEAD_BYTES_MAX = 8_192
BODY_BYTES_MAX = 65_536
# Of one request: pieces as they come, and chunks.
EVENTS_MAX = 1_000
# Of those who may send much, such as a whole configuration.
TRUSTED_BODY_BYTES_MAX = 4 * 1_048_576
TRUSTED_EVENTS_MAX = 10_000
# From the start of a connection, or the answer before, to a whole request.
REQUEST_S = 5.0
SEND_S = 10.0
LINGER_S = 1.0
CONNECTIONS_MAX = 128
PER_ADDRESS_MAX = 64
_RECEIVE_BYTES = 8_192

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
App = Callable[
    [Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]


# Told the Authorization header: whether a request may be long.
Trusts = Callable[[str], bool]


class RefusedRequest(Exception):
    """A request that the application never sees.

    Attributes:
        status: what it is answered.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class HttpServer:
    """Serves an application on any number of connections.

    When there is no place left, the oldest connection that has not sent a whole request gives
    way, so that those who only connect keep nobody out.

    Args:
        trusts: whose requests may be long; by default nobody's.
    """

    def __init__(self, app: App, trusts: Trusts = lambda authorization: False) -> None:
        self._app = app
        self._trusts = trusts
        self._admission: Admission[_Connection] = Admission(CONNECTIONS_MAX, PER_ADDRESS_MAX)

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until either side closes it; closes the stream."""
        connection = _Connection(stream, _client_of(stream), self._trusts)
        admitted = self._admission.enter(connection, connection.client[0])
        try:
            if isinstance(admitted, Turned):
                return
            if admitted.gives_way is not None:
                admitted.gives_way.waiting.cancel()
            await self._serve(connection)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._admission.leave(connection)
            await trio.aclose_forcefully(stream)

    async def _serve(self, connection: _Connection) -> None:
        while True:
            try:
                request = await connection.receive()
            except RefusedRequest as refused:
                await connection.refuse(refused.status)
                return
            if request is None:
                return
            self._admission.prove(connection)
            await connection.answer(self._app, *request)
            if not connection.next_cycle():
                return


class _Connection:
    """One stream and the h11 state that belongs to it."""

    def __init__(self, stream: trio.abc.Stream, client: tuple[str, int], trusts: Trusts) -> None:
        self.client = client
        self._trusts = trusts
        self.waiting = trio.CancelScope()
        self._stream = stream
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)

    async def receive(self) -> tuple[h11.Request, bytes] | None:
        """The next whole request; None at the end of the stream, or of our patience.

        Raises:
            RefusedRequest: what came is none, or passes a limit.
        """
        self.waiting = trio.CancelScope(deadline=trio.current_time() + REQUEST_S)
        with self.waiting:
            try:
                return await self._receive()
            except h11.RemoteProtocolError as error:
                raise RefusedRequest(error.error_status_hint, str(error)) from None
        return None

    async def _receive(self) -> tuple[h11.Request, bytes] | None:
        head: h11.Request | None = None
        body = bytearray()
        bytes_max, events_max = BODY_BYTES_MAX, EVENTS_MAX
        events = 0
        while events < events_max:
            events += 1
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                if self._h11.they_are_waiting_for_100_continue:
                    await self._send(h11.InformationalResponse(status_code=100, headers=[]))
                self._h11.receive_data(bytes(await self._stream.receive_some(_RECEIVE_BYTES)))
            elif isinstance(event, h11.Request):
                _check(event)
                head = event
                if self._trusts(_authorization(event)):
                    bytes_max, events_max = TRUSTED_BODY_BYTES_MAX, TRUSTED_EVENTS_MAX
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > bytes_max:
                    raise RefusedRequest(413, f"a body of more than {bytes_max} bytes")
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return head, bytes(body)
            else:
                return None
        raise RefusedRequest(400, f"a request in more than {events_max} pieces")

    async def answer(self, app: App, request: h11.Request, body: bytes) -> None:
        """Have the application answer a request; 500 where it fails before it has begun to."""
        asked = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Message:
            for message in asked:
                return message
            await trio.sleep_forever()
            raise AssertionError("unreachable")

        has_body = request.method != b"HEAD"

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"date", formatdate(usegmt=True))]
                await self._send(h11.Response(status_code=message["status"], headers=headers))
            elif message["type"] == "http.response.body":
                if has_body and message.get("body"):
                    await self._send(h11.Data(data=message["body"]))
                if not message.get("more_body"):
                    await self._send(h11.EndOfMessage())

        try:
            await app(_scope(request, self.client), receive, send)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            raise
        except Exception:
            log.exception("request_failed", path=request.target.decode("ascii"))
            if self._h11.our_state is h11.SEND_RESPONSE:
                await self.refuse(500)

    async def refuse(self, status: int) -> None:
        """Answer with a status and nothing else, and be done with the connection."""
        if self._h11.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        headers = [("content-length", "0"), ("connection", "close")]
        await self._send(h11.Response(status_code=status, headers=headers), h11.EndOfMessage())
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            await self._stream.send_eof()
        # Closing on what has not been read would take the answer from the peer.
        with trio.move_on_after(LINGER_S):
            for _ in range(EVENTS_MAX):
                if not await self._stream.receive_some(_RECEIVE_BYTES):
                    break

    def next_cycle(self) -> bool:
        """Whether the connection may carry another request, and is ready for it."""
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        return True

    async def _send(self, *events: h11.Event) -> None:
        data = b"".join(self._h11.send(event) or b"" for event in events)
        with trio.move_on_after(SEND_S) as sending:
            await self._stream.send_all(data)
        if sending.cancelled_caught:
            raise trio.BrokenResourceError("a client that does not read")


def _client_of(stream: trio.abc.Stream) -> tuple[str, int]:
    """Where a connection comes from; empty where that cannot be known."""
    if not isinstance(stream, trio.SocketStream):
        return "", 0
    try:
        host, port = stream.socket.getpeername()[:2]
    except OSError:
        return "", 0
    return host, port


def _authorization(request: h11.Request) -> str:
    found = (value for name, value in request.headers if name == b"authorization")
    return next(found, b"").decode("latin-1")


def _check(request: h11.Request) -> None:
    """Refuse what may hide a second request.

    Raises:
        RefusedRequest: it does.
    """
    if request.http_version not in (b"1.0", b"1.1"):
        raise RefusedRequest(505, "another version of HTTP")
    names = {name for name, _ in request.headers}
    if {b"content-length", b"transfer-encoding"} <= names:
        raise RefusedRequest(400, "content-length and transfer-encoding")
    if b"upgrade" in names or request.method == b"CONNECT":
        raise RefusedRequest(400, "a change of protocol")


def _scope(request: h11.Request, client: tuple[str, int]) -> Scope:
    raw_path, _, query = request.target.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": request.http_version.decode("ascii"),
        "method": request.method.decode("ascii").upper(),
        "scheme": "http",
        "path": unquote(raw_path.decode("ascii")),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": list(request.headers),
        "client": client,
        "server": None,
    }
