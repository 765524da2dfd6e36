"""The HTTP server's bounds: bytes, pieces, time, connections; what may hide a second request."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from structlog.testing import capture_logs
from trio.testing import MockClock, memory_stream_pair

from acquirer.switch.watch import http_server
from acquirer.switch.watch.http_server import HttpServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Trio, with a clock that jumps when all wait."""
    return "trio", {"clock": MockClock(autojump_threshold=0)}


async def echo(request: Request) -> Response:
    """The body, with where it came to."""
    body = await request.body()
    return PlainTextResponse(f"{request.method} {request.url.path} {len(body)}")


async def pieces(request: Request) -> Response:
    """An answer in pieces."""

    async def parts() -> AsyncIterator[str]:
        for part in ("a", "b", "c"):
            yield part

    return StreamingResponse(parts())


async def fail(request: Request) -> Response:
    """A bug."""
    raise RuntimeError("a bug")


APP = Starlette(
    routes=[
        Route("/echo", echo, methods=["GET", "POST"]),
        Route("/pieces", pieces),
        Route("/fail", fail),
    ]
)


@asynccontextmanager
async def connected(
    trusts: Callable[[str], bool] = lambda authorization: False,
) -> AsyncIterator[Callable[[], Any]]:
    """A server, and what opens a connection to it."""
    server = HttpServer(APP, trusts)
    async with trio.open_nursery() as nursery:

        def connect() -> Any:
            near, far = memory_stream_pair()
            nursery.start_soon(server.serve_stream, far)
            return near

        yield connect
        nursery.cancel_scope.cancel()


async def read_all(stream: Any) -> bytes:
    """All that comes until the other side closes."""
    received = b""
    while part := await stream.receive_some(65_536):
        received += part
    return received


async def ask(data: bytes, trusts: Callable[[str], bool] = lambda authorization: False) -> bytes:
    """What comes back to these bytes, until the server closes."""
    async with connected(trusts) as connect:
        stream = connect()
        with trio.move_on_after(60):
            await stream.send_all(data)
        return await read_all(stream)


def status_of(answer: bytes) -> int:
    """The status of the first answer; 0 where there is none."""
    return int(answer[9:12] or 0)


POST = b"POST /echo HTTP/1.1\r\nhost: x\r\n"
GET = b"GET /echo HTTP/1.1\r\nhost: x\r\n"
CLOSE = b"connection: close\r\n\r\n"


async def test_requests_one_after_another_on_one_connection() -> None:
    """Pipelined, with bodies of both kinds; HEAD has none in its answer."""
    head = b"HEAD /echo HTTP/1.1\r\nhost: x\r\n\r\n"
    whole = POST + b"content-length: 3\r\n\r\nabc"
    cut = POST + b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    answer = await ask(head + whole + cut + GET.replace(b"/echo", b"/pieces") + CLOSE)
    assert [200] * 4 == [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert (1, 1) == (answer.count(b"POST /echo 3"), answer.count(b"POST /echo 2"))
    assert b"HEAD" not in answer
    assert b"server:" not in answer.lower()


async def test_a_bug_is_told_and_ends_its_connection_only() -> None:
    """500, and the next connection is served."""
    async with connected() as connect:
        first = connect()
        with capture_logs() as logged:
            await first.send_all(GET.replace(b"/echo", b"/fail") + b"\r\n")
            assert 500 == status_of(await read_all(first))
        assert ["request_failed"] == [line["event"] for line in logged]
        second = connect()
        await second.send_all(GET + CLOSE)
        assert 200 == status_of(await read_all(second))


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (POST + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n", 400),
        (POST + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd", 400),
        (POST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (GET + b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\n\r\n", 400),
        (GET + b"connection: upgrade\r\nupgrade: websocket\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 100, 505),
        (b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (GET + b"a: b\r\n" * 100_000, 431),
        (GET + b"a: " + b"b" * 1_000_000, 431),
        (b"GET /" + b"a" * 1_000_000, 431),
        (POST + b"content-length: 1000000\r\n\r\n" + b"x" * 1_000_000, 413),
        (POST + b"transfer-encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 60_000, 400),
    ],
    ids=range(15),
)
async def test_what_is_malformed_too_large_or_ambiguous_is_refused(
    data: bytes, status: int
) -> None:
    """With its status, once, and the connection is closed."""
    answer = await ask(data)
    assert (status, 1) == (status_of(answer), answer.count(b"HTTP/1.1"))


@pytest.mark.parametrize(
    ("token", "size", "status"),
    [
        (b"right", 1_000_000, 200),
        (b"right", http_server.TRUSTED_BODY_BYTES_MAX + 1, 413),
        (b"wrong", 1_000_000, 413),
    ],
)
async def test_who_is_trusted_may_send_much(token: bytes, size: int, status: int) -> None:
    """A whole configuration, for one; but not without bounds."""
    head = POST + b"authorization: " + token + b"\r\ncontent-length: %d\r\n\r\n" % size
    answer = await ask(head + b"x" * size, trusts=lambda authorization: authorization == "right")
    assert status == status_of(answer)


@pytest.mark.parametrize("begun", [b"", b"GET /ec", POST + b"content-length: 9\r\n\r\nabc"])
async def test_a_request_comes_within_its_time_or_never(begun: bytes) -> None:
    """Idle, in the middle of a head or of a body: closed without an answer."""
    begun_at = trio.current_time()
    assert b"" == await ask(begun)
    assert http_server.REQUEST_S == pytest.approx(trio.current_time() - begun_at)


async def test_dripping_does_not_stretch_the_time() -> None:
    """A byte a second is no progress."""

    async def drip(stream: Any) -> None:
        for byte in GET + b"\r\n":
            await stream.send_all(bytes([byte]))
            await trio.sleep(1)

    async with connected() as connect:
        with pytest.raises(trio.BrokenResourceError):
            await drip(connect())


async def test_a_client_that_does_not_read_is_left() -> None:
    """Its connection ends; the server does not wait for ever."""
    near, far = memory_stream_pair()
    far.send_stream.send_all_hook = trio.sleep_forever
    await near.send_all(GET + b"\r\n")
    begun_at = trio.current_time()
    await HttpServer(APP).serve_stream(far)
    assert http_server.SEND_S == pytest.approx(trio.current_time() - begun_at)


async def test_those_who_only_connect_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest that has sent no whole request gives way."""
    monkeypatch.setattr(http_server, "CONNECTIONS_MAX", 3)
    async with connected() as connect:
        crowd = [connect() for _ in range(3)]
        await trio.testing.wait_all_tasks_blocked()
        await crowd[0].send_all(GET + b"\r\n")
        assert 200 == status_of(await crowd[0].receive_some())
        late = connect()
        await late.send_all(GET + CLOSE)
        assert 200 == status_of(await read_all(late))
        assert b"" == await crowd[1].receive_some()


async def test_one_address_has_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over real sockets, which have addresses: one too many is closed at once."""
    monkeypatch.setattr(http_server, "PER_ADDRESS_MAX", 2)
    server = HttpServer(APP)
    async with trio.open_nursery() as nursery:
        serve: Callable[..., Awaitable[Any]] = trio.serve_listeners
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(serve, server.serve_stream, [listener])
        port = listener.socket.getsockname()[1]
        streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(3)]
        assert b"" == await streams[2].receive_some()
        await streams[0].send_all(GET + CLOSE)
        assert 200 == status_of(await read_all(streams[0]))
        nursery.cancel_scope.cancel()
