"""A POS terminal without a socket: requests out, replies in, state in between.

Each method builds one request and changes :attr:`Terminal.state`; the caller saves the state
*before* the request leaves, sends it, and gives what comes back to :meth:`Terminal.take`, or calls
:meth:`Terminal.lost` where nothing did. What an answer changes stands in ``outcomes.py``.
Source: docs/interfaces/terminal.md, parts 3 to 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date

from acquirer.codecs.de59 import De59
from acquirer.codecs.private_fields import De53, De61, WorkingKeys
from acquirer.terminals_sim import kinds, outcomes, state
from acquirer.terminals_sim.cards import Presented, card_fields
from acquirer.terminals_sim.errors import KeyCheckError, LocalRefusal
from acquirer.terminals_sim.identity import Identity
from acquirer.terminals_sim.kinds import Kind
from acquirer.terminals_sim.messages import Request, assemble, de60, read_reply
from acquirer.terminals_sim.results import Result, from_reply, unanswered
from acquirer.terminals_sim.security import KeyRing, enciphered_pin, unwrap
from acquirer.terminals_sim.state import (
    JournalEntry,
    OrderPayment,
    StoredRequest,
    TerminalState,
)

CURRENCY = "156"
NO_ANSWER = "98"
OTHER_REASON = "06"
# DE61.4 of a sale that was approved by phone.
BY_PHONE = "01"
MORE_TAGS = outcomes.ORDER_TAGS[1:]
_NOT_IN_REVERSAL = frozenset({2, 14, 23, 26, 35, 36, 37, 38, 41, 42, 52, 53, 55, 61, 64})


class Terminal:
    """One terminal; not for use by two tasks at a time.

    Args:
        identity: its numbers, master key and profile.
        saved: what it remembers.
        today: gives the local date, for the chip's data.
        journal_max: entries of its own journal that it keeps.
    """

    def __init__(
        self,
        identity: Identity,
        saved: TerminalState,
        *,
        today: Callable[[], date] = date.today,
        journal_max: int = state.JOURNAL_MAX,
    ) -> None:
        if saved.terminal_id != identity.terminal_id:
            raise LocalRefusal(f"this state belongs to terminal {saved.terminal_id}")
        self.identity = identity
        self.state = saved
        self._today = today
        self._journal_max = journal_max
        self._keys: tuple[str, KeyRing] | None = None

    def __repr__(self) -> str:
        return (
            f"Terminal({self.identity.terminal_id!r}, batch {self.state.batch}, "
            f"STAN {self.state.stan}, {'signed on' if self.state.wrapped_keys else 'no keys'})"
        )

    @property
    def keys(self) -> KeyRing:
        """The working keys in clear.

        Raises:
            LocalRefusal: none, or none that this terminal's master key opens.
        """
        wrapped = self.state.wrapped_keys
        if not wrapped:
            raise LocalRefusal("no working keys: sign on first")
        if self._keys is None or self._keys[0] != wrapped:
            found = WorkingKeys.parse(bytes.fromhex(wrapped), self.state.network_code)
            try:
                self._keys = wrapped, unwrap(self.identity.tmk, found)
            except KeyCheckError as error:
                raise LocalRefusal(f"{error}: sign on again") from None
        return self._keys[1]

    # Management

    def sign_on(self, network_code: str = "003") -> Request:
        """0800; ``network_code`` 001, 003 or 004 says which keys the switch shall send."""
        if network_code not in ("001", "003", "004"):
            raise LocalRefusal(f"no sign-on {network_code!r}: it is 001, 003 or 004")
        return self._request(replace(kinds.SIGN_ON, network_code=network_code), {})

    def sign_off(self) -> Request:
        """0820 002."""
        return self._request(kinds.SIGN_OFF, {})

    def echo(self) -> Request:
        """0820 301, the line test."""
        return self._request(kinds.ECHO, {})

    def courier_sign_on(self, courier_id: str, password: str) -> Request:
        """0820 402 with the password as a PIN block without PAN.

        Raises:
            LocalRefusal: not signed on.
            PinBlockError: the password is not 4 to 12 digits.
        """
        keys = self.keys
        fields = {
            52: enciphered_pin(keys, password).hex().upper(),
            53: De53(1, keys.algorithm).format(),
            59: self._items({"OC": courier_id}),
        }
        return self._request(kinds.COURIER_SIGN_ON, fields)

    def courier_sign_off(self, courier_id: str = "") -> Request:
        """0820 403 for the courier who is signed on, or another."""
        name = courier_id or self.state.courier_id
        if not name:
            raise LocalRefusal("no courier is signed on here")
        return self._request(kinds.COURIER_SIGN_OFF, {59: self._items({"OC": name})})

    # Card transactions

    def balance(self, presented: Presented) -> Request:
        """0200 310000."""
        card = self._card(presented, 0)
        return self._request(kinds.BALANCE, {**card, 49: CURRENCY})

    def sale(self, amount_minor: int, presented: Presented) -> Request:
        """0200 000000; its reversal is in the state when this returns."""
        fields = {**self._card(presented, amount_minor), **_money(amount_minor)}
        return self._request(kinds.SALE, fields)

    def void(self, rrn: str = "", presented: Presented | None = None) -> Request:
        """0200 200000 for a sale of this terminal's journal; the last one where no RRN is given.

        Raises:
            LocalRefusal: no such approved sale.
        """
        for entry in reversed(self.state.journal):
            voidable = entry.kind == kinds.SALE.name and entry.state == "approved"
            if voidable and rrn in ("", entry.rrn):
                break
        else:
            raise LocalRefusal(f"no approved sale with RRN {rrn}" if rrn else "no sale to void")
        fields = _money(entry.amount_minor) | {
            37: entry.rrn,
            61: De61(entry.batch, entry.stan, entry.date).format(),
        }
        if entry.approval_code:
            fields[38] = entry.approval_code
        if presented is not None:
            fields |= self._card(presented, entry.amount_minor)
        return self._request(kinds.VOID, fields)

    def refund(self, amount_minor: int, presented: Presented, rrn: str = "") -> Request:
        """0220 200000 for a payment of the merchant's; this terminal's last sale without an RRN.

        Raises:
            LocalRefusal: no RRN, and no sale here.
        """
        sales = [e for e in self.state.journal if e.kind in kinds.REFUNDABLE]
        sale = next((e for e in reversed(sales) if rrn in ("", e.rrn)), None)
        if sale is None and not rrn:
            raise LocalRefusal("no sale to refund")
        named = De61(sale.batch, sale.stan, sale.date) if sale else De61("0" * 6, "0" * 6, "0" * 4)
        fields = _money(amount_minor) | self._card(presented, amount_minor)
        fields |= {37: sale.rrn if sale else rrn, 61: named.format(), 63: "000"}
        if sale and sale.approval_code:
            fields[38] = sale.approval_code
        return self._request(kinds.REFUND, fields)

    def offline_sale(self, amount_minor: int, presented: Presented, code: str) -> Request:
        """0220 000000, type 30: a sale that was approved by phone, with the code given there."""
        named = De61("0" * 6, "0" * 6, "0" * 4, BY_PHONE, "0" * 11)
        fields = _money(amount_minor) | self._card(presented, amount_minor)
        return self._request(kinds.OFFLINE_SALE, fields | {38: code, 61: named.format()})

    def reverse(self) -> Request:
        """0400 for what waits to be reversed, else for the last approved transaction.

        Raises:
            LocalRefusal: neither is there.
        """
        waiting = self.state.reversal
        if waiting is None:
            last = self.state.last_reversible
            if last is None:
                raise LocalRefusal("nothing to reverse")
            waiting = replace(last, fields={**last.fields, 39: OTHER_REASON})
            self.state = replace(self.state, reversal=waiting)
        key = self.keys.mac_key
        return assemble(self.identity, kinds.REVERSAL, waiting.fields, key)

    # Orders

    def order_query(
        self, order_no: str, courier_id: str = "", lines: str = "", part_minor: int = 0
    ) -> Request:
        """0200 380000, type 71; with ``lines`` (``IT``) it opens an order of a shop's.

        Args:
            part_minor: opens a part of the order (``PA``), minor units; 0 for none.
        """
        more = {"IT": lines} if lines else {}
        if part_minor:
            more["PA"] = str(part_minor)
        return self._request(kinds.ORDER_QUERY, {59: self._order_items(order_no, courier_id, more)})

    def order_payment(
        self,
        order_no: str,
        amount_minor: int,
        way: str = "card",
        presented: Presented | None = None,
        courier_id: str = "",
        more: Sequence[str] = (),
        keyed: Sequence[str] = (),
    ) -> Request:
        """Type 72 by ``card`` (which then must be presented), ``cash`` or ``delivery``.

        Args:
            more: further orders that the same card pays; the amount is then that of all.
            keyed: what the merchant asks for, in the order of the names in ``OI``.

        Raises:
            LocalRefusal: no such way, no card, several orders without one, more of them than a
                message can name, or too many unconfirmed payments.
        """
        kind = kinds.WAYS.get(way)
        if kind is None:
            raise LocalRefusal("a way of payment is card, cash or delivery")
        if (way == "card") != (presented is not None):
            raise LocalRefusal("a card goes with payment by card, and only with it")
        if more and way != "card":
            raise LocalRefusal("several orders at once are paid by card")
        if len(more) > len(MORE_TAGS):
            raise LocalRefusal(f"at most {len(MORE_TAGS) + 1} orders at once")
        if len(self.state.open_orders) + len(more) >= state.ORDERS_MAX:
            raise LocalRefusal("too many unconfirmed order payments")
        if any("|" in value for value in keyed):
            raise LocalRefusal("a value cannot hold |")
        items = dict(zip(MORE_TAGS, more, strict=False)) | (
            {"OV": "|".join(keyed)} if keyed else {}
        )
        fields = _money(amount_minor) | {59: self._order_items(order_no, courier_id, items)}
        if presented is not None:
            fields |= self._card(presented, amount_minor)
        return self._request(kind, fields, order_no=" ".join((order_no, *more)))

    def order_confirm(self, order_no: str) -> Request:
        """0220 type 73 for the payment that this terminal holds."""
        paid = self._held(order_no)
        return self._about(kinds.ORDER_CONFIRM, paid, {}, {3: paid.processing_code})

    def order_receipt(self, order_no: str, signed_by: str) -> Request:
        """0220 type 74; refers to the payment where this terminal holds one."""
        items = {"OR": signed_by}
        paid = self.state.order(order_no)
        if paid is not None:
            return self._about(kinds.ORDER_RECEIPT, paid, items, {})
        fields = {59: self._items({"ON": order_no, **items})}
        return self._request(kinds.ORDER_RECEIPT, fields, order_no=order_no)

    def order_cancel(self, order_no: str) -> Request:
        """0200 type 75 for the payment that this terminal holds; no card data."""
        paid = self._held(order_no)
        fields = {37: paid.rrn}
        if paid.approval_code:
            fields[38] = paid.approval_code
        return self._about(kinds.ORDER_CANCEL, paid, {}, fields)

    def order_cancel_confirm(self, order_no: str) -> Request:
        """0220 type 76; DE61 names the payment, as in every other row."""
        return self._about(kinds.ORDER_CANCEL_CONFIRM, self._held(order_no), {}, {})

    def order_exception(self, order_no: str, reason: str, text: str = "") -> Request:
        """0220 type 77 with a reason of two digits and free text."""
        items = {"ON": order_no, "OX": reason} | ({"OD": text} if text else {})
        return self._request(kinds.ORDER_EXCEPTION, {59: self._items(items)}, order_no=order_no)

    def stored(self, advice: StoredRequest) -> Request:
        """A confirmation or cancellation once more, as it was but for its MAC."""
        kind = kinds.REPEATED[advice.kind]
        return assemble(self.identity, kind, advice.fields, self.keys.mac_key, advice.mti)

    # Answers

    def take(self, request: Request, frame: bytes) -> Result | None:
        """Judge a received frame and change the state by it.

        Args:
            request: the one that is waiting.
            frame: TPDU to last field, without the length header.

        Returns:
            The result, or None where the frame does not answer this request.
        """
        reply = read_reply(request, frame)
        if reply is None:
            return None
        self.state, outcome = outcomes.settle(self.state, self.identity, request, reply)
        return from_reply(request, reply, outcome, self.identity.encoding)

    def lost(self, request: Request) -> Result:
        """No answer came in time, or the connection broke: what is owed stays in the state."""
        self.state = outcomes.lose(self.state, request)
        return unanswered(request)

    def unconfirmed(self, request: Request) -> list[str]:
        """Orders to confirm where a reply to ``request`` asked for status (demand 2).

        The payment that the reply itself answers is not among them: nobody has missed it yet.
        """
        own = (request.batch, request.stan)
        waiting = [
            (advice.fields.get(61, "")[:12], self._order_no_of(advice))
            for advice in self.state.advices
        ]
        return [
            order.order_no
            for order in self.state.open_orders
            if (order.batch, order.stan) != own
            and (order.batch + order.stan, order.order_no) not in waiting
        ]

    # How requests are made

    def _request(self, kind: Kind, fields: dict[int, str], *, order_no: str = "") -> Request:
        key = self.keys.mac_key if kind.mac else b""
        values = {60: de60(kind, self.state.batch), **fields}
        if kind.processing_code:
            values.setdefault(3, kind.processing_code)
        if kind.condition_code:
            values[25] = kind.condition_code
        if kind.stan:
            values[11] = self.state.stan
        request = assemble(self.identity, kind, values, key)
        self.state = self._with_request(request, order_no)
        return request

    def _with_request(self, request: Request, order_no: str) -> TerminalState:
        kind, values = request.kind, request.message.fields
        after = self.state.with_stan_taken() if kind.stan else self.state
        if kind.journaled:
            original = De61.parse(values[61]) if 61 in values else De61("")
            entry = JournalEntry(
                kind.name,
                request.batch,
                request.stan,
                int(values.get(4, "0")),
                order_no=order_no,
                original_batch=original.original_batch,
                original_stan=original.original_stan,
            )
            after = after.with_entry(entry, self._journal_max)
        if kind.reversible:
            kept = {n: v for n, v in values.items() if n not in _NOT_IN_REVERSAL}
            undo = StoredRequest(kind.name, "0400", {**kept, 39: NO_ANSWER})
            after = replace(after, reversal=undo)
        if kind.repeated:
            kept = {n: v for n, v in values.items() if n not in (41, 42, 64)}
            after = after.with_advice(StoredRequest(kind.name, kind.mti, kept))
        return after

    def _about(
        self, kind: Kind, paid: OrderPayment, items: dict[str, str], fields: dict[int, str]
    ) -> Request:
        values = fields | {
            59: self._items({"ON": paid.order_no, **items}),
            61: De61(paid.batch, paid.stan, paid.date).format(),
        }
        return self._request(kind, values, order_no=paid.order_no)

    def _held(self, order_no: str) -> OrderPayment:
        paid = self.state.order(order_no)
        if paid is None:
            raise LocalRefusal(f"this terminal holds no payment of order {order_no}")
        return paid

    def _card(self, presented: Presented, amount_minor: int) -> dict[int, str]:
        return card_fields(
            presented,
            self.keys,
            amount_minor=amount_minor,
            stan=self.state.stan,
            today=self._today(),
        )

    def _order_no_of(self, advice: StoredRequest) -> str:
        items = De59.parse(bytes.fromhex(advice.fields.get(59, "")))
        return items.text("ON", self.identity.encoding)

    def _order_items(
        self, order_no: str, courier_id: str, more: Mapping[str, str] | None = None
    ) -> str:
        name = courier_id or self.state.courier_id
        return self._items({"ON": order_no} | ({"OC": name} if name else {}) | dict(more or {}))

    def _items(self, texts: dict[str, str]) -> str:
        return De59.build(texts, self.identity.encoding).hex


def _money(amount_minor: int) -> dict[int, str]:
    if not 0 <= amount_minor < 10**12:
        raise LocalRefusal("an amount is 0 to 12 digits of minor units")
    return {4: f"{amount_minor:012d}", 49: CURRENCY}
