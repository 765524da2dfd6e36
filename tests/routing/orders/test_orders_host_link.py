"""Order systems over ISO 8583: the adapter and the simulator's order host on a socket."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from limits import HANG_S

from acquirer.config.estate import load_estate
from acquirer.hosts_sim.orders.iso_link import serve_iso
from acquirer.hosts_sim.orders.server import opened_app, serve_http
from acquirer.hosts_sim.orders.settings import IsoSettings, OrderSimSettings, Rule
from acquirer.hosts_sim.orders.store import read_events
from acquirer.routing.banks.banks import Banks
from acquirer.routing.orders.adapter import (
    Delivered,
    OrderSystemDown,
    OrderSystemSilent,
    Rejected,
    UnknownOrder,
)
from acquirer.routing.orders.client import OrderSystems
from acquirer.routing.orders.messages import (
    EventData,
    OrderFacts,
    build_event,
)
from acquirer.routing.orders.settings import OrderSystemSettings
from acquirer.routing.settings import BankSettings

pytestmark = pytest.mark.anyio

ESTATE = load_estate()
ORDER = next(order for order in ESTATE.orders if order.amount_minor and "2" in order.pay_ways)
MERCHANT = ORDER.merchant_id
NOW_S = 1_795_000_000.0


def event(kind: Any = "order.paid", number: int = 1, **changes: Any) -> Any:
    """An event of the order, as the outbox keeps it."""
    facts: dict[str, Any] = {
        "order_no": ORDER.order_no,
        "merchant_id": MERCHANT,
        "order_status": "01",
        "amount_minor": ORDER.amount_minor,
        "currency_code": "156",
        "means": "cash",
        "rrn": "000000000017",
        "terminal_id": "10000001",
    }
    at_ms = int(NOW_S * 1000) + number
    return build_event(f"evt_{number:032x}", kind, EventData(**facts | changes), at_ms)


@asynccontextmanager
async def hosting(
    folder: Path, module: Any, security: Any = "none", rules: list[Rule] | None = None
) -> AsyncIterator[tuple[OrderSystems, OrderSystems, Banks]]:
    """The same order system over ISO 8583 and over HTTP."""
    zmk = ESTATE.banks[0].zmk
    settings = OrderSimSettings(data=str(folder), max_age_s=0, rules=rules or [])
    with opened_app(settings) as app:
        async with trio.open_nursery() as nursery:

            async def http(task_status: trio.TaskStatus[str]) -> None:
                await serve_http(app, settings, task_status=task_status)

            async def iso(task_status: trio.TaskStatus[str]) -> None:
                front, key = IsoSettings(security=security), bytes.fromhex(zmk)
                await serve_iso(app, front, key, time.time, task_status=task_status)

            url = f"http://{await nursery.start(http)}"
            host = BankSettings(
                name="host",
                address=await nursery.start(iso),
                acquirer_id="00085500",
                dialect="order_host",
                security=security,
                zmk=zmk,
                reconnect_first_s=0.01,
            )
            banks = Banks([host], module, on_unmatched=lambda *_: None)
            await nursery.start(banks.run)
            with trio.fail_after(HANG_S):
                await banks.wait_up("host")
            system = OrderSystemSettings("iso", host="host", timeout_s=0.3)
            yield (
                OrderSystems([system], links=banks),
                OrderSystems([OrderSystemSettings("http", url)]),
                banks,
            )
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("security", ["none", "zone"])
async def test_a_day_over_the_link(tmp_path: Path, clear_security: Any, security: str) -> None:
    """Asked in both languages the order system says the same; a repeat has no second effect."""
    async with hosting(tmp_path, clear_security, security) as (iso, http, _):
        for order in ESTATE.orders[:5]:
            asked = order.merchant_id, order.order_no
            assert await iso.query(*asked) == await http.query(*asked)
        assert await iso.query(MERCHANT, "NONE") == UnknownOrder()
        steps = [
            event("order.paid", 1),
            event("order.payment_confirmed", 2, order_status="02"),
            event("order.signed_for", 3, order_status="03", signed_by="王芳"),
        ]
        assert await iso.deliver(steps[1]) == Rejected(False, "response code 09")
        for step in [*steps, msgspec.structs.replace(steps[0], attempts=1)]:
            assert await iso.deliver(step) == Delivered()
        assert await iso.deliver(event("order.paid", 4, amount_minor=1)) == Rejected(
            True, "response code 12"
        )
        facts = await iso.query(MERCHANT, ORDER.order_no)
        assert isinstance(facts, OrderFacts)
        assert facts.status == "03"
    kept = {one.id: one for one in read_events(tmp_path)}
    assert [kept[step.id].deliveries for step in steps] == [2, 2, 1]


async def test_faults_of_the_host(tmp_path: Path, clear_security: Any) -> None:
    """Silence and nonsense are 68, a host without its books 91, another order's answer none."""
    rules = [
        Rule("silence", order_no_pattern="SP20261121001", times=1),
        Rule("garbage", order_no_pattern="SP20261121001", times=1),
        Rule("wrong_order", order_no_pattern="SP20261121001", times=1),
        Rule("down", order_no_pattern="SP20261121001", times=1),
        Rule("lost_answer", order_no_pattern="SP20261121001", times=1),
    ]
    async with hosting(tmp_path, clear_security, rules=rules) as (iso, _, banks):
        replies = [await iso.query(MERCHANT, "SP20261121001") for _ in rules]
        assert replies == [
            OrderSystemSilent(),
            OrderSystemSilent(),
            OrderSystemDown(
                "the answer is about another order number", "order_no", '"SP20261121001X"'
            ),
            OrderSystemDown("response code 91"),
            OrderSystemDown("link lost"),
        ]
        with trio.fail_after(HANG_S):
            await banks.wait_up("host")
        assert isinstance(await iso.query(MERCHANT, "SP20261121001"), OrderFacts)
