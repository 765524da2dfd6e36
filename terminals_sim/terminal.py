"""A POS terminal without a socket: requests out, replies in, state in between.

Each method builds one request and changes :attr:`Terminal.state`; the caller saves the state
*before* the request leaves, sends it, and gives what comes back to :meth:`Terminal.take`, or calls
:meth:`Terminal.lost` where nothing did. What an answer changes stands in ``outcomes.py``.
Source: docs/interfaces/terminal.md, parts 3 to 5.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from acquirer.codecs.de59 import De59
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.private_fields import De53, De61
from acquirer.terminals_sim import kinds, outcomes
from acquirer.terminals_sim.cards import Presented
from acquirer.terminals_sim.download_requests import DownloadRequests
from acquirer.terminals_sim.errors import LocalRefusal
from acquirer.terminals_sim.messages import Reply, Request, assemble, de60, read_reply
from acquirer.terminals_sim.order_requests import OrderRequests
from acquirer.terminals_sim.preauth_requests import PreauthRequests
from acquirer.terminals_sim.requests import CURRENCY, money
from acquirer.terminals_sim.results import Result, from_reply, unanswered
from acquirer.terminals_sim.sale_requests import CODE_SHOWN, SaleRequests
from acquirer.terminals_sim.security import pin_fields
from acquirer.terminals_sim.software_card import (
    RESULT_TAGS,
    REVERSAL_TAGS,
    CardsWord,
    chosen,
    second_word,
)
from acquirer.terminals_sim.state import (
    StoredRequest,
)

OTHER_REASON = "06"
NOT_THE_ISSUER = "field 55: the answer is not from the card's issuer"
# DE61.4 of a sale that was approved by phone.
BY_PHONE = "01"


class Terminal(OrderRequests, SaleRequests, PreauthRequests, DownloadRequests):
    """One terminal; not for use by two tasks at a time."""

    def __repr__(self) -> str:
        return (
            f"Terminal({self.identity.terminal_id!r}, batch {self.state.batch}, "
            f"STAN {self.state.stan}, {'signed on' if self.state.wrapped_keys else 'no keys'})"
        )

    # Management

    def sign_on(self, network_code: str = "") -> Request:
        """0800; ``network_code`` 001, 003 or 004 says which keys the switch shall send.

        Empty means what the terminal's profile says.
        """
        code = network_code or self.identity.network_code
        if self.identity.scheme != "tmk" and code != "001":
            raise LocalRefusal("where keys are derived the sign-on is 001")
        if code not in ("001", "003", "004"):
            raise LocalRefusal(f"no sign-on {code!r}: it is 001, 003 or 004")
        return self._request(replace(kinds.SIGN_ON, network_code=code), {})

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
        keys, items = self.keys, self._items({"OC": courier_id})
        fields = {**pin_fields(keys, password), 53: De53(1, keys.algorithm).format()}
        fields[59] = items + fields.get(59, "")
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
        fields = {**self._card(presented, amount_minor), **money(amount_minor)}
        return self._request(kinds.SALE, fields)

    def void(
        self,
        rrn: str = "",
        presented: Presented | None = None,
        of: Collection[str] = frozenset(kinds.VOIDS),
    ) -> Request:
        """0200 200000 for a sale of this terminal's journal; the last one where no RRN is given.

        Args:
            of: kinds of payments to choose from.

        Raises:
            LocalRefusal: no such approved sale.
        """
        for entry in reversed(self.state.journal):
            voidable = entry.kind in of and entry.state == "approved"
            if voidable and rrn in ("", entry.rrn):
                break
        else:
            raise LocalRefusal(f"no approved sale with RRN {rrn}" if rrn else "no sale to void")
        fields = money(entry.amount_minor) | {
            37: entry.rrn,
            61: De61(entry.batch, entry.stan, entry.date).format(),
        }
        if entry.approval_code:
            fields[38] = entry.approval_code
        if entry.kind == kinds.QR.name:
            fields[22] = CODE_SHOWN
        elif presented is not None:
            fields |= self._card(presented, entry.amount_minor)
        return self._request(kinds.VOIDS[entry.kind], fields)

    def refund(self, amount_minor: int, presented: Presented | None, rrn: str = "") -> Request:
        """0220 200000 for a payment of the merchant's; this terminal's last sale without an RRN.

        A payment of an order is named by its RRN.

        Args:
            presented: None gives a payment by a code back.

        Raises:
            LocalRefusal: no RRN, and no sale here.
        """
        which = kinds.REFUNDABLE if rrn else kinds.SALES
        # What is refused because it is paid already has the payment's RRN, too.
        sales = [e for e in self.state.journal if e.kind in which and e.state != "declined"]
        sale = next((e for e in reversed(sales) if rrn in ("", e.rrn)), None)
        if sale is None and not rrn:
            raise LocalRefusal("no sale to refund")
        named = De61(sale.batch, sale.stan, sale.date) if sale else De61("0" * 6, "0" * 6, "0" * 4)
        fields = money(amount_minor)
        if presented and sale and sale.kind == kinds.MOTO.name:
            presented = replace(presented, entry="keyed")
        fields |= self._card(presented, amount_minor) if presented else {22: CODE_SHOWN}
        fields |= {37: sale.rrn if sale else rrn, 61: named.format(), 63: "000"}
        if sale and sale.approval_code:
            fields[38] = sale.approval_code
        return self._request(kinds.REFUNDS.get(sale.kind if sale else "", kinds.REFUND), fields)

    def tip(self, tip_minor: int, rrn: str = "") -> Request:
        """0220 type 34: what a guest adds to a sale of this terminal, the last one without an RRN.

        Raises:
            LocalRefusal: no such approved sale.
        """
        for entry in reversed(self.state.journal):
            is_sale = entry.kind == kinds.SALE.name and entry.state == "approved"
            if is_sale and rrn in ("", entry.rrn):
                break
        else:
            raise LocalRefusal(f"no approved sale with RRN {rrn}" if rrn else "no sale to add to")
        named = De61(entry.batch, entry.stan, entry.date)
        fields = money(entry.amount_minor + tip_minor) | {
            37: entry.rrn,
            48: f"{tip_minor:012d}",
            61: named.format(),
        }
        if entry.approval_code:
            fields[38] = entry.approval_code
        return self._request(kinds.TIP, fields)

    def offline_sale(self, amount_minor: int, presented: Presented, code: str) -> Request:
        """0220 000000, type 30: a sale that was approved by phone, with the code given there."""
        named = De61("0" * 6, "0" * 6, "0" * 4, BY_PHONE, "0" * 11)
        fields = money(amount_minor) | self._card(presented, amount_minor)
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
        return assemble(self.identity, kinds.REVERSAL, waiting.fields, self.take_keys())

    def stored(self, advice: StoredRequest) -> Request:
        """A confirmation or cancellation once more, as it was but for its MAC."""
        kind = kinds.REPEATED[advice.kind]
        return assemble(self.identity, kind, advice.fields, self.take_keys(), advice.mti)

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
        word = self._cards_word(request, reply)
        if word is not None and word.issuer == "wrong":
            reply = replace(reply, faults=(*reply.faults, NOT_THE_ISSUER))
        self.state, outcome = outcomes.settle(self.state, self.identity, request, reply)
        if word is not None and word.script_result and reply.mac == "good":
            self._owe_script_result(request, reply, word.script_result)
        issuer = word.issuer if word is not None else "absent"
        return replace(
            from_reply(request, reply, outcome, self.identity.encoding),
            issuer=issuer if 55 in request.message.fields else "",
        )

    def _cards_word(self, request: Request, reply: Reply) -> CardsWord | None:
        """What the card that is still inserted says of its issuer's answer; None for nothing."""
        answered, card = reply.message.binary(55), self._chip
        if card is None or not answered or 55 not in request.message.fields:
            return None
        try:
            return second_word(card, request.message.binary(55), answered)
        except RemoteFormatError:
            return CardsWord("wrong")

    def _owe_script_result(self, request: Request, reply: Reply, result: str) -> None:
        """0620: what became of the issuer's script is told until the switch has it."""
        icc = chosen(request.message.get(55), RESULT_TAGS, result)
        named = De61(request.batch, request.stan, reply.message.get(13))
        fields = {
            3: request.message.get(3),
            11: self.state.stan,
            37: reply.message.get(37),
            55: icc,
            60: de60(kinds.SCRIPT_RESULT, self.state.batch),
            61: named.format(),
        }
        undo = self.state.reversal
        if undo is not None and undo.fields.get(11) == request.stan:
            said = chosen(request.message.get(55), REVERSAL_TAGS, result)
            self.state = replace(
                self.state, reversal=replace(undo, fields={**undo.fields, 55: said})
            )
        advice = StoredRequest(kinds.SCRIPT_RESULT.name, kinds.SCRIPT_RESULT.mti, fields)
        self.state = self.state.with_stan_taken().with_advice(advice)

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

    def _order_no_of(self, advice: StoredRequest) -> str:
        items = De59.parse(bytes.fromhex(advice.fields.get(59, "")))
        return items.text("ON", self.identity.encoding)
