"""A trial of order systems: a right one is right, of a faulty one all that is wrong is said."""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from acquirer.config.estate import load_estate
from acquirer.hosts_sim.orders.app import SILENCE, OrderApp, Reply, Request
from acquirer.hosts_sim.orders.server import OrderServer, opened_app
from acquirer.hosts_sim.orders.settings import OrderSimSettings
from acquirer.routing.orders.http1 import HttpPool
from acquirer.routing.orders.sample import Sample, Tried
from acquirer.routing.orders.settings import parse_origin
from acquirer.routing.orders.trial import Trial

pytestmark = pytest.mark.anyio

ESTATE = load_estate()
ORDER = next(order for order in ESTATE.orders if order.pay_ways == "123" and order.amount_minor)
SECRETS = {one.merchant_id: one.event_secret for one in ESTATE.merchants}
SAMPLE = Sample(
    merchant_id=ORDER.merchant_id,
    order_no=ORDER.order_no,
    secret=SECRETS[ORDER.merchant_id],
    parts=True,
)
SHOP = ESTATE.items[0]

Bend = Callable[[Request, Reply], Reply]


class Bent:
    """The order system of the simulator, with its answers bent."""

    def __init__(self, app: OrderApp, bend: Bend) -> None:
        self._app = app
        self._bend = bend

    async def handle(self, request: Request) -> Reply:
        """See ``Handler``."""
        return self._bend(request, await self._app.handle(request))


@asynccontextmanager
async def serving(folder: Path, bend: Bend = lambda request, reply: reply) -> AsyncIterator[str]:
    """A simulator on a free port."""
    with opened_app(OrderSimSettings(data=str(folder))) as app:
        server = OrderServer(Bent(app, bend), 60.0, 8)
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, server.serve_stream, listeners)
            yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
            nursery.cancel_scope.cancel()


async def trial(url: str, sample: Sample = SAMPLE, timeout_s: float = 60.0) -> list[Tried]:
    """All calls of a trial."""
    pool = HttpPool(parse_origin(url), 1)
    try:
        return await Trial(pool, sample, time.time, timeout_s).run()
    finally:
        await pool.aclose()


def faults(tried: list[Tried]) -> dict[str, tuple[str, ...]]:
    """What is wrong, by call."""
    return {one.what: one.faults for one in tried if one.faults}


def changed(reply: Reply, **members: Any) -> Reply:
    """A right answer to a query with other members; None leaves one out."""
    document = json.loads(reply.body)
    if reply.status != 200 or "order_no" not in document:
        return reply
    document = {k: v for k, v in (document | members).items() if v is not None}
    return msgspec.structs.replace(reply, body=json.dumps(document).encode())


def is_event(request: Request, kind: str = "") -> bool:
    """Whether it is an event of a kind."""
    return request.path == "/events" and kind.encode() in request.body


async def test_the_simulator_is_right_throughout_and_as_before_afterwards(tmp_path: Path) -> None:
    """Twice on end: the order is to pay again after the first trial."""
    async with serving(tmp_path) as url:
        first, second = await trial(url), await trial(url)
    assert ({}, {}) == (faults(first), faults(second))
    assert len(first) == len(second) == 27


def _shop_sample() -> Sample:
    order = next(one for one in ESTATE.orders if one.merchant_id == SHOP.merchant_id)
    return Sample(
        merchant_id=SHOP.merchant_id,
        order_no=order.order_no,
        secret=SECRETS[SHOP.merchant_id],
        item=SHOP.code,
    )


async def test_a_shop_is_tried_too(tmp_path: Path) -> None:
    """A sale, the same, another under its number, an unknown item, a wrong signature, a refund."""
    async with serving(tmp_path) as url:
        tried = await trial(url, _shop_sample())
    assert {} == faults(tried)
    assert [409, 422, 401] == [one.status for one in tried[-7:-4]]
    assert "the sale after its refund" == tried[-1].what


async def test_who_does_not_take_a_refund_is_told(tmp_path: Path) -> None:
    """An order system from before there were any: 422 is a dead letter at the switch."""

    def bend(request: Request, reply: Reply) -> Reply:
        known = b'"order.refunded"' not in request.body
        return reply if known else Reply(422, b'{"error":"impossible"}')

    async with serving(tmp_path, bend) as url:
        tried = await trial(url, _shop_sample())
    why = ("status must be 2xx, came 422",)
    names = [f"order.refunded{again}, a part of the sale" for again in ("", " again")]
    assert dict.fromkeys(names, why) == faults(tried)


async def test_all_faults_of_one_answer_are_told_at_once(tmp_path: Path) -> None:
    """Each by its member, with what came; what could not be read is not paid."""

    def bend(request: Request, reply: Reply) -> Reply:
        if request.method != "GET":
            return reply
        return changed(reply, amount_minor="214.78", pay_ways="14", status=0, currency_code=None)

    async with serving(tmp_path, bend) as url:
        tried = await trial(url)
    query = tried[0]
    assert sorted(fault.partition(":")[0] for fault in query.faults) == [
        "amount_minor",
        "currency_code is missing",
        "pay_ways",
        "status",
    ]
    assert any('came "14"' in fault for fault in query.faults)
    assert (query.status, query.expected) == (200, "200, the order with status 00")
    assert not any("order.paid" in one.what for one in tried)


@pytest.mark.parametrize(
    ("bend", "what", "fault"),
    [
        (
            lambda request, reply: Reply(200, b"{}") if is_event(request) else reply,
            "event signed by another secret",
            "status must be 401, came 200",
        ),
        (
            lambda request, reply: Reply(200) if reply.status == 404 else reply,
            "event of an unknown order",
            "status must be 404, came 200",
        ),
        (
            lambda request, reply: Reply(409, reply.body) if b"repeated" in reply.body else reply,
            "order.paid again",
            "status must be 2xx, came 409",
        ),
        (
            lambda request, reply: changed(reply, status="00"),
            "the order after order.paid",
            "status must be 01, came 00",
        ),
        (
            lambda request, reply: Reply(404, b"nothing") if reply.status == 404 else reply,
            "query of an unknown order",
            "the body is no JSON object",
        ),
        (
            lambda request, reply: changed(reply, order_no=ORDER.order_no.lower()),
            "query of the order",
            "the answer is about another order number",
        ),
        (
            lambda request, reply: Reply(500, b"<h1>%2F</h1>") if "%2F" in request.path else reply,
            "query with signs in the number",
            "status must be 404, came 500",
        ),
        (
            lambda request, reply: Reply(422) if b"acquirer_trial" in request.body else reply,
            "order.paid with two signatures and an unknown member",
            "status must be 2xx, came 422",
        ),
    ],
    ids=range(8),
)
async def test_a_planted_fault_is_found(tmp_path: Path, bend: Bend, what: str, fault: str) -> None:
    """At the call that it belongs to, in words."""
    async with serving(tmp_path, bend) as url:
        found = faults(await trial(url))
    assert any(told.startswith(fault) for told in found[what]), found


async def test_silence_is_a_fault_of_its_call(tmp_path: Path) -> None:
    """Nobody waits longer than agreed, and the others are tried all the same."""

    def bend(request: Request, reply: Reply) -> Reply:
        return SILENCE if "NONE-" in request.path else reply

    async with serving(tmp_path, bend) as url:
        tried = await trial(url, timeout_s=2.0)
    (what, told), *others = faults(tried).items()
    assert (what, told, others) == (
        "query of an unknown order",
        ("no answer within 2 seconds",),
        [],
    )


async def test_nobody_there_is_one_fault() -> None:
    """With the reason; nothing is raised, and nothing more is tried."""
    tried = await trial("http://127.0.0.1:9")
    (only,) = tried
    assert (("no connection",), None) == (only.faults, only.status)
