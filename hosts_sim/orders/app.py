"""What the order system answers to a request, faults included. Knows neither sockets nor HTTP.

``GET /orders/{merchant_id}/{order_no}``, ``POST /orders`` and ``POST /events``. Events of several
requests that arrive together share one commit; none is answered before it.
Source: ``docs/order-system-openapi.yaml``.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal
from urllib.parse import unquote

import msgspec
import trio

from acquirer.hosts_sim.orders.errors import NotSignedError, StoreError
from acquirer.hosts_sim.orders.lifecycle import EventDocument, OrderState
from acquirer.hosts_sim.orders.parts import PartOpening, PartRefused
from acquirer.hosts_sim.orders.settings import Rule
from acquirer.hosts_sim.orders.signature import check_signature
from acquirer.hosts_sim.orders.stock import Opening, Refused
from acquirer.hosts_sim.orders.store import OrderStore, Outcome, Received

EVENTS_PER_COMMIT_MAX = 256
_STATUS_OF = {
    "applied": 200,
    "repeated": 200,
    "history": 200,
    "unknown_order": 404,
    "not_yet": 409,
    "impossible": 422,
}


class Request(msgspec.Struct, frozen=True):
    """A whole request; header names in lower case, the path still percent-encoded."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Reply(msgspec.Struct, frozen=True):
    """An answer: ``status`` 0 closes the connection, -1 leaves it without any answer.

    Attributes:
        allow: with 405, the method that the path takes.
    """

    status: int
    body: bytes = b""
    allow: str = ""


CLOSE = Reply(0)
SILENCE = Reply(-1)

_encode = msgspec.json.Encoder().encode
_decode_event = msgspec.json.Decoder(EventDocument).decode
_decode_opening = msgspec.json.Decoder(Opening).decode
_decode_part = msgspec.json.Decoder(PartOpening).decode
_decode_kind = msgspec.json.Decoder(dict[str, object]).decode


class OrderApp:
    """The order system.

    Args:
        store: its books; stays the caller's to close.
        secrets: webhook secrets by merchant id; an attribute too.
        rules: faults, the first that matches counts.
        max_age_s: told to the switch with each answer.
        part_payment: merchants whose orders may be paid in parts.
        now_s: wall clock.
    """

    def __init__(
        self,
        store: OrderStore,
        secrets: Mapping[str, Sequence[str]],
        *,
        rules: Sequence[Rule] = (),
        max_age_s: int = 0,
        part_payment: Collection[str] = (),
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self.secrets = secrets
        self._rules = [(rule, re.compile(rule.order_no_pattern or ".*", re.S)) for rule in rules]
        self._taken: Counter[int] = Counter()
        self._max_age_s = max_age_s
        self._part_payment = frozenset(part_payment)
        self._now_s = now_s
        self._waiting: list[_Ticket] = []

    async def handle(self, request: Request) -> Reply:
        """Answer a request; never raises for what a request holds."""
        try:
            parts = [unquote(part, errors="strict") for part in request.path.split("/")]
        except UnicodeDecodeError:
            return _problem(404, "not_found")
        if len(parts) == 4 and parts[:2] == ["", "orders"]:
            if request.method != "GET":
                return _other_method("GET")
            return await self._query(parts[2], parts[3])
        if parts == ["", "orders"]:
            if request.method != "POST":
                return _other_method("POST")
            return await self._open(request)
        if parts == ["", "events"]:
            if request.method != "POST":
                return _other_method("POST")
            return await self._event(request)
        return _problem(404, "not_found")

    async def _query(self, merchant_id: str, order_no: str) -> Reply:
        fault = await self._fault("query", merchant_id, order_no)
        if isinstance(fault, Reply):
            return fault
        fields: dict[str, str] = {}
        try:
            order = self._store.order(merchant_id, order_no)
            if order is None and (item := self._store.item(merchant_id, order_no)):
                order, fields = item.as_order(merchant_id, order_no), item.fields()
            if order is None:
                return _problem(404, "unknown_order")
            return self._answer(order, fault, fields)
        except StoreError:
            return _problem(503, "books_unavailable")

    async def _open(self, request: Request) -> Reply:
        try:
            is_part = _decode_kind(request.body).get("kind") == "part"
            opening = (_decode_part if is_part else _decode_opening)(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _problem(400, "malformed", str(error))
        secrets = self.secrets.get(opening.merchant_id, ())
        try:
            check_signature(request.headers, request.body, secrets, self._now_s())
        except NotSignedError as error:
            return _problem(401, "not_signed", str(error))
        fault = await self._fault("query", opening.merchant_id, opening.order_no)
        if isinstance(fault, Reply):
            return fault
        try:
            outcome = self._opened(opening)
            if isinstance(outcome, OrderState):
                return self._answer(outcome, fault, {})
        except StoreError:
            return _problem(503, "books_unavailable")
        status = 409 if outcome.error == "conflict" else 422
        return _problem(status, outcome.error, outcome.detail)

    def _opened(self, opening: Opening | PartOpening) -> OrderState | Refused | PartRefused:
        """The order that a document opens, or has opened.

        Raises:
            StoreError: nothing was written.
        """
        if isinstance(opening, Opening):
            return self._store.open(opening)
        if opening.merchant_id not in self._part_payment:
            return PartRefused("part_not_allowed", "Not in parts 不可分次付款")
        return self._store.open_part(opening, self._now_s())

    def _answer(self, order: OrderState, fault: str, fields: Mapping[str, str]) -> Reply:
        """An order as it stands now, or spoiled by a fault.

        Raises:
            StoreError: the books cannot be read.
        """
        shown, part_of = self._store.shown(order, self._now_s())
        return _spoiled(shown, part_of, self._max_age_s, fault, fields)

    async def _event(self, request: Request) -> Reply:
        try:
            document = _decode_event(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _problem(400, "malformed", str(error))
        facts = document.data
        secrets = self.secrets.get(facts.merchant_id, ())
        try:
            event_id = check_signature(request.headers, request.body, secrets, self._now_s())
        except NotSignedError as error:
            return _problem(401, "not_signed", str(error))
        fault = await self._fault("events", facts.merchant_id, facts.order_no)
        if isinstance(fault, Reply):
            return fault
        try:
            outcome = await self._commit(Received(event_id, document, request.body))
        except StoreError:
            return _problem(503, "books_unavailable")
        if fault == "lost_answer":
            return CLOSE
        status = _STATUS_OF[outcome.result]
        if status != 200:
            return _problem(status, outcome.result, outcome.reason)
        return Reply(200, _encode({"result": outcome.result}))

    async def _commit(self, event: Received) -> Outcome:
        """Take an event with whatever others wait; the first to wait commits for all.

        Raises:
            StoreError: nothing was written.
        """
        ticket = _Ticket(event)
        self._waiting.append(ticket)
        if len(self._waiting) > 1:
            await ticket.done.wait()
        else:
            # One turn of the scheduler, in which requests that are already here join.
            await trio.lowlevel.cancel_shielded_checkpoint()
            waiting, self._waiting = self._waiting, []
            for start in range(0, len(waiting), EVENTS_PER_COMMIT_MAX):
                _take(self._store, waiting[start : start + EVENTS_PER_COMMIT_MAX])
        if ticket.outcome is None:
            raise StoreError("nothing was written")
        return ticket.outcome

    async def _fault(
        self, on: Literal["query", "events"], merchant_id: str, order_no: str
    ) -> Reply | str:
        """Act out the rule that matches: a reply that ends the matter, or the fault's name."""
        for index, (rule, pattern) in enumerate(self._rules):
            if rule.on not in (on, "both") or rule.merchant_id not in ("", merchant_id):
                continue
            if not pattern.fullmatch(order_no):
                continue
            if rule.times and self._taken[index] >= rule.times:
                continue
            self._taken[index] += 1
            if rule.fault == "delay":
                await trio.sleep(rule.delay_s)
            elif rule.fault == "down":
                return _problem(503, "down")
            elif rule.fault == "silence":
                return SILENCE
            return rule.fault
        return ""


class _Ticket:
    """An event that waits for a commit; ``outcome`` stays None where the commit failed."""

    __slots__ = ("done", "event", "outcome")

    def __init__(self, event: Received) -> None:
        self.event = event
        self.done = trio.Event()
        self.outcome: Outcome | None = None


def _take(store: OrderStore, tickets: Sequence[_Ticket]) -> None:
    try:
        outcomes = store.take([ticket.event for ticket in tickets])
    except StoreError:
        outcomes = []
    for ticket, outcome in zip(tickets, outcomes, strict=False):
        ticket.outcome = outcome
    for ticket in tickets:
        ticket.done.set()


def _spoiled(
    order: OrderState, part_of: str, max_age_s: int, fault: str, fields: Mapping[str, str]
) -> Reply:
    """The answer to a query, right or as a fault wants it."""
    if fault == "garbage":
        return Reply(200, b"<html>")
    if fault == "oversize":
        return Reply(200, b" " * 100_000)
    if fault == "lost_answer":
        return CLOSE
    wrong_amount, wrong_order = fault == "wrong_amount", fault == "wrong_order"
    return Reply(
        200,
        _encode(
            {
                "order_no": order.order_no + ("X" if wrong_order else ""),
                "merchant_id": order.merchant_id,
                "status": order.status,
                "amount_minor": order.amount_minor + (1 if wrong_amount else 0),
                "currency_code": "999" if fault == "wrong_currency" else order.currency_code,
                "pay_ways": order.pay_ways,
                "text": order.text,
                "max_age_s": max_age_s,
                "fields": fields,
                "part_of": part_of,
            }
        ),
    )


def _other_method(allowed: str) -> Reply:
    return msgspec.structs.replace(_problem(405, "method_not_allowed"), allow=allowed)


def _problem(status: int, error: str, detail: str = "") -> Reply:
    return Reply(status, _encode({"error": error, "detail": detail}))
