"""The order system simulator and the switch's events against the OpenAPI document."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import msgspec
import pytest
import trio
import yaml

from acquirer.codecs.order_codes import Means, OrderStatus
from acquirer.config.estate import Order, load_estate
from acquirer.hosts_sim.orders.server import run_order_sim
from acquirer.hosts_sim.orders.settings import OrderSimSettings, Rule
from acquirer.routing.orders.messages import (
    EventBody,
    EventData,
    NewOrder,
    NewPart,
    OrderFacts,
    OrderLine,
    build_event,
    encode_order,
)
from acquirer.routing.orders.webhooks import sign

pytestmark = pytest.mark.anyio

DOCUMENT = yaml.safe_load(
    (Path(__file__).parents[3] / "docs/order-system-openapi.yaml").read_text("utf-8")
)
ESTATE = load_estate()
ORDER = next(order for order in ESTATE.orders if order.amount_minor and "2" in order.pay_ways)
OPEN = next(one for one in ESTATE.orders if one.amount_minor and one is not ORDER)
MERCHANT = next(one for one in ESTATE.merchants if one.merchant_id == ORDER.merchant_id)
ITEM = ESTATE.items[0]
SHOP = next(one for one in ESTATE.merchants if one.merchant_id == ITEM.merchant_id)


def check(schema: dict[str, Any], instance: object) -> None:
    """Hold a JSON value against a schema of the document."""
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(whole).validate(instance)


def check_answer(operation: dict[str, Any], answer: httpx.Response) -> None:
    """Status, content type and body are among those that the document names."""
    named = operation["responses"][str(answer.status_code)]["content"]
    assert answer.headers["content-type"] in named
    check(named["application/json"]["schema"], answer.json())


def event(number: int, kind: Any = "order.paid", **changes: Any) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an event."""
    facts: dict[str, Any] = {
        "order_no": ORDER.order_no,
        "merchant_id": ORDER.merchant_id,
        "order_status": "01",
        "amount_minor": ORDER.amount_minor,
        "currency_code": "156",
        "means": "cash",
        "rrn": "000000000017",
    }
    built = build_event(f"evt_{number}", kind, EventData(**facts | changes), 1_795_000_000_000)
    return posted(built.id, MERCHANT.event_secret, built.body.encode())


def sale(order_no: str, code: str, quantity: int = 1) -> tuple[bytes, dict[str, str]]:
    """Body and headers of what opens an order."""
    order = NewOrder(
        order_no=order_no,
        merchant_id=SHOP.merchant_id,
        kind="sale",
        lines=(OrderLine(code, quantity),),
        terminal_id="10000003",
        courier_id="C2001",
    )
    return posted("open_1", SHOP.event_secret, encode_order(order))


def part(id: str, amount_minor: int, order: Order = OPEN) -> tuple[bytes, dict[str, str]]:
    """Body and headers of what opens a part."""
    made = NewPart(
        part_id=id,
        of=order.order_no,
        merchant_id=order.merchant_id,
        amount_minor=amount_minor,
        terminal_id="10000001",
        courier_id="C1001",
    )
    secret = next(
        one.event_secret for one in ESTATE.merchants if one.merchant_id == order.merchant_id
    )
    check({"$ref": "#/components/schemas/NewPart"}, json.loads(encode_order(made)))
    return posted(f"open_{id}", secret, encode_order(made))


def posted(id: str, secret: str, body: bytes) -> tuple[bytes, dict[str, str]]:
    """A body with its headers."""
    now_s = int(time.time())
    return body, {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": sign([secret], id, now_s, body),
    }


async def test_every_answer_of_the_simulator_fits_the_document(tmp_path: Path) -> None:
    """Each status of all operations that can be brought about."""
    opens = DOCUMENT["paths"]["/orders"]["post"]
    query = DOCUMENT["paths"]["/orders/{merchant_id}/{order_no}"]["get"]
    receive = DOCUMENT["paths"]["/events"]["post"]
    rules = [Rule("down", order_no_pattern="DOWN")]
    settings = OrderSimSettings(data=str(tmp_path), rules=rules, max_age_s=5)
    async with trio.open_nursery() as nursery:
        address = await nursery.start(run_order_sim, settings)
        seen = set()
        async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as http:
            paths = [f"/orders/{one.merchant_id}/{one.order_no}" for one in ESTATE.orders]
            paths += [f"/orders/{one.merchant_id}/{one.code}" for one in ESTATE.items]
            for path in [*paths, f"/orders/{ORDER.merchant_id}/NONE", "/orders/m/DOWN"]:
                answer = await http.get(path)
                check_answer(query, answer)
                seen.add(("query", answer.status_code))
            good, headers = event(1)
            for body, sent in (
                event(5, "order.payment_confirmed", order_status="02"),
                (good, headers),
                (good, headers),
                (good, headers | {"webhook-signature": "v1,AAAA"}),
                (b"{}", headers),
                (b"x" * 70_000, headers),
                event(2, amount_minor=1),
                event(3, order_no="NONE"),
                event(4, order_no="DOWN"),
            ):
                answer = await http.post("/events", content=body, headers=sent)
                check_answer(receive, answer)
                seen.add(("events", answer.status_code))
            unparted = next(one for one in ESTATE.orders if one.merchant_id == SHOP.merchant_id)
            for (body, sent), status in (
                (part("P1", 100), 200),
                (part("P1", 100), 200),
                (part("P1", 101), 409),
                (part("P2", OPEN.amount_minor + 1), 422),
                (part("P3", 1, unparted), 422),
            ):
                answer = await http.post("/orders", content=body, headers=sent)
                check_answer(opens, answer)
                assert status == answer.status_code
            good, headers = sale("S1", ITEM.code)
            for body, sent in (
                (good, headers),
                (good, headers),
                (good, headers | {"webhook-signature": "v1,AAAA"}),
                (b"{}", headers),
                (b"x" * 70_000, headers),
                sale("S1", ITEM.barcode),
                sale("S2", "NONE"),
                sale("DOWN", ITEM.code),
            ):
                answer = await http.post("/orders", content=body, headers=sent)
                check_answer(opens, answer)
                seen.add(("opens", answer.status_code))
        nursery.cancel_scope.cancel()
    assert seen == {
        *(("query", status) for status in (200, 404, 503)),
        *(("opens", status) for status in (200, 400, 401, 409, 413, 422, 503)),
        *(("events", status) for status in (200, 400, 401, 404, 409, 413, 422, 503)),
    }


def test_the_switchs_events_fit_the_document() -> None:
    """With everything that an event can carry; the document knows every member."""
    texts = {
        name: "x"
        for name, default in msgspec.structs.asdict(
            EventData(
                order_no="A",
                merchant_id="m",
                order_status=OrderStatus.PAID,
                amount_minor=0,
                currency_code="156",
                means=Means.CARD,
            )
        ).items()
        if default == ""
    }
    full = EventData(
        order_no="A",
        merchant_id="m",
        order_status=OrderStatus.PAID,
        amount_minor=999_999_999_999,
        currency_code="156",
        means=Means.CARD,
        fields={"floor": "9"},
        **texts,
    )
    body = json.loads(build_event("evt_1", "order.exception", full, 0).body)
    check({"$ref": "#/components/schemas/Event"}, body)
    named = DOCUMENT["components"]["schemas"]["EventData"]["properties"]
    assert set(body["data"]) == set(named)


def test_the_documents_examples_are_what_both_sides_take() -> None:
    """The examples fit their schemas and the switch's own types."""
    order = DOCUMENT["paths"]["/orders/{merchant_id}/{order_no}"]["get"]["responses"]["200"]
    content = order["content"]["application/json"]
    check(content["schema"], content["example"])
    msgspec.convert(content["example"], OrderFacts)
    for path, made in (("/events", EventBody), ("/orders", NewOrder)):
        content = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        check(content["schema"], content["example"])
        msgspec.convert(content["example"], made)
    [example] = DOCUMENT["components"]["schemas"]["NewPart"]["examples"]
    check({"$ref": "#/components/schemas/NewPart"}, example)
    msgspec.convert(example, NewPart)
    named = DOCUMENT["components"]["schemas"]["Order"]["properties"]
    assert set(named) == set(OrderFacts.__struct_fields__)
