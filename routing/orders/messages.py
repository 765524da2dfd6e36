"""The JSON documents that travel between the switch and a merchant's order system. Pure.

The answer to an order query, and the events that tell what became of an order. Unknown members
are ignored, so that either side may add some. Source: ``docs/order-system-openapi.yaml``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

import msgspec

from acquirer.codecs.order_codes import Means, OrderStatus
from acquirer.codecs.shown_text import one_line, printable
from acquirer.routing.orders.errors import AnswerError

EventType = Literal[
    "order.paid",
    "order.payment_confirmed",
    "order.signed_for",
    "order.cancelled",
    "order.cancel_confirmed",
    "order.refunded",
    "order.exception",
]
Amount = Annotated[int, msgspec.Meta(ge=0, le=999_999_999_999)]
FieldText = Annotated[str, msgspec.Meta(max_length=200)]
Fields = Annotated[
    dict[Annotated[str, msgspec.Meta(max_length=40)], FieldText], msgspec.Meta(max_length=20)
]
CurrencyCode = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{3}\Z")]
ShopKind = Literal["sale", "stock_in", "count"]
LINES_MAX = 50
QUANTITY_MAX = 99_999
ITEM_CODE_CHARACTERS_MAX = 20
_PART_NO = re.compile(r"(.+)/[0-9]+")


class OrderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What an order system says of one order.

    Attributes:
        status: ``OS`` of the terminal interface.
        amount_minor: the order's amount in minor units, whatever its status; 0 with status 06.
        currency_code: ISO 4217 number, three digits.
        pay_ways: any of ``1`` card, ``2`` cash, ``3`` delivery, each at most once.
        text: lines for the terminal's screen, split by ``|``.
        reference: the merchant's own payment reference (``OP``), or empty.
        max_age_s: for how long the merchant allows this answer to be used again; 0 not at all.
        fields: the merchant's own, by name, for the text that the terminal shows.
        part_of: the order that this is a part of, to be paid by itself; or empty.
    """

    order_no: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    merchant_id: Annotated[str, msgspec.Meta(min_length=1, max_length=15)]
    status: OrderStatus
    amount_minor: Amount
    currency_code: CurrencyCode
    pay_ways: Annotated[str, msgspec.Meta(pattern=r"^1?2?3?\Z")]
    text: Annotated[str, msgspec.Meta(max_length=500)] = ""
    reference: Annotated[str, msgspec.Meta(max_length=40)] = ""
    max_age_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 0
    fields: Fields = {}
    part_of: Annotated[str, msgspec.Meta(max_length=40)] = ""

    @property
    def due_minor(self) -> int:
        """What is owed now, in minor units: nothing unless the order is to pay."""
        return self.amount_minor if self.status == OrderStatus.TO_PAY else 0


class OrderLine(msgspec.Struct, frozen=True):
    """So much of one item of a merchant's price list.

    Attributes:
        code: the item's code or barcode, 1 to ``ITEM_CODE_CHARACTERS_MAX`` characters.
        quantity: 0 to ``QUANTITY_MAX``; 0 in a count only.
    """

    code: str
    quantity: int


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that comes into being at a shop's terminal.

    Attributes:
        order_no: made by the terminal; with the same kind and lines again it is the same order.
        kind: goods sold, goods taken in, or goods counted.
        lines: 1 to ``LINES_MAX``.
    """

    order_no: str
    merchant_id: str
    kind: ShopKind
    lines: tuple[OrderLine, ...]
    terminal_id: str
    courier_id: str


class NewPart(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="part"):
    """A part of an order that comes into being because somebody wants to pay so much of it.

    Attributes:
        part_id: made by the switch; with the same order and amount again it is the same part.
        of: the order; the part's own number is the order system's to make.
    """

    part_id: str
    of: str
    merchant_id: str
    amount_minor: int
    terminal_id: str
    courier_id: str

    @property
    def order_no(self) -> str:
        """The number by which the order system is chosen."""
        return self.of


class Problem(msgspec.Struct, frozen=True):
    """Why an order system did not do something: a word for programs, a line for people."""

    error: str
    detail: str = ""


class EventData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened to an order. Members that do not apply are left out.

    Attributes:
        order_status: the order's status after the event. ``order.cancelled`` has 04 for a
            cancelled order, and 00 or 06 where only its payment was reversed; ``order.refunded``
            the one that the order had and keeps.
        amount_minor: amount of the payment, or of the order where there was none; of
            ``order.refunded`` what goes back.
        means: how it was paid.
        rrn: the payment that the event concerns, the same in every event of that payment.
        stan: of that payment, with terminal_id.
        approval_code: of that payment, from the bank.
        signed_by: who took delivery.
        reason: exception reason n2 (``OX``), or ``reversed``.
        note: free text (``OD``).
        reference: the merchant's own payment reference (``OP``).
        fields: what the courier keyed in, by the names that the merchant asks for.
    """

    order_no: str
    merchant_id: str
    order_status: OrderStatus
    amount_minor: Amount
    currency_code: CurrencyCode
    means: Means
    rrn: str = ""
    stan: str = ""
    approval_code: str = ""
    terminal_id: str = ""
    courier_id: str = ""
    signed_by: str = ""
    reason: str = ""
    note: str = ""
    reference: str = ""
    fields: dict[str, str] = {}


class EventBody(msgspec.Struct, frozen=True):
    """The document that is posted: ``timestamp`` is when it happened, RFC 3339 in UTC."""

    type: EventType
    timestamp: str
    data: EventData


class OrderEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as the outbox keeps it; the same fields as the ledger's ``Event``.

    Attributes:
        id: the webhook id, made once; the receiver's key to tell repeats.
        body: the JSON document as it is signed and sent.
    """

    id: str
    merchant_id: str
    order_no: str
    type: EventType
    body: str
    created_at_ms: int
    next_at_ms: int
    attempts: int = 0


_ENUM_VALUE = re.compile("Invalid enum value '.*'", re.DOTALL)
_INTEGER_VALUE = re.compile("invalid literal .*", re.DOTALL)
_MEMBER = re.compile(r"`\$\.(\w+)|required field `(\w+)`")
# Members whose value is from a short list, a number or a name: it is shown, others' is not.
_SHOWN = frozenset(
    {
        "order_no",
        "merchant_id",
        "status",
        "amount_minor",
        "currency_code",
        "pay_ways",
        "max_age_s",
        "part_of",
    }
)
GOT_CHARACTERS_MAX = 60
_UNFIT = "the answer does not fit the contract"
_facts = msgspec.json.Decoder(OrderFacts)
_problem = msgspec.json.Decoder(Problem)
_encode = msgspec.json.Encoder().encode
T = TypeVar("T")


def _decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Read a document of somebody else's.

    Raises:
        AnswerError: it does not fit; its text names the member.
    """
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise unfit(error, _members(body)) from None
    except RecursionError:
        raise AnswerError(f"{_UNFIT}: nested too deeply", "body") from None


def _members(body: bytes) -> Mapping[str, object]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def unfit(error: Exception, members: Mapping[str, object]) -> AnswerError:
    """Why an answer does not fit, from what its reader says.

    Args:
        error: of msgspec, or of what reads the members before it.
        members: those that came.
    """
    reason = _ENUM_VALUE.sub("Invalid enum value", str(error))
    reason = _INTEGER_VALUE.sub("no integer", reason)
    found = _MEMBER.search(reason)
    member = (found[1] or found[2]) if found else "body"
    got = shown_value(member, members[member]) if member in members else ""
    return AnswerError(f"{_UNFIT}: {reason}", member, got)


def shown_value(member: str, value: object) -> str:
    """What was sent in a member, as logs may show it: of a text of people only its length.

    >>> shown_value("pay_ways", "14"), shown_value("text", 17), shown_value("text", "Li")
    ('"14"', 'int', 'a text of 2 characters')
    """
    if member in _SHOWN:
        return printable(_encode(value).decode()[:GOT_CHARACTERS_MAX])
    if isinstance(value, str):
        return f"a text of {len(value)} characters"
    return type(value).__name__


def decode_facts(body: bytes, merchant_id: str, order_no: str) -> OrderFacts:
    """Read the answer to a query and hold it against the question.

    Raises:
        AnswerError: no such JSON document, another order or merchant, or an amount with nothing
            to pay.
    """
    return checked_facts(_decode(_facts, body), merchant_id, order_no)


def checked_facts(facts: OrderFacts, merchant_id: str, order_no: str) -> OrderFacts:
    """An answer that is about what was asked; gives it back, its texts clean (:func:`cleaned`).

    Raises:
        AnswerError: another order or merchant, or an amount with nothing to pay.
    """
    if facts.order_no != order_no:
        got = shown_value("order_no", facts.order_no)
        raise AnswerError("the answer is about another order number", "order_no", got)
    if facts.merchant_id != merchant_id:
        got = shown_value("merchant_id", facts.merchant_id)
        raise AnswerError("the answer is about another merchant", "merchant_id", got)
    if facts.status == "06" and facts.amount_minor:
        reason = "the answer has an amount where there is nothing to pay"
        raise AnswerError(reason, "amount_minor", shown_value("amount_minor", facts.amount_minor))
    if facts.part_of and facts.part_of != whole_of(facts.order_no):
        reason = "the answer is about a part with another order's number"
        raise AnswerError(reason, "part_of", shown_value("part_of", facts.part_of))
    return cleaned(facts)


def cleaned(facts: OrderFacts) -> OrderFacts:
    """An order whose texts steer no screen: a blank for each control or bidi character."""
    return msgspec.structs.replace(
        facts,
        text=one_line(facts.text),
        reference=one_line(facts.reference),
        fields={one_line(name): one_line(value) for name, value in facts.fields.items()},
    )


def decode_opened(body: bytes, order: NewOrder | NewPart) -> OrderFacts:
    """Read the answer to an opening and hold it against what was to be opened.

    Raises:
        AnswerError: as for :func:`decode_facts`, or no such part.
    """
    return checked_opened(_decode(_facts, body), order)


def checked_opened(facts: OrderFacts, order: NewOrder | NewPart) -> OrderFacts:
    """An answer that is about what was to be opened; gives it back.

    Raises:
        AnswerError: it is about something else.
    """
    if isinstance(order, NewOrder):
        return checked_facts(facts, order.merchant_id, order.order_no)
    if (facts.part_of, facts.amount_minor) != (order.of, order.amount_minor):
        got = shown_value("part_of", facts.part_of)
        raise AnswerError("the answer is about another part", "part_of", got)
    return checked_facts(facts, order.merchant_id, facts.order_no)


def whole_of(order_no: str) -> str:
    """The order that a part's number names, or the empty string for what is no part's number.

    >>> whole_of("SP1/2"), whole_of("SP1")
    ('SP1', '')
    """
    found = _PART_NO.fullmatch(order_no)
    return found[1] if found else ""


def encode_order(order: NewOrder | NewPart) -> bytes:
    """The document that opens an order; the same order always gives the same bytes.

    >>> encode_order(NewOrder(order_no="S1", merchant_id="M1", kind="sale", courier_id="C1",
    ...     lines=(OrderLine("1001", 2),), terminal_id="10000003"))[:60]
    b'{"order_no":"S1","merchant_id":"M1","kind":"sale","lines":[{'
    """
    return _encode(order)


def decode_problem(body: bytes) -> Problem:
    """Read why something was not done; the line for people is clean.

    Raises:
        AnswerError: no such JSON document.
    """
    problem = _decode(_problem, body)
    return Problem(problem.error, one_line(problem.detail))


def build_event(event_id: str, kind: EventType, data: EventData, at_ms: int) -> OrderEvent:
    """An event that is due at once.

    Args:
        event_id: unique for ever, without a full stop, which separates the parts that are signed.
        at_ms: when it happened, milliseconds since 1970 UTC.

    >>> data = EventData(order_no="A1", merchant_id="898110053310001", order_status="01",
    ...     amount_minor=21478, currency_code="156", means="cash")
    >>> build_event("evt_1", "order.paid", data, 1_764_000_000_123).body[:60]
    '{"type":"order.paid","timestamp":"2025-11-24T16:00:00.123Z",'
    """
    return OrderEvent(
        id=event_id,
        merchant_id=data.merchant_id,
        order_no=data.order_no,
        type=kind,
        body=_encode(EventBody(kind, rfc3339(at_ms), data)).decode(),
        created_at_ms=at_ms,
        next_at_ms=at_ms,
    )


def rfc3339(at_ms: int) -> str:
    """A time in UTC with milliseconds.

    >>> rfc3339(0)
    '1970-01-01T00:00:00.000Z'
    """
    seconds, milliseconds = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"
