"""The messages that travel between the switch and an order host over ISO 8583. Pure.

Queries and new orders are 0100, notices 0220 (0221 when sent before). What DE59 carries stands in
tagged items, as on the terminal interface; text is GB18030. The link adds MAC and framing.
Source: ``docs/order-host.md``; docs/interfaces/terminal.md, part 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from acquirer.codecs.de59 import BYTES_MAX, De59
from acquirer.codecs.errors import LocalFormatError, RemoteFormatError
from acquirer.codecs.message import Message
from acquirer.codecs.order_codes import PROCESSING_CODES, WAYS
from acquirer.codecs.shown_text import one_line
from acquirer.routing.orders.adapter import Question, WebhookEvent
from acquirer.routing.orders.messages import (
    EventBody,
    EventData,
    NewOrder,
    NewPart,
    OrderFacts,
    checked_facts,
    checked_opened,
    unfit,
)

QUERY, OPEN = "380000", "390000"
KINDS = {"sale": "1", "stock_in": "2", "count": "3"}
PART = "4"
# event → ET and DE3; a payment's DE3 tells its means.
EVENTS = {
    "order.paid": ("72", ""),
    "order.payment_confirmed": ("73", ""),
    "order.signed_for": ("74", "920000"),
    "order.cancelled": ("75", "200000"),
    "order.cancel_confirmed": ("76", "200000"),
    "order.exception": ("77", "930000"),
    "order.refunded": ("78", "200000"),
}

_HEAD_BYTES = 5
_ENCODING = "gb18030"
# What people read is cut, in this order, where DE59 is full; what programs need always fits.
_CUT_FIRST = ("OD", "OR")
_LEFT_OUT = ("OI", "OV")

_decode_event = msgspec.json.Decoder(EventBody).decode


@dataclass(frozen=True, slots=True)
class Numbers:
    """What makes a message one of its kind on a link.

    Attributes:
        stan: DE11, 6 digits.
        transmission_at: DE7, MMDDhhmmss, UTC.
        acquirer_id: DE32, up to 11 digits.
    """

    stan: str
    transmission_at: str
    acquirer_id: str


def query_message(question: Question, numbers: Numbers) -> Message:
    """Ask what is owed for an order.

    Raises:
        LocalFormatError: a value does not fit.
    """
    items = {"ON": question.order_no, "OC": question.courier_id}
    return _message("0100", QUERY, numbers, question.merchant_id, question.terminal_id, items)


def open_message(order: NewOrder | NewPart, numbers: Numbers) -> Message:
    """Have an order come into being.

    Raises:
        LocalFormatError: a value does not fit, such as more lines than DE59 holds.
    """
    if isinstance(order, NewPart):
        items = {"ON": order.of, "OC": order.courier_id, "OK": PART}
        items |= {"PA": str(order.amount_minor), "PI": order.part_id}
        return _message("0100", OPEN, numbers, order.merchant_id, order.terminal_id, items)
    lines = "|".join(f"{line.code}*{line.quantity}" for line in order.lines)
    items = {"ON": order.order_no, "OC": order.courier_id, "OK": KINDS[order.kind], "IT": lines}
    return _message("0100", OPEN, numbers, order.merchant_id, order.terminal_id, items)


def notice_message(event: WebhookEvent, numbers: Numbers) -> Message:
    """Tell what became of an order.

    Raises:
        LocalFormatError: a value does not fit, or the event is no such document.
    """
    try:
        document = _decode_event(event.body)
    except msgspec.DecodeError as error:
        raise LocalFormatError(f"the notice is damaged: {error}") from None
    data = document.data
    kind, processing_code = EVENTS[document.type]
    items = _notice_items(event.id, kind, document.timestamp, data)
    message = _message(
        "0221" if event.attempts else "0220",
        processing_code or PROCESSING_CODES[data.means],
        numbers,
        data.merchant_id,
        data.terminal_id,
        _fitting(items),
    )
    message.fields |= {4: f"{data.amount_minor:012d}", 49: data.currency_code}
    if data.rrn:
        message.fields[37] = data.rrn
    if data.approval_code:
        message.fields[38] = data.approval_code.ljust(6)
    return message


def facts_of(reply: Message, merchant_id: str, order_no: str) -> OrderFacts:
    """Read the answer to a query, and hold it against the question.

    Raises:
        AnswerError: a value is missing or wrong, or it is about another order or merchant.
    """
    return checked_facts(_facts(reply), merchant_id, order_no)


def opened_of(reply: Message, order: NewOrder | NewPart) -> OrderFacts:
    """Read the answer to an opening, and hold it against what was to be opened.

    Raises:
        AnswerError: a value is missing or wrong, or it is about something else.
    """
    return checked_opened(_facts(reply), order)


def _facts(reply: Message) -> OrderFacts:
    facts: dict[str, Any] = {}
    try:
        items = De59.parse(reply.binary(59))
        facts = {
            "order_no": items.need("ON"),
            "merchant_id": reply.need(42).strip(),
            "status": items.need("OS"),
            "amount_minor": int(reply.need(4)),
            "currency_code": reply.need(49),
            "pay_ways": items.text("OW"),
            "text": items.text("OT"),
            "reference": items.text("OP"),
            "max_age_s": int(items.text("OL") or 0),
            "fields": _pairs(items),
            "part_of": items.text("PO"),
        }
        return msgspec.convert(facts, OrderFacts)
    except msgspec.ValidationError as error:
        raise unfit(error, facts) from None
    except (RemoteFormatError, ValueError) as error:
        raise unfit(error, {}) from None


def reply_text(reply: Message) -> str:
    """What a refusal says to people (``OT``), clean, or the empty string."""
    try:
        return one_line(De59.parse(reply.binary(59)).text("OT"))
    except (RemoteFormatError, ValueError):
        return ""


def _message(
    mti: str,
    processing_code: str,
    numbers: Numbers,
    merchant_id: str,
    terminal_id: str,
    items: dict[str, str],
) -> Message:
    de59 = De59.build({tag: text for tag, text in items.items() if text}, _ENCODING)
    return Message(
        mti,
        {
            3: processing_code,
            7: numbers.transmission_at,
            11: numbers.stan,
            32: numbers.acquirer_id,
            37: numbers.stan.zfill(12),
            41: terminal_id.ljust(8),
            42: merchant_id.ljust(15),
            59: de59.hex,
        },
    )


def _notice_items(event_id: str, kind: str, happened_at: str, data: EventData) -> dict[str, str]:
    is_code = len(data.reason) == 2 and data.reason.isdigit()
    return {
        "ON": data.order_no,
        "EI": event_id,
        "ET": kind,
        "EA": happened_at,
        "EM": WAYS[data.means],
        "ES": data.stan,
        "OS": data.order_status,
        "OC": data.courier_id,
        "OX": data.reason if is_code else "",
        "EW": "" if is_code else data.reason,
        "OP": data.reference,
        "OR": data.signed_by,
        "OD": data.note,
        "OI": "|".join(data.fields),
        "OV": "|".join(data.fields.values()),
    }


def _fitting(items: dict[str, str]) -> dict[str, str]:
    """Items that fit into one DE59: a notice must not be lost because of a long remark."""
    fitting = dict(items)
    if _size(fitting) > BYTES_MAX:
        for tag in _CUT_FIRST:
            over = _size(fitting) - BYTES_MAX
            raw = fitting[tag].encode(_ENCODING)
            if over > 0 and raw:
                fitting[tag] = raw[: max(len(raw) - over, 0)].decode(_ENCODING, "ignore")
    if _size(fitting) > BYTES_MAX:
        fitting |= dict.fromkeys(_LEFT_OUT, "")
    return fitting


def _size(items: dict[str, str]) -> int:
    try:
        return sum(_HEAD_BYTES + len(text.encode(_ENCODING)) for text in items.values() if text)
    except UnicodeError:
        raise LocalFormatError(f"text that {_ENCODING} lacks", field="59") from None


def _pairs(items: De59) -> dict[str, str]:
    """The merchant's own fields: names in ``OI``, values in ``OV``, both split by ``|``.

    Raises:
        ValueError: not one value for each name.
    """
    names, values = items.text("OI"), items.text("OV")
    if not names and not values:
        return {}
    return dict(zip(names.split("|"), values.split("|"), strict=True))
