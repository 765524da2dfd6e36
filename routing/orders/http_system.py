"""A merchant order system that speaks HTTP with JSON: one of the two adapters.

Nothing is retried here but a kept connection that was found closed; ``outbox.py`` retries events.
Source: ``docs/order-system-openapi.yaml``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from urllib.parse import quote

import trio

from acquirer.codecs.pan import mask_runs
from acquirer.codecs.shown_text import one_line
from acquirer.routing.orders.adapter import (
    Delivered,
    Delivery,
    EventAnswer,
    NotOpened,
    OrderReply,
    OrderSystemDown,
    OrderSystemSilent,
    Question,
    Refusal,
    Rejected,
    UnknownOrder,
    WebhookEvent,
)
from acquirer.routing.orders.errors import AnswerError, HttpError, OrderSettingsError
from acquirer.routing.orders.http1 import HttpAnswer, HttpConnect, HttpPool
from acquirer.routing.orders.messages import (
    NewOrder,
    NewPart,
    OrderFacts,
    decode_facts,
    decode_opened,
    decode_problem,
    encode_order,
)
from acquirer.routing.orders.settings import OrderSystemSettings, parse_origin
from acquirer.routing.orders.webhooks import sign

QUERY_HEADERS = [("accept", "application/json"), ("user-agent", "acquirer")]
# Statuses after which the same event can never be taken; the rest may be mended within days.
PERMANENT = frozenset({400, 410, 413, 422})
ANSWER_CHARACTERS_MAX = 300
_REFUSALS: dict[str, Refusal] = {
    "unknown_item": "unknown_item",
    "part_not_allowed": "part_not_allowed",
    "part_too_large": "part_too_large",
}


class HttpOrderSystem:
    """One order system over HTTP; an ``OrderSystem``.

    Args:
        settings: its address, and how many connections to keep.
        wall_s: the wall clock, seconds since 1970 UTC, for signatures.
        connect: opens a connection.
    """

    def __init__(
        self, settings: OrderSystemSettings, wall_s: Callable[[], float], connect: HttpConnect
    ) -> None:
        self._pool = HttpPool(parse_origin(settings.url), settings.connections_max, connect)
        self._wall_s = wall_s

    async def query(self, question: Question, deadline: float) -> OrderReply:
        """GET the order."""
        merchant_id, order_no = question.merchant_id, question.order_no
        path = f"/orders/{path_segment(merchant_id)}/{path_segment(order_no)}"
        with trio.CancelScope(deadline=deadline):
            try:
                answer = await self._pool.exchange("GET", path, QUERY_HEADERS)
                if answer.status == 404:
                    return UnknownOrder()
                return _facts(answer, merchant_id, order_no)
            except AnswerError as error:
                return OrderSystemDown(str(error), error.member, error.got)
            except HttpError as error:
                return OrderSystemDown(str(error))
        return OrderSystemSilent()

    async def open(
        self, order: NewOrder | NewPart, secrets: Sequence[str], deadline: float
    ) -> OrderReply | NotOpened:
        """POST the order."""
        body = encode_order(order)
        try:
            headers = self._signed("open_" + sha256(body).hexdigest()[:32], body, secrets)
        except OrderSettingsError as error:
            return OrderSystemDown(str(error))
        with trio.CancelScope(deadline=deadline):
            try:
                answer = await self._pool.exchange("POST", "/orders", headers, body)
                if answer.status in (409, 422):
                    return _not_opened(answer)
                if answer.status != 200:
                    return OrderSystemDown(f"status {answer.status}")
                return decode_opened(answer.body, order)
            except AnswerError as error:
                return OrderSystemDown(str(error), error.member, error.got)
            except HttpError as error:
                return OrderSystemDown(str(error))
        return OrderSystemSilent()

    async def deliver(
        self, event: WebhookEvent, secrets: Sequence[str], deadline: float
    ) -> Delivery:
        """POST the event, signed."""
        body = event.body.encode()
        try:
            headers = self._signed(event.id, body, secrets)
        except OrderSettingsError as error:
            return Rejected(False, str(error))
        with trio.CancelScope(deadline=deadline):
            try:
                answer = await self._pool.exchange("POST", "/events", headers, body)
            except HttpError as error:
                return Rejected(False, str(error))
            said = EventAnswer(str(answer.status), _beginning(answer.body))
            if 200 <= answer.status < 300:
                return Delivered(said)
            return Rejected(answer.status in PERMANENT, f"status {answer.status}", said)
        return Rejected(False, "no answer in time")

    async def aclose(self) -> None:
        """Close the idle connections."""
        await self._pool.aclose()

    def _signed(self, id: str, body: bytes, secrets: Sequence[str]) -> list[tuple[str, str]]:
        """The headers of what is posted.

        Raises:
            OrderSettingsError: there is no secret, or one that cannot be used.
        """
        if not secrets:
            raise OrderSettingsError("no webhook secret for this merchant")
        timestamp_s = int(self._wall_s())
        return [
            ("content-type", "application/json"),
            ("user-agent", "acquirer"),
            ("webhook-id", id),
            ("webhook-timestamp", str(timestamp_s)),
            ("webhook-signature", sign(secrets, id, timestamp_s, body)),
        ]


def _facts(answer: HttpAnswer, merchant_id: str, order_no: str) -> OrderFacts | OrderSystemDown:
    """An order as it was answered.

    Raises:
        AnswerError: it does not fit the contract.
    """
    if answer.status != 200:
        return OrderSystemDown(f"status {answer.status}")
    return decode_facts(answer.body, merchant_id, order_no)


def _not_opened(answer: HttpAnswer) -> NotOpened:
    """Why an order was not opened.

    Raises:
        AnswerError: the answer does not say.
    """
    problem = decode_problem(answer.body)
    if answer.status == 409:
        return NotOpened("conflict", problem.detail)
    return NotOpened(_REFUSALS.get(problem.error, "refused"), problem.detail)


def _beginning(body: bytes) -> str:
    """So much of an answer as is kept; cut first, since most of it may be long."""
    text = body[: 4 * ANSWER_CHARACTERS_MAX].decode("utf-8", "replace")
    return mask_runs(one_line(text))[:ANSWER_CHARACTERS_MAX]


def path_segment(text: str) -> str:
    """A path segment; dots are encoded too, so that none reads as ``.`` or ``..``."""
    return quote(text, safe="").replace(".", "%2E")
