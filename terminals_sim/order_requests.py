"""What a terminal asks about orders, from the query to the exception."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from acquirer.codecs.private_fields import De61
from acquirer.terminals_sim import kinds, outcomes, state
from acquirer.terminals_sim.cards import Presented
from acquirer.terminals_sim.errors import LocalRefusal
from acquirer.terminals_sim.kinds import Kind
from acquirer.terminals_sim.messages import Request
from acquirer.terminals_sim.requests import Requests, money
from acquirer.terminals_sim.state import (
    OrderPayment,
)

MORE_TAGS = outcomes.ORDER_TAGS[1:]


class OrderRequests(Requests):
    """Requests about orders."""

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
        fields = money(amount_minor) | {59: self._order_items(order_no, courier_id, items)}
        if presented is not None:
            card = self._card(presented, amount_minor)
            fields |= {**card, 59: fields[59] + card.get(59, "")}
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

    def _order_items(
        self, order_no: str, courier_id: str, more: Mapping[str, str] | None = None
    ) -> str:
        name = courier_id or self.state.courier_id
        return self._items({"ON": order_no} | ({"OC": name} if name else {}) | dict(more or {}))
