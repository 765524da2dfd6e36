"""The order host's messages: an ISO 8583 request as the same request over HTTP, and the way back.

So both fronts ask the same order system. Written from the document alone, apart from the switch's
side, so that each is a check of the other. Pure. Source: ``docs/order-host.md``.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import msgspec

from acquirer.codecs.de59 import BYTES_MAX, De59
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.message import Message, reply_mti
from acquirer.codecs.order_codes import WAYS
from acquirer.hosts_sim.orders.app import Reply, Request

QUERY, OPEN = "380000", "390000"
PART = "4"
_KINDS = {"1": "sale", "2": "stock_in", "3": "count"}
_MEANS = {way: means for means, way in WAYS.items()}
_EVENTS = {
    "72": "order.paid",
    "73": "order.payment_confirmed",
    "74": "order.signed_for",
    "75": "order.cancelled",
    "76": "order.cancel_confirmed",
    "77": "order.exception",
    "78": "order.refunded",
}
# member of an event's data → tag
_ITEMS = {
    "stan": "ES",
    "courier_id": "OC",
    "signed_by": "OR",
    "note": "OD",
    "reference": "OP",
}
_ECHOED = (3, 4, 7, 11, 32, 37, 41, 42, 49)
_QUERY_CODES = {200: "00", 400: "30", 404: "25"}
# by the refusal's word, before the status
_REFUSALS = {"unknown_item": "14", "part_not_allowed": "57", "part_too_large": "61"}
_OPEN_CODES = {200: "00", 400: "30", 409: "94", 413: "30", 422: "12"}
_NOTICE_CODES = {200: "00", 400: "30", 404: "25", 409: "09", 413: "30", 422: "12"}
_HEAD_BYTES = 5


def request_of(message: Message, secrets: Mapping[str, Sequence[str]], now_s: float) -> Request:
    """What a message asks of the order system.

    Args:
        secrets: webhook secrets by merchant id, to sign as the HTTP front wants it: who may use
            the link has shown so by its MAC, or by being on a dedicated line.
        now_s: wall clock, seconds since 1970 UTC.

    Raises:
        RemoteFormatError: a field or an item is missing or wrong (39 = 30).
    """
    items = De59.parse(message.binary(59))
    merchant_id, order_no = message.need(42).strip(), items.need("ON")
    if message.mti == "0100" and message.processing_code == QUERY:
        path = f"/orders/{quote(merchant_id, safe='')}/{quote(order_no, safe='')}"
        return Request("GET", path, {}, b"")
    if message.mti == "0100" and message.processing_code == OPEN:
        body = msgspec.json.encode(_opening(message, items))
        return _posted("/orders", "open", body, secrets.get(merchant_id, ()), now_s)
    if message.mti[:3] == "022":
        body = msgspec.json.encode(_event(message, items))
        event_id = items.need("EI")
        return _posted("/events", event_id, body, secrets.get(merchant_id, ()), now_s)
    raise RemoteFormatError("no message of an order host", field="t")


def reply_of(message: Message, reply: Reply) -> Message | None:
    """The answer to a message, without MAC; None where the order system answered nonsense."""
    try:
        document = msgspec.json.decode(reply.body, type=dict[str, Any])
    except msgspec.DecodeError:
        return None
    fields = {n: message.fields[n] for n in _ECHOED if n in message.fields}
    if message.mti[:2] == "02":
        fields[39] = _NOTICE_CODES.get(reply.status, "91")
        return Message(reply_mti(message.mti), fields)
    codes = _QUERY_CODES if message.processing_code == QUERY else _OPEN_CODES
    fields[39] = codes.get(reply.status, "91")
    fields[39] = _REFUSALS.get(document.get("error", ""), fields[39])
    if reply.status == 200:
        fields[4] = f"{document['amount_minor']:012d}"
        fields[42] = document["merchant_id"].ljust(15)
        fields[49] = document["currency_code"]
        fields[59] = _facts(document).hex
    elif document.get("detail"):
        fields[59] = _with_text({}, document["detail"]).hex
    return Message(reply_mti(message.mti), fields)


def refusal(message: Message, response_code: str) -> Message:
    """An answer of a response code alone."""
    fields = {n: message.fields[n] for n in _ECHOED if n in message.fields}
    return Message(reply_mti(message.mti), fields | {39: response_code})


def _posted(path: str, id: str, body: bytes, secrets: Sequence[str], now_s: float) -> Request:
    at = str(int(now_s))
    key = b64decode(secrets[0].removeprefix("whsec_")) if secrets else b""
    content = b".".join((id.encode(), at.encode(), body))
    signature = b64encode(hmac.new(key, content, sha256).digest()).decode()
    headers = {
        "webhook-id": id,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{signature}",
    }
    return Request("POST", path, headers, body)


def _opening(message: Message, items: De59) -> dict[str, Any]:
    whose = {
        "merchant_id": message.need(42).strip(),
        "terminal_id": message.need(41).strip(),
        "courier_id": items.text("OC"),
    }
    if items.need("OK") == PART:
        amount = items.need("PA")
        if not (amount.isascii() and amount.isdigit()):
            raise RemoteFormatError("an amount in minor units", field="59.PA")
        part = {"kind": "part", "of": items.need("ON"), "part_id": items.need("PI")}
        return {**part, "amount_minor": int(amount), **whose}
    lines = []
    for line in items.need("IT").split("|"):
        code, _, quantity = line.rpartition("*")
        if not (quantity.isascii() and quantity.isdigit()):
            raise RemoteFormatError("a line is code*quantity", field="59.IT")
        lines.append({"code": code, "quantity": int(quantity)})
    kind = _KINDS.get(items.need("OK"))
    if kind is None:
        raise RemoteFormatError("1 sale, 2 taken in, 3 count, 4 part", field="59.OK")
    return {"order_no": items.need("ON"), "kind": kind, "lines": lines, **whose}


def _event(message: Message, items: De59) -> dict[str, Any]:
    """The event's document; the same notice again gives the same bytes."""
    kind, means = _EVENTS.get(items.need("ET")), _MEANS.get(items.need("EM"))
    if kind is None or means is None:
        raise RemoteFormatError("no such event or means", field="59.ET")
    data: dict[str, Any] = {
        "order_no": items.need("ON"),
        "merchant_id": message.need(42).strip(),
        "order_status": items.need("OS"),
        "amount_minor": int(message.need(4)),
        "currency_code": message.need(49),
        "means": means,
        "rrn": message.need(37),
        "approval_code": message.get(38).strip(),
        "terminal_id": message.need(41).strip(),
        "reason": items.text("OX") or items.text("EW"),
    }
    data |= {name: items.text(tag) for name, tag in _ITEMS.items()}
    if names := items.text("OI"):
        data["fields"] = dict(zip(names.split("|"), items.text("OV").split("|"), strict=False))
    timestamp = items.need("EA")
    return {
        "type": kind,
        "timestamp": timestamp,
        "data": {k: v for k, v in data.items() if v != ""},
    }


def _facts(document: Mapping[str, Any]) -> De59:
    items = {
        "ON": document["order_no"],
        "OS": document["status"],
        "OW": document["pay_ways"],
        "OL": str(document["max_age_s"]),
        "PO": document.get("part_of", ""),
    }
    if fields := document.get("fields"):
        items |= {"OI": "|".join(fields), "OV": "|".join(fields.values())}
    return _with_text(items, document["text"])


def _with_text(items: Mapping[str, str], text: str) -> De59:
    """Items and, in the room that is left, a text that is never cut inside a character."""
    filled = {tag: value for tag, value in items.items() if value}
    used = sum(_HEAD_BYTES + len(value.encode("gb18030")) for value in filled.values())
    room = BYTES_MAX - used - _HEAD_BYTES
    shown = text.encode("gb18030")[: max(room, 0)].decode("gb18030", "ignore")
    return De59.build({**filled, "OT": shown} if shown else filled)
