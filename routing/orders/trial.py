"""Tries a merchant's order system against its contract, call by call, and says what it did wrong.

It asks and tells what a switch would, of one order that is to pay, sends what a switch would not
(wrong signatures, unknown orders), and in the end gives the payment back. Nothing is raised for
what an order system does; all its faults are told. Source: ``docs/order-system-openapi.yaml``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from hashlib import sha256

import msgspec
import trio

from acquirer.codecs.order_codes import Means, OrderStatus
from acquirer.routing.orders.answers import answer_faults, problem_faults, sent_value
from acquirer.routing.orders.errors import HttpError
from acquirer.routing.orders.http1 import NO_CONNECTION, HttpAnswer, HttpPool
from acquirer.routing.orders.http_system import QUERY_HEADERS, path_segment
from acquirer.routing.orders.messages import (
    EventData,
    EventType,
    NewOrder,
    NewPart,
    OrderFacts,
    OrderLine,
    build_event,
    checked_facts,
    checked_opened,
    encode_order,
)
from acquirer.routing.orders.sample import Sample, Tried
from acquirer.routing.orders.webhooks import sign

SHOWN_CHARACTERS_MAX = 1_000
TOO_OLD_S = 600
TERMINAL_ID, COURIER_ID = "10000001", "C1001"
_TAKEN = range(200, 300)


Judge = Callable[[HttpAnswer], list[str]]


class Trial:
    """One trial of one order system.

    Args:
        pool: connections to it.
        sample: with what.
        now_s: wall clock, seconds since 1970 UTC.
        timeout_s: for each answer.
    """

    def __init__(
        self, pool: HttpPool, sample: Sample, now_s: Callable[[], float], timeout_s: float = 5.0
    ) -> None:
        self._pool = pool
        self._sample = sample
        self._now_s = now_s
        self._timeout_s = timeout_s
        self._mark = secrets.token_hex(6)
        self._rrns: dict[str, str] = {}
        self._facts: OrderFacts | None = None
        self.tried: list[Tried] = []

    async def run(self) -> list[Tried]:
        """Try everything; gives the calls in their order. Where nobody is, one call is enough."""
        await self._query("query of the order", "00", first=True)
        if self.tried[0].faults == (NO_CONNECTION,):
            return self.tried
        await self._queries()
        await self._signatures()
        if self._facts is not None and self._facts.status is OrderStatus.TO_PAY:
            if self._sample.parts:
                await self._parts(self._facts)
            await self._payment(self._facts)
        if self._sample.item:
            await self._shop()
        return self.tried

    # --- what is tried ------------------------------------------------------------------------

    async def _queries(self) -> None:
        if self._facts is not None:
            await self._query("the same query again", "00")
        merchant_id = self._sample.merchant_id
        for what, asked_of, order_no in (
            ("query of an unknown order", merchant_id, f"NONE-{self._mark}"),
            ("query with signs in the number", merchant_id, f"A/B 号.%{self._mark}"),
            ("query of an unknown merchant", "000000000000000", self._sample.order_no),
        ):
            path = _path(asked_of, order_no)
            await self._call(what, "GET", path, b"", [404], lambda got: problem_faults(got.body))

    async def _signatures(self) -> None:
        """What is not signed, or not by the merchant's secret, or too long ago, is not taken."""
        body = self._event("order.paid", OrderStatus.PAID)
        at_s = int(self._now_s())
        right = self._signed(body)
        wrong_secret = "whsec_" + "A" * 32
        unsigned = [pair for pair in right if pair[0] == "content-type"]
        for what, headers, statuses in (
            ("event signed by another secret", self._signed(body, secret=wrong_secret), [401]),
            ("event without a signature", unsigned, [400, 401]),
            ("event of ten minutes ago", self._signed(body, at_s=at_s - TOO_OLD_S), [401]),
        ):
            await self._post(what, "/events", body, headers, statuses)
        if self._facts is not None:
            await self._query("the order after events that are not signed", "00")
        broken = b'{"type": '
        await self._post("event that is no JSON", "/events", broken, self._signed(broken), [400])
        unknown = self._event("order.paid", OrderStatus.PAID, order_no=f"NONE-{self._mark}")
        what = "event of an unknown order"
        await self._post(what, "/events", unknown, self._signed(unknown), [404])

    async def _payment(self, facts: OrderFacts) -> None:
        """Paid, confirmed and given back, each told twice."""
        paid = self._event("order.paid", OrderStatus.PAID, more='"acquirer_trial":true,')
        confirmed = self._event("order.payment_confirmed", OrderStatus.CONFIRMED)
        undone = self._event("order.cancelled", OrderStatus.TO_PAY, reason="reversed")
        rotating = self._signed(paid)
        name, signature = rotating[-1]
        rotating[-1] = (name, f"v1,{'A' * 43}= {signature}")
        what = "order.paid with two signatures and an unknown member"
        await self._post(what, "/events", paid, rotating, _TAKEN)
        await self._query("the order after order.paid", "01")
        await self._post("order.paid again", "/events", paid, self._signed(paid), _TAKEN)
        await self._query("the order after order.paid came twice", "01")
        for again in ("", " again"):
            headers = self._signed(confirmed)
            what = f"order.payment_confirmed{again}"
            await self._post(what, "/events", confirmed, headers, _TAKEN)
        await self._query("the order after its confirmation", "02")
        what = "order.paid once more, after the confirmation"
        await self._post(what, "/events", paid, self._signed(paid), _TAKEN)
        await self._query("the order after that repeat", "02")
        for again in ("", " again"):
            what = f"order.cancelled{again}, which gives the payment back"
            await self._post(what, "/events", undone, self._signed(undone), _TAKEN)
        await self._query("the order after its payment was given back", "00")

    async def _shop(self) -> None:
        """A sale is opened; the same again is the same; another under its number is none."""
        number = f"S{self._mark}"

        def sale(code: str, quantity: int, order_no: str = number) -> NewOrder:
            return NewOrder(
                order_no=order_no,
                merchant_id=self._sample.merchant_id,
                kind="sale",
                lines=(OrderLine(code, quantity),),
                terminal_id=TERMINAL_ID,
                courier_id=COURIER_ID,
            )

        item = self._sample.item
        await self._open("sale of one item", sale(item, 1))
        opened = await self._open("the same sale again", sale(item, 1))
        await self._refused("another sale with its number", sale(item, 2), 409)
        unknown = sale(f"none-{self._mark}", 1, f"T{self._mark}")
        await self._refused("sale of an unknown item", unknown, 422, "unknown_item")
        body = encode_order(sale(item, 1, f"U{self._mark}"))
        headers = self._signed(body, secret="whsec_" + "A" * 32)
        what = "sale signed by another secret"
        await self._post(what, "/orders", body, headers, [401])
        if opened is not None and "1" in opened.pay_ways and opened.due_minor > 1:
            await self._refund(opened)

    async def _refund(self, facts: OrderFacts) -> None:
        """The sale is paid, and a part of it goes back: it stays paid, whatever comes twice."""
        paid = self._event("order.paid", OrderStatus.PAID, facts=facts)
        part = self._event("order.refunded", OrderStatus.PAID, facts=facts, amount_minor=1)
        await self._post("order.paid of the sale", "/events", paid, self._signed(paid), _TAKEN)
        for again in ("", " again"):
            what = f"order.refunded{again}, a part of the sale"
            await self._post(what, "/events", part, self._signed(part), _TAKEN)
        await self._query("the sale after its refund", "01", of=facts)

    async def _parts(self, facts: OrderFacts) -> None:
        """A part of one minor unit; the same again is the same part."""

        def part(amount_minor: int, part_id: str) -> NewPart:
            return NewPart(
                part_id=part_id,
                of=facts.order_no,
                merchant_id=facts.merchant_id,
                amount_minor=amount_minor,
                terminal_id=TERMINAL_ID,
                courier_id=COURIER_ID,
            )

        first = f"P{self._mark}"
        await self._open("a part of the order", part(1, first))
        await self._open("the same part again", part(1, first))
        await self._refused("another amount with its part_id", part(2, first), 409)
        large = part(facts.amount_minor + 1, f"Q{self._mark}")
        await self._refused("a part larger than the order", large, 422, "part_too_large")

    # --- calls --------------------------------------------------------------------------------

    async def _query(
        self, what: str, status: str, *, first: bool = False, of: OrderFacts | None = None
    ) -> None:
        """What the order system says of an order, which has a status, and else is as before.

        Args:
            of: which order, as it was; the sample's if absent.
        """
        sample = self._sample
        order_no = of.order_no if of else sample.order_no

        def judge(answer: HttpAnswer) -> list[str]:
            def check(facts: OrderFacts) -> None:
                checked_facts(facts, sample.merchant_id, order_no)
                if first:
                    self._facts = facts

            faults = answer_faults(answer.body, check)
            if faults:
                return faults
            facts = msgspec.json.decode(answer.body, type=OrderFacts)
            if facts.status != status:
                return [f"status must be {status}, came {facts.status}"]
            before = of or self._facts or facts
            return [
                f"{name} was {sent_value(was)} before, came {sent_value(now)}"
                for name in ("amount_minor", "currency_code", "pay_ways")
                if (was := getattr(before, name)) != (now := getattr(facts, name))
            ]

        path = _path(sample.merchant_id, order_no)
        expected = f"200, the order with status {status}"
        await self._call(what, "GET", path, b"", [200], judge, expected=expected)

    async def _open(self, what: str, order: NewOrder | NewPart) -> OrderFacts | None:
        """Have an order opened; gives it, unless the answer is at fault."""
        body = encode_order(order)
        opened: list[OrderFacts] = []

        def check(facts: OrderFacts) -> None:
            opened.append(checked_opened(facts, order))

        def judge(answer: HttpAnswer) -> list[str]:
            return answer_faults(answer.body, check)

        await self._post(what, "/orders", body, self._opening(body), [200], judge)
        return None if self.tried[-1].faults else opened[0]

    async def _refused(
        self, what: str, order: NewOrder | NewPart, status: int, word: str = ""
    ) -> None:
        body = encode_order(order)

        def judge(answer: HttpAnswer) -> list[str]:
            return problem_faults(answer.body, word)

        expected = f"{status}, error {word}" if word else ""
        headers = self._opening(body)
        await self._post(what, "/orders", body, headers, [status], judge, expected=expected)

    async def _post(
        self,
        what: str,
        path: str,
        body: bytes,
        headers: list[tuple[str, str]],
        statuses: Collection[int],
        judge: Judge = lambda answer: [],
        *,
        expected: str = "",
    ) -> None:
        await self._call(what, "POST", path, body, statuses, judge, headers, expected=expected)

    async def _call(
        self,
        what: str,
        method: str,
        path: str,
        body: bytes,
        statuses: Collection[int],
        judge: Judge,
        headers: list[tuple[str, str]] | None = None,
        *,
        expected: str = "",
    ) -> None:
        """One call, and what is wrong with its answer."""
        answer: HttpAnswer | None = None
        reason = f"no answer within {self._timeout_s:g} seconds"
        with trio.move_on_after(self._timeout_s):
            try:
                sent = headers or QUERY_HEADERS
                answer = await self._pool.exchange(method, path, sent, body)
            except HttpError as error:
                reason = str(error)
        one_of = "2xx" if isinstance(statuses, range) else " or ".join(map(str, statuses))
        if answer is None:
            faults = [reason]
        elif answer.status not in statuses:
            faults = [f"status must be {one_of}, came {answer.status}"]
        else:
            faults = judge(answer)
        came = reason if answer is None else answer.body.decode("utf-8", "replace")
        self.tried.append(
            Tried(
                what=what,
                sent=f"{method} {path}",
                body=body.decode(),
                status=None if answer is None else answer.status,
                came=came[:SHOWN_CHARACTERS_MAX],
                expected=expected or one_of,
                faults=tuple(faults),
            )
        )

    # --- documents ----------------------------------------------------------------------------

    def _event(
        self,
        kind: EventType,
        status: OrderStatus,
        *,
        order_no: str = "",
        reason: str = "",
        more: str = "",
        facts: OrderFacts | None = None,
        amount_minor: int | None = None,
    ) -> bytes:
        """An event's document, the same in every repeat.

        Args:
            facts: of the order; the sample's if absent.
            amount_minor: the order's if absent.
            more: members that no contract has, as JSON.
        """
        facts = facts or self._facts
        if amount_minor is None:
            amount_minor = facts.amount_minor if facts else 1
        ways = facts.pay_ways if facts else "1"
        means = Means.CARD if "1" in ways else Means.CASH if "2" in ways else Means.NONE
        number = order_no or (facts.order_no if facts else self._sample.order_no)
        rrn = self._rrns.setdefault(number, f"{secrets.randbelow(10**12):012d}")
        data = EventData(
            order_no=number,
            merchant_id=self._sample.merchant_id,
            order_status=status,
            amount_minor=amount_minor,
            currency_code=facts.currency_code if facts else "156",
            means=means,
            rrn=rrn,
            stan=rrn[-6:],
            approval_code="123456" if means is Means.CARD else "",
            terminal_id=TERMINAL_ID,
            courier_id=COURIER_ID,
            reason=reason,
        )
        body = build_event("", kind, data, int(self._now_s() * 1000)).body
        return ("{" + more + body[1:]).encode()

    def _signed(
        self, body: bytes, *, secret: str = "", at_s: int | None = None
    ) -> list[tuple[str, str]]:
        """Headers of a document, the same id for the same document."""
        return self._headers(f"evt_{sha256(body).hexdigest()[:32]}", body, secret, at_s)

    def _opening(self, body: bytes) -> list[tuple[str, str]]:
        return self._headers(f"open_{sha256(body).hexdigest()[:32]}", body, "", None)

    def _headers(
        self, id: str, body: bytes, secret: str, at_s: int | None
    ) -> list[tuple[str, str]]:
        sent_s = int(self._now_s()) if at_s is None else at_s
        return [
            ("content-type", "application/json"),
            ("webhook-id", id),
            ("webhook-timestamp", str(sent_s)),
            ("webhook-signature", sign([secret or self._sample.secret], id, sent_s, body)),
        ]


def _path(merchant_id: str, order_no: str) -> str:
    return f"/orders/{path_segment(merchant_id)}/{path_segment(order_no)}"
