"""The JSON documents of order systems: what is taken, what is refused."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.codecs.order_codes import Means, OrderStatus
from acquirer.routing.orders.errors import AnswerError
from acquirer.routing.orders.messages import (
    EventBody,
    EventData,
    OrderFacts,
    build_event,
    decode_facts,
    decode_problem,
    rfc3339,
)

MERCHANT = "898110053310001"
GOOD = {
    "order_no": "SP1",
    "merchant_id": MERCHANT,
    "status": "00",
    "amount_minor": 21478,
    "currency_code": "156",
    "pay_ways": "12",
    "text": "手机壳|Block 14",
}


def answer(**changes: object) -> bytes:
    """A good answer with some members changed."""
    return json.dumps({**GOOD, **changes}).encode()


def test_an_answer_becomes_facts_with_defaults_for_what_may_be_missing() -> None:
    """A plain answer is taken; reference and age have defaults; unknown members do no harm."""
    expected = OrderFacts(
        order_no="SP1",
        merchant_id=MERCHANT,
        status=OrderStatus.TO_PAY,
        amount_minor=21478,
        currency_code="156",
        pay_ways="12",
        text="手机壳|Block 14",
    )
    assert expected == decode_facts(answer(colour="red"), MERCHANT, "SP1")


def test_a_refusal_names_the_member_and_not_its_value() -> None:
    """An answer may hold anything; the reason goes into the log."""
    with pytest.raises(AnswerError) as caught:
        decode_facts(answer(status="x" * 1000), MERCHANT, "SP1")
    assert "$.status" in str(caught.value)
    assert "xx" not in str(caught.value)


def test_texts_that_would_steer_a_screen_are_clean() -> None:
    """Control, C1 and bidi characters become blanks, wherever people read; the rest stays."""
    hostile, clean = "茶\x1b[2J\x9b\u202e|\u2066x\n", "茶 [2J  | x "
    facts = decode_facts(
        answer(text=hostile, reference=hostile, fields={hostile: hostile}), MERCHANT, "SP1"
    )
    assert (clean, clean, {clean: clean}) == (facts.text, facts.reference, facts.fields)
    problem = decode_problem(json.dumps({"error": "conflict", "detail": hostile}).encode())
    assert clean == problem.detail


@pytest.mark.parametrize(("status", "due"), [("00", 21478), ("01", 0), ("03", 0), ("04", 0)])
def test_only_an_order_to_pay_has_something_due(status: str, due: int) -> None:
    """The amount stays the order's; what is due depends on its status."""
    assert due == decode_facts(answer(status=status), MERCHANT, "SP1").due_minor


@pytest.mark.parametrize(
    "changes",
    [
        {"order_no": "SP2"},
        {"merchant_id": "898110053310009"},
        {"amount_minor": -1},
        {"amount_minor": 1_000_000_000_000},
        {"amount_minor": 214.78},
        {"amount_minor": "21478"},
        {"amount_minor": True},
        {"status": "07"},
        {"status": "06"},
        {"currency_code": "CNY"},
        {"currency_code": "156\n"},
        {"pay_ways": "21"},
        {"pay_ways": "4"},
        {"text": "x" * 501},
        {"max_age_s": -1},
    ],
)
def test_an_answer_against_the_contract_is_refused(changes: dict[str, object]) -> None:
    """Wrong order, wrong money and wrong codes never become facts."""
    with pytest.raises(AnswerError):
        decode_facts(answer(**changes), MERCHANT, "SP1")


@given(st.binary(max_size=200))
def test_any_bytes_are_facts_or_an_answer_error(body: bytes) -> None:
    """Nothing else escapes, whatever an order system sends."""
    with pytest.raises(AnswerError):
        decode_facts(body, MERCHANT, "SP1")


def test_an_event_carries_type_time_and_what_applies() -> None:
    """The body is what the contract shows, without members that do not apply."""
    data = EventData(
        order_no="SP1",
        merchant_id=MERCHANT,
        order_status=OrderStatus.PAID,
        amount_minor=21478,
        currency_code="156",
        means=Means.CARD,
        rrn="000000000017",
        approval_code="123456",
        terminal_id="10000001",
        courier_id="C1",
    )
    event = build_event("evt_1", "order.paid", data, 1_764_000_000_123)
    assert (
        event.id,
        event.type,
        event.merchant_id,
        event.order_no,
    ) == ("evt_1", "order.paid", MERCHANT, "SP1")
    assert (
        event.created_at_ms,
        event.next_at_ms,
        event.attempts,
    ) == (1_764_000_000_123, 1_764_000_000_123, 0)
    assert json.loads(event.body) == {
        "type": "order.paid",
        "timestamp": "2025-11-24T16:00:00.123Z",
        "data": {
            "order_no": "SP1",
            "merchant_id": MERCHANT,
            "order_status": "01",
            "amount_minor": 21478,
            "currency_code": "156",
            "means": "card",
            "rrn": "000000000017",
            "approval_code": "123456",
            "terminal_id": "10000001",
            "courier_id": "C1",
        },
    }
    assert data == msgspec.json.decode(event.body, type=EventBody).data


@given(st.integers(0, 4_000_000_000_000))
def test_times_sort_as_text_as_they_do_as_numbers(at_ms: int) -> None:
    """Fixed width and UTC make RFC 3339 texts comparable."""
    assert rfc3339(at_ms) < rfc3339(at_ms + 1)
