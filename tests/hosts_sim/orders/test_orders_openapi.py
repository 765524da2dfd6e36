"""Right and wrong requests, made from the OpenAPI document, against the simulator on a socket."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import pytest
import schemathesis
import trio
from hypothesis import HealthCheck, settings
from limits import HANG_S
from schemathesis import Case, GenerationMode
from schemathesis.config import SchemathesisConfig

from acquirer.config.estate import load_estate
from acquirer.hosts_sim.orders.server import run_order_sim
from acquirer.hosts_sim.orders.settings import OrderSimSettings
from acquirer.routing.orders.webhooks import sign

DOCUMENT = Path(__file__).parents[3] / "docs/order-system-openapi.yaml"
SECRETS = {one.merchant_id: one.event_secret for one in load_estate().merchants}
NOBODYS_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ITEM = load_estate().items[0]
ORDERS = [one for one in load_estate().orders if one.merchant_id == ITEM.merchant_id]
PARCELS = [one for one in load_estate().orders if one.order_no.startswith("SP")]
# 422 is a right answer to a right document: it may contradict what the merchant knows.
CONFIG = SchemathesisConfig.from_dict(
    {
        "generation": {"database": "none"},
        "checks": {
            "positive_data_acceptance": {
                "expected-statuses": [200, 401, 404, 409, 422],
            }
        },
    }
)
schema = schemathesis.openapi.from_path(DOCUMENT, config=CONFIG)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The simulator in a thread, as the requests of a case block."""
    started: Queue[tuple[str, trio.lowlevel.TrioToken, trio.CancelScope]] = Queue()

    async def serve() -> None:
        async with trio.open_nursery() as nursery:
            address = await nursery.start(run_order_sim, OrderSimSettings(data=str(folder)))
            started.put((address, trio.lowlevel.current_trio_token(), nursery.cancel_scope))

    thread = Thread(target=trio.run, args=(serve,))
    thread.start()
    address, token, scope = started.get(timeout=HANG_S)
    try:
        yield address
    finally:
        token.run_sync_soon(scope.cancel)
        thread.join()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the simulator of this module listens."""
    with serving(tmp_path_factory.mktemp("orders")) as listening:
        yield listening


def whole(value: Any) -> Any:
    """JSON Schema takes 5.0 for an integer; the document asks for digits alone."""
    if isinstance(value, dict):
        return {name: whole(one) for name, one in value.items()}
    if isinstance(value, list):
        return [whole(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def signed(case: Case[Any]) -> dict[str, Any]:
    """What to send so that a right document counts, for half of them about what is known."""
    document = whole(case.body)
    facts = document.get("data", document)
    if len(facts["merchant_id"]) % 2:
        own = PARCELS if "of" in facts else ORDERS
        order = own[len(facts["terminal_id" if "of" in facts else "order_no"]) % len(own)]
        facts["merchant_id"] = order.merchant_id
        if "of" in facts:
            facts |= {"of": order.order_no, "amount_minor": facts["amount_minor"] % 5_000 + 1}
        elif "amount_minor" in facts:
            facts |= {"order_no": order.order_no, "amount_minor": order.amount_minor}
        for line in facts.get("lines", ()):
            line["code"] = ITEM.code
    body = json.dumps(document).encode()
    secret = SECRETS.get(facts["merchant_id"], NOBODYS_SECRET)
    now_s = int(time.time())
    headers = {
        "webhook-timestamp": str(now_s),
        "webhook-signature": sign([secret], case.headers["webhook-id"], now_s, body),
    }
    return {"headers": headers, "data": body, "json": None}


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_the_document_allows_is_answered_as_it_says(case: Case[Any], address: str) -> None:
    """Status, headers, content type and body are those that the document names; 5xx never."""
    is_right = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
    extra = signed(case) if is_right and case.method == "POST" else {}
    answer = case.call(base_url=f"http://{address}", **extra)
    case.validate_response(answer)
