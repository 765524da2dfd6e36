"""The order system simulator over real sockets: by a plain HTTP client and by the switch's own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from limits import HANG_S

from acquirer.config.estate import load_estate
from acquirer.hosts_sim.orders.server import run_order_sim
from acquirer.hosts_sim.orders.settings import OrderSimSettings, Rule
from acquirer.hosts_sim.orders.store import read_events, read_orders
from acquirer.routing.orders.client import (
    Delivered,
    OrderSystemDown,
    OrderSystems,
    OrderSystemSilent,
    Rejected,
    UnknownOrder,
)
from acquirer.routing.orders.messages import EventData, OrderEvent, OrderFacts, build_event
from acquirer.routing.orders.settings import OrderSystemSettings

pytestmark = pytest.mark.anyio

ESTATE = load_estate()
ORDER = next(order for order in ESTATE.orders if order.pay_ways == "123" and order.amount_minor)
SECRET = next(one.event_secret for one in ESTATE.merchants if one.merchant_id == ORDER.merchant_id)
AT_MS = 1_795_000_000_000


@asynccontextmanager
async def serving(folder: Path, **settings: Any) -> AsyncIterator[str]:
    """The simulator on a free port with its books in a folder; gives its URL."""
    async with trio.open_nursery() as nursery:
        address = await nursery.start(run_order_sim, OrderSimSettings(data=str(folder), **settings))
        yield f"http://{address}"
        nursery.cancel_scope.cancel()


def client(url: str, timeout_s: float = 5.0) -> OrderSystems:
    """The switch's client."""
    return OrderSystems([OrderSystemSettings("shop", url, timeout_s=timeout_s)])


def order_event(number: int, kind: Any, status: Any, **changes: Any) -> OrderEvent:
    """An event of the order, a payment in cash."""
    facts: dict[str, Any] = {
        "order_no": ORDER.order_no,
        "merchant_id": ORDER.merchant_id,
        "order_status": status,
        "amount_minor": ORDER.amount_minor,
        "currency_code": "156",
        "means": "cash",
        "rrn": "000000000017",
        "terminal_id": "10000001",
    }
    return build_event(f"evt_{number}", kind, EventData(**facts | changes), AT_MS + number)


async def test_an_order_from_query_to_signature(tmp_path: Path) -> None:
    """What the switch asks and tells arrives, and the next query says so."""
    async with serving(tmp_path) as url, client(url) as orders:
        facts = await orders.query(ORDER.merchant_id, ORDER.order_no)
        assert isinstance(facts, OrderFacts)
        assert (facts.amount_minor, facts.pay_ways, facts.text) == (
            ORDER.amount_minor,
            ORDER.pay_ways,
            ORDER.text,
        )
        for number, (kind, status) in enumerate(
            [
                ("order.paid", "01"),
                ("order.payment_confirmed", "02"),
                ("order.signed_for", "03"),
            ]
        ):
            assert await orders.deliver(order_event(number, kind, status), SECRET) == Delivered()
        facts = await orders.query(ORDER.merchant_id, ORDER.order_no)
        assert isinstance(facts, OrderFacts)
        assert (facts.status, facts.due_minor) == ("03", 0)
        row = next(one for one in read_orders(tmp_path) if one.order_no == ORDER.order_no)
        assert (row.state, row.rrn, row.means, row.events) == (
            "signed_for",
            "000000000017",
            "cash",
            3,
        )


async def test_every_order_of_the_estate_can_be_queried(tmp_path: Path) -> None:
    """Each answer fits what the switch takes."""
    async with serving(tmp_path) as url, client(url) as orders:
        for order in ESTATE.orders:
            facts = await orders.query(order.merchant_id, order.order_no)
            assert isinstance(facts, OrderFacts)
            assert facts.amount_minor == order.amount_minor
        assert await orders.query(ORDER.merchant_id, "NONE") == UnknownOrder()
        assert await orders.query("nobody", ORDER.order_no) == UnknownOrder()


async def test_events_that_are_not_taken(tmp_path: Path) -> None:
    """Each reason has its status, so that the switch knows whether to go on trying."""
    async with serving(tmp_path) as url, client(url) as orders:
        paid = order_event(1, "order.paid", "01")
        forged = await orders.deliver(paid, "whsec_" + "A" * 32)
        assert forged == Rejected(False, "status 401")
        early = order_event(2, "order.payment_confirmed", "02")
        assert await orders.deliver(early, SECRET) == Rejected(False, "status 409")
        wrong = order_event(3, "order.paid", "01", amount_minor=1)
        assert await orders.deliver(wrong, SECRET) == Rejected(True, "status 422")
        lost = order_event(4, "order.paid", "01", order_no="NONE")
        assert await orders.deliver(lost, SECRET) == Rejected(False, "status 404")
        assert await orders.deliver(paid, SECRET) == Delivered()
        assert await orders.deliver(paid, SECRET) == Delivered()
        assert [row.result for row in read_events(tmp_path)] == [
            "not_yet",
            "impossible",
            "unknown_order",
            "applied",
        ]


async def test_a_rotated_secret_is_taken_beside_the_old_one(tmp_path: Path) -> None:
    """Either is good while both are configured."""
    fresh = "whsec_" + "B" * 32
    async with (
        serving(tmp_path, secrets={ORDER.merchant_id: [fresh]}) as url,
        client(url) as orders,
    ):
        assert await orders.deliver(order_event(1, "order.paid", "01"), fresh) == Delivered()
        confirmed = order_event(2, "order.payment_confirmed", "02")
        assert await orders.deliver(confirmed, fresh, SECRET) == Delivered()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("down", OrderSystemDown("status 503")),
        ("silence", OrderSystemSilent()),
        ("lost_answer", OrderSystemDown("connection closed")),
        (
            "wrong_order",
            OrderSystemDown(
                "the answer is about another order number", "order_no", '"SP20261121001X"'
            ),
        ),
        ("oversize", OrderSystemDown("an answer of more than 65536 bytes")),
    ],
)
async def test_faults_of_a_query(tmp_path: Path, fault: Any, expected: object) -> None:
    """The switch turns each into a value; other orders feel nothing."""
    rules = [Rule(fault, on="query", order_no_pattern=ORDER.order_no)]
    other = next(one for one in ESTATE.orders if one.order_no != ORDER.order_no)
    async with serving(tmp_path, rules=rules) as url, client(url, 0.2) as orders:
        assert await orders.query(ORDER.merchant_id, ORDER.order_no) == expected
        assert isinstance(await orders.query(other.merchant_id, other.order_no), OrderFacts)


async def test_faults_that_spoil_what_is_said(tmp_path: Path) -> None:
    """A wrong amount passes as an answer, garbage does not; ``times`` ends a rule."""
    rules = [Rule("wrong_amount", times=1), Rule("garbage", times=1), Rule("delay", delay_s=0.01)]
    async with serving(tmp_path, rules=rules) as url, client(url) as orders:
        facts = await orders.query(ORDER.merchant_id, ORDER.order_no)
        assert isinstance(facts, OrderFacts)
        assert facts.amount_minor == ORDER.amount_minor + 1
        spoiled = await orders.query(ORDER.merchant_id, ORDER.order_no)
        assert isinstance(spoiled, OrderSystemDown)
        facts = await orders.query(ORDER.merchant_id, ORDER.order_no)
        assert isinstance(facts, OrderFacts)
        assert facts.amount_minor == ORDER.amount_minor


async def test_an_event_whose_answer_is_lost_counts_once(tmp_path: Path) -> None:
    """The client tries twice on its kept connection, the outbox later again: one effect."""
    rules = [Rule("lost_answer", on="events", times=2)]
    async with serving(tmp_path, rules=rules) as url, client(url) as orders:
        paid = order_event(1, "order.paid", "01")
        await orders.query(ORDER.merchant_id, ORDER.order_no)
        assert isinstance(await orders.deliver(paid, SECRET), Rejected)
        assert await orders.deliver(paid, SECRET) == Delivered()
        row = next(one for one in read_orders(tmp_path) if one.order_no == ORDER.order_no)
        assert (row.state, row.events) == ("paid", 1)
        assert read_events(tmp_path)[0].deliveries == 3


async def test_events_that_arrive_together_share_commits_and_each_gets_its_answer(
    tmp_path: Path,
) -> None:
    """Fifty orders at once, one of them refused."""
    outcomes: dict[str, object] = {}
    payable = [one for one in ESTATE.orders if one.amount_minor and "1" in one.pay_ways]
    secrets = {one.merchant_id: one.event_secret for one in ESTATE.merchants}

    async def pay(index: int, orders: OrderSystems) -> None:
        order = payable[index]
        paid = order_event(
            index,
            "order.paid",
            "01",
            order_no=order.order_no,
            merchant_id=order.merchant_id,
            amount_minor=order.amount_minor + (index == 3),
            means="card",
        )
        outcomes[order.order_no] = await orders.deliver(paid, secrets[order.merchant_id])

    async with serving(tmp_path) as url, client(url) as orders, trio.open_nursery() as nursery:
        for index in range(len(payable)):
            nursery.start_soon(pay, index, orders)
    expected: dict[str, object] = {one.order_no: Delivered() for one in payable}
    expected[payable[3].order_no] = Rejected(True, "status 422")
    assert outcomes == expected


async def test_requests_that_are_none(tmp_path: Path) -> None:
    """Other paths, methods and bodies get a status and a JSON problem; the server lives."""
    async with serving(tmp_path) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        for method, path, body, status in (
            ("GET", "/", b"", 404),
            ("GET", "/events", b"", 405),
            ("POST", f"/orders/{ORDER.merchant_id}/{ORDER.order_no}", b"{}", 405),
            ("GET", "/orders/%FF/x", b"", 404),
            ("POST", "/events", b"{", 400),
            ("POST", "/events", b"\xff", 400),
            ("POST", "/events", b"x" * 70_000, 413),
            ("GET", f"/orders/{ORDER.merchant_id}/{ORDER.order_no}?x=1", b"", 200),
        ):
            answer = await http.request(method, path, content=body)
            assert answer.status_code == status
            assert "error" in answer.json() or status == 200


async def test_bytes_that_are_no_http_close_only_their_own_connection(tmp_path: Path) -> None:
    """And so does a client that says nothing for too long."""
    async with serving(tmp_path, idle_s=0.1) as url:
        port = int(url.rpartition(":")[2])
        for junk in (b"\x00\x01\x02\r\n\r\n", b""):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            async with stream:
                if junk:
                    await stream.send_all(junk)
                with trio.fail_after(HANG_S):
                    assert await stream.receive_some() == b""
        async with client(url) as orders:
            assert isinstance(await orders.query(ORDER.merchant_id, ORDER.order_no), OrderFacts)
