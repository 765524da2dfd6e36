"""Order systems over ISO 8583: the messages, and what replies mean."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.codecs.de59 import De59
from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.message import Message
from acquirer.config.estate import load_estate
from acquirer.hosts_sim.orders.app import Reply
from acquirer.hosts_sim.orders.iso_messages import reply_of, request_of
from acquirer.routing.orders.adapter import (
    Delivered,
    NotOpened,
    OrderSystemDown,
    OrderSystemSilent,
    Question,
    Rejected,
    UnknownOrder,
)
from acquirer.routing.orders.client import OrderSystems
from acquirer.routing.orders.iso_messages import (
    EVENTS,
    Numbers,
    facts_of,
    notice_message,
    open_message,
    query_message,
    reply_text,
)
from acquirer.routing.orders.messages import (
    EventData,
    NewOrder,
    OrderFacts,
    OrderLine,
    build_event,
    encode_order,
)
from acquirer.routing.orders.settings import OrderSystemSettings
from acquirer.routing.outcomes import BankOutcome, NoReply, NotSent, Replied

pytestmark = pytest.mark.anyio

DIALECT = load_dialect("order_host")
ESTATE = load_estate()
ORDER = next(order for order in ESTATE.orders if order.amount_minor and "2" in order.pay_ways)
MERCHANT = ORDER.merchant_id
NUMBERS = Numbers("000017", "1121081530", "00085500")
NOW_S = 1_795_000_000.0
OWN_TAGS = "OL OI OV OK IT EI ET EA EM ES EW"
SECRETS = {MERCHANT: ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]}


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


def over_the_wire(message: Message) -> Message:
    """The message as the other side decodes it."""
    decoded = DIALECT.decode(DIALECT.encode(message))
    DIALECT.check_needs(decoded)
    return decoded


# The messages; the simulator's own code, written apart, reads what ours writes.

plain = st.text(st.characters(codec="utf-8", exclude_characters="|", categories=("L", "N")))
some = plain.filter(bool)
notices = st.builds(
    EventData,
    order_no=st.text("A号-7", min_size=1, max_size=40),
    merchant_id=st.just(MERCHANT),
    order_status=st.sampled_from(["00", "01", "02", "03", "04", "05", "06"]),
    amount_minor=st.integers(0, 999_999_999_999),
    currency_code=st.sampled_from(["156", "840"]),
    means=st.sampled_from(["card", "cash", "none"]),
    rrn=st.just("000000000017"),
    stan=st.sampled_from(["", "000042"]),
    approval_code=st.sampled_from(["", "123456"]),
    terminal_id=st.just("10000001"),
    courier_id=st.sampled_from(["", "C1001"]),
    signed_by=some.map(lambda text: text[:10]),
    reason=st.sampled_from(["", "06", "reversed"]),
    note=some.map(lambda text: text[:10]),
    fields=st.sampled_from([{}, {"floor": "9", "楼": "三"}]),
)


@given(st.sampled_from(list(EVENTS)), notices)
def test_a_notice_arrives_as_it_was_meant(kind: Any, data: EventData) -> None:
    """Every member of the event reaches the order host, whatever is in it."""
    told = build_event("evt_1", kind, data, 1_764_000_000_123)
    request = request_of(over_the_wire(notice_message(told, NUMBERS)), SECRETS, NOW_S)
    assert json.loads(told.body) == json.loads(request.body)
    assert (request.path, request.headers["webhook-id"]) == ("/events", "evt_1")


@given(
    st.fixed_dictionaries(
        {
            "order_no": st.just("A号/1"),
            "merchant_id": st.just(MERCHANT),
            "status": st.sampled_from(["00", "01", "05"]),
            "amount_minor": st.integers(0, 999_999_999_999),
            "currency_code": st.just("156"),
            "pay_ways": st.sampled_from(["", "1", "123"]),
            "text": plain.map(lambda text: text[:60]),
            "max_age_s": st.integers(0, 86_400),
            "fields": st.sampled_from([{}, {"gift": "Tea 茶", "box": ""}]),
        }
    )
)
def test_an_answer_arrives_as_it_was_meant(document: dict[str, Any]) -> None:
    """The facts are those of the order host's own document."""
    asked = over_the_wire(query_message(Question(MERCHANT, "A号/1", "10000001", "C1"), NUMBERS))
    request = request_of(asked, SECRETS, NOW_S)
    assert unquote(request.path) == f"/orders/{MERCHANT}/A号/1"
    answer = reply_of(asked, Reply(200, msgspec.json.encode(document)))
    assert answer is not None
    expected = msgspec.convert(document, OrderFacts)
    assert expected == facts_of(over_the_wire(answer), MERCHANT, "A号/1")


def test_texts_that_would_steer_a_screen_are_clean() -> None:
    """Control, C1 and bidi characters in an order host's texts become blanks."""
    hostile, clean = "茶\x1b[2J\x9b\u202e|x", "茶 [2J  |x"
    items = {"ON": "SP1", "OS": "00", "OW": "1", "OT": hostile, "OP": hostile}
    reply = Message("0110", {11: "000017", 4: "000000000100", 39: "00", 42: MERCHANT, 49: "156"})
    reply.fields[59] = De59.build(items).hex
    facts = facts_of(over_the_wire(reply), MERCHANT, "SP1")
    assert (clean, clean) == (facts.text, facts.reference)
    assert clean == reply_text(reply)


def test_a_long_remark_is_cut_and_no_notice_lost() -> None:
    """What programs need is all there; text for people is cut between two characters."""
    data: dict[str, Any] = {
        "note": "很" * 300,
        "signed_by": "王" * 100,
        "fields": {"楼" * 30: "三" * 30},
    }
    items = De59.parse(notice_message(event(**data), NUMBERS).binary(59))
    assert set("很") == set(items.text("OD") or "很")
    assert "王" * 10 in items.text("OR")
    assert (ORDER.order_no, "72") == (items.text("ON"), items.text("ET"))
    crowded: dict[str, Any] = {"fields": {f"名{n}" * 10: "值" * 40 for n in range(9)}}
    items = De59.parse(notice_message(event(**crowded), NUMBERS).binary(59))
    assert "OV" not in items
    assert items.text("EI") == event().id


def test_a_notice_that_was_tried_before_says_so() -> None:
    """0220 at first, 0221 ever after; all else is the same."""
    first = event()
    again = msgspec.structs.replace(first, attempts=3)
    assert notice_message(first, NUMBERS).mti == "0220"
    assert notice_message(again, NUMBERS).mti == "0221"
    assert notice_message(again, NUMBERS).fields == notice_message(first, NUMBERS).fields


def test_the_pages_example_is_what_is_written() -> None:
    """Question, answer, notice and its answer, byte by byte; and every tag is in its table."""
    page = (Path(__file__).parents[3] / "docs/order-host.md").read_text("utf-8")
    frames = re.findall(r"```\n([0-9A-F\n]+)```", page)
    asked, answer, told, taken = (
        DIALECT.decode(bytes.fromhex(frame.replace("\n", ""))[2:]) for frame in frames
    )
    question = Question(MERCHANT, "SP20261121001", "10000001", "C1001")
    assert over_the_wire(query_message(question, NUMBERS)) == asked
    facts = facts_of(answer, MERCHANT, "SP20261121001")
    assert (facts.amount_minor, facts.pay_ways, facts.max_age_s) == (21_478, "123", 0)
    document = json.loads(request_of(told, SECRETS, NOW_S).body)
    data = msgspec.convert(document["data"], EventData)
    event_id = De59.parse(told.binary(59)).text("EI")
    again = build_event(event_id, document["type"], data, 1_795_248_930_123)
    numbers = Numbers("000018", "1121081531", NUMBERS.acquirer_id)
    assert over_the_wire(notice_message(again, numbers)) == told
    assert (taken.mti, taken.get(39), taken.get(37)) == ("0230", "00", told.get(37))
    assert set(re.findall("`(O[LIVK]|IT|E[ITAMSW])`", page)) == set(OWN_TAGS.split())


# What a reply means.


class Links:
    """Gives one outcome for everything."""

    def __init__(self, outcome: BankOutcome | Callable[[Message], Message]) -> None:
        self.outcome = outcome
        self.sent: list[Message] = []

    def acquirer_id(self, bank: str) -> str:
        """Ours."""
        return "00085500"

    async def exchange(self, bank: str, message: Message, deadline: float) -> BankOutcome:
        """The outcome, or what it makes of the message."""
        self.sent.append(message)
        return Replied(self.outcome(message)) if callable(self.outcome) else self.outcome


def answering(code: str, **more: str) -> Callable[[Message], Message]:
    """A host that answers with this response code and fields ``de4=…``."""
    fields = {int(name[2:]): value for name, value in more.items()}

    def answer(message: Message) -> Message:
        echoed = {n: v for n, v in message.fields.items() if n in (11, 37, 42)}
        return Message(f"{message.mti[:2]}{int(message.mti[2]) + 1}0", echoed | {39: code} | fields)

    return answer


def systems(outcome: BankOutcome | Callable[[Message], Message]) -> OrderSystems:
    """One order system behind such a host."""
    system = OrderSystemSettings("shop", host="host")
    return OrderSystems([system], wall_s=lambda: NOW_S, links=Links(outcome))


def items(**changes: str) -> str:
    """DE59 of a good answer about order A1, with changes."""
    return De59.build({"ON": "A1", "OS": "00", "OW": "12"} | changes).hex


GOOD = {"de4": "000000000100", "de49": "156"}


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (answering("25"), UnknownOrder()),
        (answering("91"), OrderSystemDown("response code 91")),
        (answering("68"), OrderSystemSilent()),
        (answering("A0"), OrderSystemDown("response code A0")),
        (NotSent("link down"), OrderSystemDown("link down")),
        (NotSent("window full"), OrderSystemDown("window full")),
        (NoReply("timeout"), OrderSystemSilent()),
        (NoReply("link lost"), OrderSystemDown("link lost")),
        (NoReply("bad mac"), OrderSystemDown("bad mac")),
        (
            answering("00", **GOOD, de59=items(ON="A2")),
            OrderSystemDown("the answer is about another order number", "order_no", '"A2"'),
        ),
        (
            answering("00", **GOOD, de42="X" * 15, de59=items()),
            OrderSystemDown("the answer is about another merchant", "merchant_id", f'"{"X" * 15}"'),
        ),
        (
            answering("00", **GOOD, de59=items(OS="06")),
            OrderSystemDown(
                "the answer has an amount where there is nothing to pay", "amount_minor", "100"
            ),
        ),
    ],
)
async def test_what_is_no_good_answer_is_a_value(outcome: Any, expected: object) -> None:
    """The same values as over HTTP."""
    assert await systems(outcome).query(MERCHANT, "A1") == expected


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"de59": "4F4E"},
        {**GOOD},
        {**GOOD, "de59": items(OS="99")},
        {**GOOD, "de59": items(OL="soon")},
        {**GOOD, "de59": items(OI="a|b", OV="1")},
        {"de49": "156", "de59": items()},
        {**GOOD, "de49": "XYZ", "de59": items()},
    ],
)
async def test_an_answer_against_the_contract_counts_as_down(more: dict[str, str]) -> None:
    """The reason says that the contract was broken."""
    outcome = await systems(answering("00", **more)).query(MERCHANT, "A1")
    assert isinstance(outcome, OrderSystemDown)
    assert "does not fit the contract" in outcome.reason


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (answering("00"), Delivered()),
        (answering("12"), Rejected(True, "response code 12")),
        (answering("30"), Rejected(True, "response code 30")),
        (answering("25"), Rejected(False, "response code 25")),
        (answering("09"), Rejected(False, "response code 09")),
        (answering("91"), Rejected(False, "response code 91")),
        (NoReply("timeout"), Rejected(False, "no answer in time")),
        (NotSent("link down"), Rejected(False, "link down")),
        (NotSent("format"), Rejected(True, "format")),
    ],
)
async def test_a_refused_notice_says_whether_trying_again_can_help(
    outcome: Any, expected: object
) -> None:
    """As the statuses of HTTP do."""
    assert await systems(outcome).deliver(event()) == expected


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (answering("94"), NotOpened("conflict")),
        (answering("14", de59=De59.build({"OT": "1009"}).hex), NotOpened("unknown_item", "1009")),
        (answering("12"), NotOpened("refused")),
        (answering("91"), OrderSystemDown("response code 91")),
    ],
)
async def test_an_order_that_is_not_opened(outcome: Any, expected: object) -> None:
    """The reasons are those of HTTP."""
    assert await systems(outcome).open(shop_sale(1)) == expected
    too_many = await systems(answering("00")).open(shop_sale(50, "6901234500022"))
    assert isinstance(too_many, OrderSystemDown)


def shop_sale(lines: int, code: str = "1001") -> NewOrder:
    """A sale of so many lines."""
    return NewOrder(
        order_no="S1",
        merchant_id=MERCHANT,
        kind="sale",
        lines=(OrderLine(code, 2),) * lines,
        terminal_id="10000003",
        courier_id="C2001",
    )


def test_an_opened_order_arrives_as_it_was_meant() -> None:
    """Kind and lines, with their quantities."""
    asked = over_the_wire(open_message(shop_sale(3), NUMBERS))
    request = request_of(asked, SECRETS, NOW_S)
    assert ("POST", "/orders") == (request.method, request.path)
    assert json.loads(request.body) == json.loads(encode_order(shop_sale(3)))


async def test_an_answer_is_used_again_while_the_merchant_allows_it() -> None:
    """``OL`` of the answer, until a notice is told."""
    links = Links(answering("00", **GOOD, de59=items(OL="60")))
    orders = OrderSystems([OrderSystemSettings("shop", host="host")], links=links)
    for _ in range(3):
        assert isinstance(await orders.query(MERCHANT, "A1"), OrderFacts)
    assert len(links.sent) == 1
    await orders.deliver(msgspec.structs.replace(event(), order_no="A1"))
    await orders.query(MERCHANT, "A1")
    assert len({message.get(11) for message in links.sent}) == len(links.sent) == 3
