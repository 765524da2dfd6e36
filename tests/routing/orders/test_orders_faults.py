"""What an order system does wrong is told once in the log and once to who counts."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
import trio
from limits import HANG_S
from structlog.testing import capture_logs

from acquirer.codecs.order_codes import Means, OrderStatus
from acquirer.routing.orders.client import OrderSystemDown, OrderSystems
from acquirer.routing.orders.faults import Fault
from acquirer.routing.orders.messages import EventData, build_event, shown_value
from acquirer.routing.orders.settings import OrderSystemSettings

pytestmark = pytest.mark.anyio

MERCHANT = "898110053310001"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
FACTS = {
    "order_no": "SP1",
    "merchant_id": MERCHANT,
    "status": "00",
    "amount_minor": 21478,
    "currency_code": "156",
    "pay_ways": "12",
}
SYSTEM = OrderSystemSettings(name="shop", url="http://shop.test", timeout_s=HANG_S)


def answering(answer: bytes | None) -> Callable[..., Any]:
    """Opens connections to a peer that answers so, or never."""

    async def connect(origin: object) -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        if answer is not None:
            await theirs.send_all(answer)
        kept.append(theirs)
        return ours

    kept: list[trio.abc.Stream] = []
    return connect


def reply(body: object, status: int = 200) -> bytes:
    """An HTTP answer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n" % (status, len(content)) + content


async def ask(answer: bytes | None) -> tuple[list[Fault], Sequence[Any]]:
    """What is told and logged of a query that is answered so."""
    told: list[Fault] = []
    connect = answering(answer)
    timeout_s = 0.01 if answer is None else HANG_S
    system = msgspec.structs.replace(SYSTEM, timeout_s=timeout_s)
    orders = OrderSystems([system], connect=connect, on_fault=told.append)
    with capture_logs() as logged:
        await orders.query(MERCHANT, "SP1")
    return told, logged


@pytest.mark.parametrize(
    ("wrong", "member", "got"),
    [
        ({"amount_minor": "21478"}, "amount_minor", '"21478"'),
        ({"amount_minor": -1}, "amount_minor", "-1"),
        ({"amount_minor": 214.78}, "amount_minor", "214.78"),
        ({"pay_ways": "14"}, "pay_ways", '"14"'),
        ({"status": "99"}, "status", '"99"'),
        ({"currency_code": "CNY"}, "currency_code", '"CNY"'),
        ({"order_no": "SP2"}, "order_no", '"SP2"'),
        ({"text": "Li " * 300}, "text", "a text of 900 characters"),
        ({"text": 17}, "text", "int"),
        ({"fields": {"floor": 3}}, "fields", "dict"),
        ({"status": "06"}, "amount_minor", "21478"),
    ],
)
async def test_a_wrong_answer_is_told_with_merchant_member_and_what_was_sent(
    wrong: dict[str, Any], member: str, got: str
) -> None:
    """One fault and one line of the log, whatever is wrong; of people's texts only the length."""
    told, logged = await ask(reply(FACTS | wrong))
    (fault,), (line,) = told, logged
    assert (fault.merchant_id, fault.order_no, fault.call) == (MERCHANT, "SP1", "query")
    assert (fault.fault, fault.member, fault.got) == ("answer", member, got)
    assert line["event"] == "order_system_fault"
    assert {name: line[name] for name in msgspec.structs.asdict(fault)} == (
        msgspec.structs.asdict(fault)
    )


@pytest.mark.parametrize(
    ("answer", "fault", "member", "reason"),
    [
        (reply({}, 503), "down", "", "status 503"),
        (b"SSH-2.0\r\n\r\n", "down", "", "an answer that is no HTTP"),
        (b"", "silent", "", "no answer in time"),
        (reply(b"{"), "answer", "body", "the answer does not fit the contract"),
        (
            reply({name: FACTS[name] for name in FACTS if name != "status"}),
            "answer",
            "status",
            "the answer does not fit the contract",
        ),
    ],
)
async def test_down_silent_and_unreadable_are_told(
    answer: bytes, fault: str, member: str, reason: str
) -> None:
    """Each is a fault of its own kind, with its reason."""
    (told,), (line,) = await ask(answer or None)
    assert (told.fault, told.member) == (fault, member)
    assert told.reason.startswith(reason)
    assert "got" not in line


async def test_what_is_right_or_a_plain_no_is_no_fault() -> None:
    """An order, and an order that is not known."""
    assert await ask(reply(FACTS)) == ([], [])
    assert await ask(reply({"error": "unknown_order"}, 404)) == ([], [])


async def test_an_event_that_is_not_taken_is_told() -> None:
    """With its merchant, its order and the status."""
    data = EventData(
        order_no="SP1",
        merchant_id=MERCHANT,
        order_status=OrderStatus.PAID,
        amount_minor=21478,
        currency_code="156",
        means=Means.CASH,
    )
    told: list[Fault] = []
    connect = answering(reply({}, 500))
    orders = OrderSystems([SYSTEM], connect=connect, on_fault=told.append)
    await orders.deliver(build_event("evt_1", "order.paid", data, 0), SECRET)
    (fault,) = told
    assert (fault.call, fault.fault, fault.reason) == ("event", "not_taken", "status 500")


async def test_an_order_that_nobody_serves_is_told() -> None:
    """There is no system to name then."""
    told: list[Fault] = []
    orders = OrderSystems([], on_fault=told.append)
    assert isinstance(await orders.query(MERCHANT, "SP1"), OrderSystemDown)
    assert [(one.system, one.fault) for one in told] == [("", "down")]


def test_what_was_sent_is_bounded() -> None:
    """However long it is, and nothing in it steers a screen."""
    assert len(shown_value("pay_ways", "1" * 9_999)) == 60
    assert shown_value("status", "\x1b[2J").isprintable()
