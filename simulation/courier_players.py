"""What couriers do at the terminals of a simulated day: orders, and their passwords."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from acquirer.config.estate import Card
from acquirer.simulation.players import Player
from acquirer.terminals_sim.results import Result

HOT_ORDERS = 3
GROUP = 2


@dataclass(slots=True)
class Passwords:
    """What a courier has typed, and what the switch has said to it.

    Attributes:
        wrong: wrong ones in a row, since the last that the switch took.
        most_wrong: the most there were.
        signed_off: the switch said that he is signed off, and he has typed none since.
    """

    wrong: int = 0
    most_wrong: int = 0
    signed_off: bool = False


class CourierPlayer(Player):
    """A terminal with its courier.

    Attributes:
        passwords: what the courier has typed.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.passwords = Passwords()
        self._order_cards: dict[str, Card] = {}

    async def _order(self) -> None:
        await self._pay("card")

    async def _cash(self) -> None:
        await self._pay("cash")

    async def _delivery(self) -> None:
        await self._pay("delivery")

    async def _group(self) -> None:
        """Two orders in one swipe; confirmed or cancelled one by one, or reversed together."""
        if self.state.courier_id != self._courier.courier_id:
            await self._courier_on()
        fitting = [one for one in self._orders if "1" in one.pay_ways and one.amount_minor]
        if len(fitting) < GROUP:
            await self._sale()
            return
        orders = self._draw.sample(fitting[:HOT_ORDERS], GROUP)
        first, *more = [order.order_no for order in orders]
        card = self._draw.choice(self._cards)
        paid = self._note(await self._client.pay_order(first, "card", card, more=more))
        if paid.kind != "order_payment" or not paid.approved:
            return
        if self._draw.random() < 0.3:
            self._note(await self._client.reverse())
            return
        for order in orders:
            if order in self._orders:
                self._orders.remove(order)
            if not self.state.order(order.order_no):
                continue
            if self._draw.random() < 0.8:
                self._note(await self._client.order_confirm(order.order_no))
            elif self._draw.random() < 0.5:
                await self._cancel(order.order_no)

    async def _part(self) -> None:
        """A part of an order, while other couriers go for the whole and for other parts."""
        if self.state.courier_id != self._courier.courier_id:
            await self._courier_on()
        way = self._draw.choice(("card", "cash"))
        digit = {"card": "1", "cash": "2"}[way]
        fitting = [one for one in self._orders if digit in one.pay_ways and one.amount_minor]
        if not fitting:
            await self._sale()
            return
        order = self._draw.choice(fitting[:HOT_ORDERS])
        share = max(order.amount_minor * self._draw.choice((1, 1, 2, 3)) // 3, 1)
        card = self._draw.choice(self._cards)
        paid = self._note(await self._client.pay_order(order.order_no, way, card, part_minor=share))
        if way == "card":
            self._order_cards[paid.rrn] = card
        if paid.kind != "order_payment" or not paid.approved:
            return
        if self._draw.random() < 0.1:
            self._note(await self._client.reverse())
            return
        if self._draw.random() < 0.85:
            self._note(await self._client.order_confirm(paid.order_no))
        if self._draw.random() < 0.2 and self.state.order(paid.order_no):
            await self._cancel(paid.order_no)

    async def _payment_reversed(self) -> None:
        paid = await self._pay(self._draw.choice(("card", "cash", "delivery")), confirm=False)
        if paid is not None and paid.approved:
            self._note(await self._client.reverse())

    async def _payment_cancelled(self) -> None:
        way = self._draw.choice(("card", "card", "cash", "delivery"))
        paid = await self._pay(way, confirm=self._draw.random() < 0.5)
        order_no = self._paid
        if paid is None or not paid.approved or self.state.order(order_no) is None:
            return
        await self._cancel(order_no)

    async def _order_refund(self) -> None:
        """Give a card back what an order was paid with, all at once or a part; or try to cancel."""
        paid = [
            entry
            for entry in self.state.journal
            if entry.rrn in self._order_cards and entry.state == "approved"
        ]
        if not paid:
            await self._order()
            return
        payment = self._draw.choice(paid[-3:])
        amount_minor = payment.amount_minor
        if self._draw.random() < 0.6:
            amount_minor = self._draw.randint(1, payment.amount_minor)
        if self._draw.random() < 0.1:
            amount_minor += payment.amount_minor
        card = self._order_cards[payment.rrn]
        self._note(await self._client.refund(amount_minor, card, payment.rrn))
        if self._draw.random() < 0.3 and self.state.order(payment.order_no):
            await self._cancel(payment.order_no)

    async def _cancel(self, order_no: str) -> None:
        self._note(await self._client.order_cancel(order_no))
        held = self.state.order(order_no)
        if held is not None and held.stage == "cancelled":
            self._note(await self._client.order_cancel_confirm(order_no))

    async def _pay(self, way: str, confirm: bool = True) -> Result | None:
        client = self._client
        if self.state.courier_id != self._courier.courier_id:
            await self._courier_on()
        digit = {"card": "1", "cash": "2", "delivery": "3"}[way]
        fitting = [
            order
            for order in self._orders
            if digit in order.pay_ways and (way == "delivery") == (order.amount_minor == 0)
        ]
        if not fitting:
            await self._sale()
            return None
        order = self._draw.choice(fitting[:HOT_ORDERS])
        card = self._draw.choice(self._cards)
        paid = self._note(await client.pay_order(order.order_no, way, card))
        if way == "card":
            self._order_cards[paid.rrn] = card
        self._paid = order.order_no
        if paid.kind != "order_payment":
            return paid
        if paid.response_code == "94" and order in self._orders:
            self._orders.remove(order)
        if not paid.approved or not confirm:
            return paid
        if order in self._orders:
            self._orders.remove(order)
        if self._draw.random() < 0.85:
            self._note(await client.order_confirm(order.order_no))
        if self._draw.random() < 0.7 and self.state.order(order.order_no):
            self._note(await client.order_receipt(order.order_no, "signed"))
        return paid

    async def _courier_on(self) -> None:
        self.passwords.signed_off = False
        name, password = self._courier.courier_id, self._courier.password
        if self._note(await self._client.courier_sign_on(name, password)).approved:
            self.passwords.wrong = 0

    # Asides.

    async def _courier_again(self) -> None:
        await self._courier_on()

    async def _courier_off(self) -> None:
        if self.state.courier_id:
            result = self._note(await self._client.courier_sign_off())
            self.passwords.signed_off = result.approved

    async def _wrong_password(self) -> None:
        typed = self.passwords
        typed.signed_off = False
        typed.wrong += 1
        typed.most_wrong = max(typed.most_wrong, typed.wrong)
        self._note(await self._client.courier_sign_on(self._courier.courier_id, "000000"))
        await self._courier_on()

    async def _query(self) -> None:
        if self._orders:
            order_no = self._draw.choice(self._orders).order_no
            courier_id = self._courier.courier_id
            self._note(await self._client.order_query(order_no, courier_id))

    async def _receipt(self) -> None:
        """A receipt for an order of which this terminal may hold no payment."""
        if self._orders:
            order_no = self._draw.choice(self._orders).order_no
            self._note(await self._client.order_receipt(order_no, "signed"))

    async def _old_confirmation(self) -> None:
        if self.state.open_orders:
            order_no = self._draw.choice(self.state.open_orders).order_no
            if self._draw.random() < 0.3:
                self._note(await self._client.order_receipt(order_no, "signed"))
            else:
                self._note(await self._client.order_confirm(order_no))

    async def _exception(self) -> None:
        if self._orders:
            order_no = self._draw.choice(self._orders).order_no
            self._note(await self._client.order_exception(order_no, "02", "nobody there"))
