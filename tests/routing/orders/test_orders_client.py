"""The client of order systems over real sockets, against a scripted server."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from limits import HANG_S
from trio.testing import MockClock

from acquirer.codecs.order_codes import Means, OrderStatus
from acquirer.routing.orders.client import (
    Delivered,
    OrderSystemDown,
    OrderSystems,
    OrderSystemSilent,
    Rejected,
    UnknownOrder,
)
from acquirer.routing.orders.http1 import open_http
from acquirer.routing.orders.messages import EventData, OrderEvent, OrderFacts, build_event
from acquirer.routing.orders.settings import OrderSystemSettings, Origin
from acquirer.routing.orders.webhooks import verify

pytestmark = pytest.mark.anyio

MERCHANT = "898110053310001"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW_S = 1_764_000_000.9


def facts(order_no: str = "SP1", **changes: object) -> dict[str, object]:
    """A good answer."""
    plain = {
        "order_no": order_no,
        "merchant_id": MERCHANT,
        "status": "00",
        "amount_minor": 21478,
        "currency_code": "156",
        "pay_ways": "12",
    }
    return plain | changes


def reply(body: object, status: int = 200, headers: str = "") -> bytes:
    """An HTTP answer with a JSON body, or with bytes as they are."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\n{headers}\r\n"
    return head.encode() + content


def chunked(body: bytes, size: int, extension: bytes = b"", head: bytes = b"") -> bytes:
    """An HTTP answer whose body comes in chunks of ``size`` bytes."""
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    lines = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
    head = b"HTTP/1.1 200 OK\r\n" + head + b"transfer-encoding: chunked\r\n\r\n"
    return head + lines + b"0\r\n\r\n"


def order_event() -> OrderEvent:
    """A payment."""
    data = EventData(
        order_no="SP1",
        merchant_id=MERCHANT,
        order_status=OrderStatus.PAID,
        amount_minor=21478,
        currency_code="156",
        means=Means.CASH,
    )
    return build_event("evt_1", "order.paid", data, 1_764_000_000_000)


class Server:
    """Answers each request with what ``answer`` gives; None for silence, closes after b""."""

    def __init__(self, answer: Callable[[str], bytes | None]) -> None:
        self.answer = answer
        self.requests: list[str] = []
        self.connections = 0
        self.port = 0

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve one connection."""
        self.connections += 1
        buffer = b""
        try:
            async for data in stream:
                buffer += data
                head, end, body = buffer.partition(b"\r\n\r\n")
                if not end or len(body) < content_length(head):
                    continue
                self.requests.append(buffer.decode())
                answer, buffer = self.answer(buffer.decode()), b""
                if answer is None:
                    continue
                await stream.send_all(answer)
                if not answer or b"connection: close" in answer:
                    return
        except trio.BrokenResourceError:
            pass


def content_length(head: bytes) -> int:
    """The request's content-length header."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


@asynccontextmanager
async def serving(answer: Callable[[str], bytes | None]) -> AsyncIterator[Server]:
    """A scripted server on a free port."""
    server = Server(answer)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server.port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, server.handle, listeners)
        yield server
        nursery.cancel_scope.cancel()


def client(server: Server, **changes: object) -> OrderSystems:
    """A client of one system, which is the server."""
    settings = {"name": "shop", "url": f"http://127.0.0.1:{server.port}/api", **changes}
    return OrderSystems([OrderSystemSettings(**settings)], wall_s=lambda: NOW_S)  # type: ignore[arg-type]


async def test_a_query_asks_for_the_order_and_gives_its_facts() -> None:
    """Path and host are right, blanks and slashes are escaped, and the connection is kept."""

    def answer(request: str) -> bytes:
        return reply(facts("A/1 号.") if "A%2F1" in request else facts())

    async with serving(answer) as server, client(server) as orders:
        expected = OrderFacts(
            order_no="SP1",
            merchant_id=MERCHANT,
            status=OrderStatus.TO_PAY,
            amount_minor=21478,
            currency_code="156",
            pay_ways="12",
        )
        assert await orders.query(MERCHANT, "SP1") == expected
        odd = await orders.query(MERCHANT, "A/1 号.")
        assert isinstance(odd, OrderFacts)
        assert [request.split("\r\n")[0] for request in server.requests] == [
            f"GET /api/orders/{MERCHANT}/SP1 HTTP/1.1",
            f"GET /api/orders/{MERCHANT}/A%2F1%20%E5%8F%B7%2E HTTP/1.1",
        ]
        assert f"host: 127.0.0.1:{server.port}" in server.requests[0].lower()
        assert server.connections == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reply({}, 404), UnknownOrder()),
        (reply({}, 503), OrderSystemDown("status 503")),
        (reply({}, 302, "location: http://127.0.0.1:1/\r\n"), OrderSystemDown("status 302")),
        (
            reply(facts("SP2")),
            OrderSystemDown("the answer is about another order number", "order_no", '"SP2"'),
        ),
        (reply(b"x" * 65_537), OrderSystemDown("an answer of more than 65536 bytes")),
        (b"SSH-2.0-OpenSSH\r\n\r\n", OrderSystemDown("an answer that is no HTTP")),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\n{",
            OrderSystemDown("an answer that is no HTTP"),
        ),
        (b"", OrderSystemDown("connection closed")),
        (
            b"HTTP/1.1 103 Early\r\n\r\n" * 2_000 + reply(facts()),
            OrderSystemDown("an answer in more than 1000 pieces"),
        ),
        (chunked(b" " * 60_000, 1), OrderSystemDown("an answer in more than 1000 pieces")),
        (
            chunked(b" " * 700, 1, b";" + b"x" * 200),
            OrderSystemDown("an answer of more than 131072 bytes"),
        ),
        (
            chunked(json.dumps(facts()).encode(), 100, head=b"content-length: 9\r\n"),
            OrderSystemDown("an answer with content-length and transfer-encoding"),
        ),
        (
            b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000,
            OrderSystemDown("an answer that is no HTTP"),
        ),
    ],
    ids=range(13),
)
async def test_what_is_no_good_answer_is_a_value(answer: bytes, expected: object) -> None:
    """Nothing is raised, whatever comes back."""
    async with serving(lambda _: answer) as server, client(server) as orders:
        assert await orders.query(MERCHANT, "SP1") == expected


async def test_an_answer_may_come_in_many_pieces() -> None:
    """Some hundred chunks are an answer like any other."""
    answer = chunked(json.dumps(facts(text="x" * 500)).encode(), 1)
    async with serving(lambda _: answer) as server, client(server) as orders:
        assert isinstance(await orders.query(MERCHANT, "SP1"), OrderFacts)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"amount_minor": -1}',
        b'{"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"x":' * 10_000,
    ],
    ids=range(7),
)
async def test_an_answer_that_is_no_document_counts_as_down(body: bytes) -> None:
    """The reason says that the contract was broken."""
    async with serving(lambda _: reply(body)) as server, client(server) as orders:
        outcome = await orders.query(MERCHANT, "SP1")
        assert isinstance(outcome, OrderSystemDown)
        assert "does not fit the contract" in outcome.reason


async def test_nobody_there_and_nobody_responsible_count_as_down() -> None:
    """A refused connection, and an order that no system serves."""
    async with serving(lambda _: b"") as server:
        gone = client(server)
    async with gone:
        assert await gone.query(MERCHANT, "SP1") == OrderSystemDown("no connection")
        assert await gone.deliver(order_event(), SECRET) == Rejected(False, "no connection")
    nobody = OrderSystems([])
    assert await nobody.query(MERCHANT, "SP1") == OrderSystemDown(
        "no order system serves this order"
    )
    assert await nobody.deliver(order_event(), SECRET) == Rejected(
        False, "no order system serves this order"
    )


async def test_what_tls_finds_wrong_is_told() -> None:
    """A system that is there and speaks no TLS is not one that is away."""

    async def plain(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, plain, listeners)
        url = f"https://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        async with OrderSystems([OrderSystemSettings("shop", url)]) as orders:
            down = OrderSystemDown("TLS: the peer speaks no TLS")
            assert await orders.query(MERCHANT, "SP1") == down
        nursery.cancel_scope.cancel()


async def test_silence_is_told_from_down_and_hurts_no_later_query() -> None:
    """After the deadline the connection is dropped; a late answer cannot meet another question."""
    answers = iter([None, reply(facts("SP2"))])
    async with serving(lambda _: next(answers)) as server, client(server) as orders:
        assert await orders.query(MERCHANT, "SP1") == OrderSystemSilent()
        assert isinstance(await orders.query(MERCHANT, "SP2"), OrderFacts)
        assert server.connections == 2


async def test_the_systems_time_out_bounds_every_request() -> None:
    """A query and an event end in time though nobody answers."""
    async with serving(lambda _: None) as server, client(server, timeout_s=0.05) as orders:
        with trio.fail_after(HANG_S):
            assert await orders.query(MERCHANT, "SP1") == OrderSystemSilent()
            outcome = await orders.deliver(order_event(), SECRET)
        assert outcome == Rejected(False, "no answer in time")


async def test_a_kept_connection_that_was_closed_meanwhile_is_replaced() -> None:
    """The request goes out once more on a new connection, without an error."""
    plan = iter([reply(facts()), b"", reply(facts()), reply(facts())])
    async with serving(lambda _: next(plan)) as server, client(server) as orders:
        for _ in range(3):
            assert isinstance(await orders.query(MERCHANT, "SP1"), OrderFacts)
        assert (server.connections, len(server.requests)) == (2, 4)


async def test_a_server_that_closes_after_each_answer_is_served_by_new_connections() -> None:
    """``connection: close`` is honoured, also with a chunked body."""
    body = json.dumps(facts()).encode()
    answer = chunked(body, len(body), head=b"connection: close\r\n")
    async with serving(lambda _: answer) as server, client(server) as orders:
        for _ in range(2):
            assert isinstance(await orders.query(MERCHANT, "SP1"), OrderFacts)
        assert server.connections == 2


async def test_no_more_connections_than_allowed() -> None:
    """Further queries wait their turn."""
    async with (
        serving(lambda _: reply(facts())) as server,
        client(server, connections_max=2) as orders,
        trio.open_nursery() as nursery,
    ):
        for _ in range(20):
            nursery.start_soon(orders.query, MERCHANT, "SP1")
    assert (server.connections, len(server.requests)) == (2, 20)


async def test_an_event_is_posted_and_signed() -> None:
    """The body goes out as stored, and the signature holds with either secret."""
    other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    async with serving(lambda _: reply({})) as server, client(server) as orders:
        event = order_event()
        assert await orders.deliver(event, SECRET, other) == Delivered()
    head, _, body = server.requests[0].partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ") for line in lines)}
    assert first == "POST /api/events HTTP/1.1"
    assert body == event.body
    assert headers["content-type"] == "application/json"
    for secret in (SECRET, other):
        assert verify(headers, body.encode(), [secret], NOW_S) == "evt_1"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Delivered()),
        (204, Delivered()),
        (422, Rejected(True, "status 422")),
        (410, Rejected(True, "status 410")),
        (401, Rejected(False, "status 401")),
        (404, Rejected(False, "status 404")),
        (409, Rejected(False, "status 409")),
        (429, Rejected(False, "status 429")),
        (503, Rejected(False, "status 503")),
    ],
)
async def test_a_status_decides_whether_trying_again_can_help(
    status: int, expected: object
) -> None:
    """Only what can never be mended is permanent."""
    answer = f"HTTP/1.1 {status} X\r\n\r\n" if status == 204 else reply({}, status).decode()
    async with serving(lambda _: answer.encode()) as server, client(server) as orders:
        assert await orders.deliver(order_event(), SECRET) == expected


async def test_without_a_usable_secret_nothing_is_sent() -> None:
    """The event waits until the operator has mended the settings."""
    async with serving(lambda _: reply({})) as server, client(server) as orders:
        assert await orders.deliver(order_event()) == Rejected(
            False, "no webhook secret for this merchant"
        )
        outcome = await orders.deliver(order_event(), "whsec_AAAA")
        assert isinstance(outcome, Rejected)
        assert not outcome.permanent
        assert server.requests == []


@pytest.mark.parametrize(
    ("max_age_s", "cache_s", "kept_s"),
    [(0, 60.0, 0), (10, 60.0, 10), (600, 60.0, 60), (10, 0.0, 0)],
)
def test_an_answer_is_used_again_only_while_the_merchant_allows_it(
    max_age_s: int, cache_s: float, kept_s: int
) -> None:
    """The merchant's time, bounded by ours; then the system is asked again."""

    async def main() -> None:
        async with (
            serving(lambda _: reply(facts(max_age_s=max_age_s))) as server,
            client(server, cache_s=cache_s) as orders,
        ):
            await orders.query(MERCHANT, "SP1")
            if kept_s:
                clock.jump(kept_s - 1)
                await orders.query(MERCHANT, "SP1")
                assert len(server.requests) == 1
            clock.jump(1)
            await orders.query(MERCHANT, "SP1")
            assert len(server.requests) == 2

    clock = MockClock()
    trio.run(main, clock=clock)


async def test_an_event_ends_the_use_of_a_kept_answer() -> None:
    """What was told of an order makes its old answer wrong."""

    def answer(request: str) -> bytes:
        return reply({} if request.startswith("POST") else facts(max_age_s=60))

    async with serving(answer) as server, client(server) as orders:
        await orders.query(MERCHANT, "SP1")
        await orders.deliver(order_event(), SECRET)
        await orders.query(MERCHANT, "SP1")
        assert [request[:4] for request in server.requests] == ["GET ", "POST", "GET "]


async def test_a_kept_answer_is_of_one_state_of_the_order() -> None:
    """Another process may have changed the order, and told the merchant, since it was asked."""
    async with serving(lambda _: reply(facts(max_age_s=60))) as server, client(server) as orders:
        for changes, requests in ((0, 1), (0, 1), (4, 2), (4, 2), (None, 3), (5, 4), (5, 4)):
            await orders.query(MERCHANT, "SP1", changes=changes)
            assert len(server.requests) == requests


async def test_another_system_takes_over_while_one_is_asked() -> None:
    """What was begun ends as it was begun, and serves no more; the next goes to the other."""
    asked, go_on = trio.Event(), trio.Event()

    async def connect(origin: Origin) -> trio.abc.Stream:
        asked.set()
        await go_on.wait()
        return await open_http(origin)

    async def ask(orders: OrderSystems) -> None:
        assert isinstance(await orders.query(MERCHANT, "SP1"), OrderFacts)

    answer = reply(facts(max_age_s=60))
    async with serving(lambda _: answer) as old, serving(lambda _: answer) as new:
        first, second = (
            OrderSystemSettings("shop", url=f"http://127.0.0.1:{server.port}")
            for server in (old, new)
        )
        async with (
            OrderSystems([first], wall_s=lambda: NOW_S, connect=connect) as orders,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(ask, orders)
            await asked.wait()
            await orders.take([second])
            go_on.set()
            await ask(orders)
            await ask(orders)
            # Nothing is another now: answers and connections stay.
            await orders.take([second])
            await ask(orders)
        assert (1, 1, 1) == (len(old.requests), len(new.requests), new.connections)


async def test_an_answer_before_the_merchant_was_told_is_not_kept() -> None:
    """The switch counted the change already; the merchant did not know of it yet."""
    async with serving(lambda _: reply(facts(max_age_s=60))) as server, client(server) as orders:
        await orders.query(MERCHANT, "SP1", changes=None)
        await orders.query(MERCHANT, "SP1", changes=4)
        assert len(server.requests) == 2


async def test_an_answer_from_before_an_event_is_not_kept() -> None:
    """The question was on its way when the merchant was told; the answer may be from before."""
    asked, told = trio.Event(), trio.Event()
    answers = iter([1, 2])

    async def slow(stream: trio.SocketStream) -> None:
        async for data in stream:
            if data.startswith(b"GET") and next(answers) == 1:
                asked.set()
                await told.wait()
            await stream.send_all(reply(facts(max_age_s=60)))

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, slow, listeners)
        settings = OrderSystemSettings("shop", f"http://127.0.0.1:{port}")
        async with OrderSystems([settings], wall_s=lambda: NOW_S) as orders:
            async with trio.open_nursery() as asking:
                asking.start_soon(orders.query, MERCHANT, "SP1")
                await asked.wait()
                assert await orders.deliver(order_event(), SECRET) == Delivered()
                told.set()
            await orders.query(MERCHANT, "SP1")
        nursery.cancel_scope.cancel()
    assert list(answers) == []
