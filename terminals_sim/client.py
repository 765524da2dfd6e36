"""A terminal on a connection: each method is one transaction, from key-pad to receipt.

Before each transaction what is owed goes first: a sign-on that was asked for, the pending reversal,
confirmations without an answer. The state is saved before a request leaves and after its answer.
An unanswered reversible request is reversed at once, on a new connection, or else before the
next transaction. Source: docs/interfaces/terminal.md; start at :meth:`TerminalClient.sale`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import TracebackType

import trio

from acquirer.codecs.errors import CodecError
from acquirer.codecs.instalments import InstalmentTerms
from acquirer.codecs.tpdu import ProcessingDemand
from acquirer.config.estate import Card
from acquirer.terminals_sim import kinds
from acquirer.terminals_sim.cards import Entry, Presented, present
from acquirer.terminals_sim.downloads import DEMANDED, OF_DOWNLOADS, fetch
from acquirer.terminals_sim.errors import LinkError, LocalRefusal
from acquirer.terminals_sim.kinds import Kind
from acquirer.terminals_sim.link import TerminalLink
from acquirer.terminals_sim.messages import Request
from acquirer.terminals_sim.results import Result, unsent
from acquirer.terminals_sim.state import TerminalState
from acquirer.terminals_sim.store import Store
from acquirer.terminals_sim.terminal import Terminal

TIMEOUT_S = 30.0
ADVICES_A_TURN = 10
_AT_ANY_TIME = frozenset({kinds.SIGN_ON.name, kinds.ECHO.name, kinds.REVERSAL.name})


class TerminalClient:
    """One terminal's transactions over a link.

    Resource handling: an ``async with`` block closes the link; transactions of one client take
    turns by themselves.

    Error handling: a decline, a time-out and an unreachable switch are results; raised are
    :class:`LocalRefusal` (the terminal itself refuses) and :class:`StateFileError`.

    Args:
        terminal: the terminal with its state.
        store: where the state is kept.
        link: the way to the switch.
        timeout_s: how long an answer may take.
        follow_demands: sign on again and confirm open order payments when the switch asks for it.
        reverse_at_once: send the reversal of an unanswered request without waiting for the next
            transaction.

    Attributes:
        last_request: what the last transaction sent, None where nothing left.
    """

    def __init__(
        self,
        terminal: Terminal,
        store: Store,
        link: TerminalLink,
        *,
        timeout_s: float = TIMEOUT_S,
        follow_demands: bool = True,
        reverse_at_once: bool = True,
    ) -> None:
        self.terminal = terminal
        self.link = link
        self.timeout_s = timeout_s
        self.last_request: Request | None = None
        self._store = store
        self._follow = follow_demands
        self._at_once = reverse_at_once
        self._turn = trio.Lock()

    @property
    def state(self) -> TerminalState:
        """What the terminal remembers now."""
        return self.terminal.state

    async def __aenter__(self) -> TerminalClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.link.close()

    async def sign_on(self, network_code: str = "") -> Result:
        """Fetch working keys and the current batch."""
        return await self.perform(kinds.SIGN_ON, lambda: self.terminal.sign_on(network_code))

    async def sign_off(self) -> Result:
        """Give the working keys up, after what is owed was sent."""
        return await self.perform(kinds.SIGN_OFF, self.terminal.sign_off)

    async def echo(self) -> Result:
        """Test the line."""
        return await self.perform(kinds.ECHO, self.terminal.echo)

    async def courier_sign_on(self, courier_id: str, password: str) -> Result:
        """Sign a courier on at this terminal."""
        return await self.perform(
            kinds.COURIER_SIGN_ON, lambda: self.terminal.courier_sign_on(courier_id, password)
        )

    async def courier_sign_off(self, courier_id: str = "") -> Result:
        """Sign the courier off."""
        return await self.perform(
            kinds.COURIER_SIGN_OFF, lambda: self.terminal.courier_sign_off(courier_id)
        )

    async def balance(
        self, card: Card, entry: Entry | None = None, pin: str | None = None
    ) -> Result:
        """Ask for a card's balance; ``pin`` None is the card's own, empty is none."""
        shown = present(card, entry, pin)
        return await self.perform(kinds.BALANCE, lambda: self.terminal.balance(shown))

    async def sale(
        self, amount_minor: int, card: Card, entry: Entry | None = None, pin: str | None = None
    ) -> Result:
        """Sell; ``pin`` None is the card's own, empty is none."""
        shown = present(card, entry, pin)
        return await self.perform(kinds.SALE, lambda: self.terminal.sale(amount_minor, shown))

    async def void(self, rrn: str = "", card: Card | None = None) -> Result:
        """Void an approved sale of this terminal, the last one where no RRN is given."""
        shown = present(card) if card is not None else None
        return await self.perform(kinds.VOID, lambda: self.terminal.void(rrn, shown))

    async def instalment(
        self,
        amount_minor: int,
        card: Card,
        terms: InstalmentTerms,
        entry: Entry | None = None,
        pin: str | None = None,
    ) -> Result:
        """Sell to somebody who pays his bank back in parts."""
        shown = present(card, entry, pin)
        return await self.perform(
            kinds.INSTALMENT, lambda: self.terminal.instalment(amount_minor, shown, terms)
        )

    async def qr(self, amount_minor: int, code: str) -> Result:
        """Sell to somebody who shows a code of 19 digits."""
        return await self.perform(kinds.QR, lambda: self.terminal.qr(amount_minor, code))

    async def moto(self, amount_minor: int, card: Card, cvn2: str = "") -> Result:
        """Sell to somebody who orders by mail or telephone."""
        shown = present(card, "keyed", "")
        return await self.perform(kinds.MOTO, lambda: self.terminal.moto(amount_minor, shown, cvn2))

    async def void_of(self, kind: Kind, rrn: str = "") -> Result:
        """Void an approved payment of one kind, the last one where no RRN is given."""
        return await self.perform(
            kinds.VOIDS[kind.name], lambda: self.terminal.void(rrn, None, {kind.name})
        )

    async def refund(
        self, amount_minor: int, card: Card | None, rrn: str = "", entry: Entry | None = None
    ) -> Result:
        """Give a card back what it paid, or a part; of the last sale where no RRN is given.

        Args:
            card: None for a payment by a code.
        """
        shown = present(card, entry, "") if card else None
        return await self.perform(
            kinds.REFUND, lambda: self.terminal.refund(amount_minor, shown, rrn)
        )

    async def offline_sale(self, amount_minor: int, card: Card, code: str) -> Result:
        """Tell of a sale that was approved by phone with a code of 6 characters."""
        shown = present(card, pin="")
        return await self.perform(
            kinds.OFFLINE_SALE, lambda: self.terminal.offline_sale(amount_minor, shown, code)
        )

    async def preauth(
        self, amount_minor: int, card: Card, entry: Entry | None = None, pin: str | None = None
    ) -> Result:
        """Have an amount held; ``pin`` None is the card's own, empty is none."""
        shown = present(card, entry, pin)
        return await self.perform(kinds.PREAUTH, lambda: self.terminal.preauth(amount_minor, shown))

    async def preauth_void(self, rrn: str = "", shown: Presented | None = None) -> Result:
        """Give a pre-authorisation up, the last one where no RRN is given."""
        return await self.perform(
            kinds.PREAUTH_VOID, lambda: self.terminal.preauth_void(rrn, shown)
        )

    async def completion(
        self,
        amount_minor: int,
        rrn: str = "",
        shown: Presented | None = None,
        *,
        is_advice: bool = False,
    ) -> Result:
        """Take an amount of a pre-authorisation, asked or told."""
        if is_advice:
            return await self.perform(
                kinds.COMPLETION_ADVICE,
                lambda: self.terminal.completion_advice(amount_minor, rrn, shown),
            )
        return await self.perform(
            kinds.COMPLETION, lambda: self.terminal.completion(amount_minor, rrn, shown)
        )

    async def completion_void(self, rrn: str = "", shown: Presented | None = None) -> Result:
        """Undo a completion, the last one where no RRN is given."""
        return await self.perform(
            kinds.COMPLETION_VOID, lambda: self.terminal.completion_void(rrn, shown)
        )

    async def tip(self, tip_minor: int, rrn: str = "") -> Result:
        """Add a tip to a sale of this terminal, the last one where no RRN is given."""
        return await self.perform(kinds.TIP, lambda: self.terminal.tip(tip_minor, rrn))

    async def reverse(self) -> Result:
        """Reverse what waits for it, else the last approved reversible transaction."""
        return await self.perform(kinds.REVERSAL, self.terminal.reverse)

    async def order_query(self, order_no: str, courier_id: str = "", part_minor: int = 0) -> Result:
        """Ask what is due, or for a part of it; ``result.order`` has it."""
        return await self.perform(
            kinds.ORDER_QUERY,
            lambda: self.terminal.order_query(order_no, courier_id, part_minor=part_minor),
        )

    async def order_payment(
        self,
        order_no: str,
        amount_minor: int,
        way: str = "card",
        card: Card | None = None,
        *,
        entry: Entry | None = None,
        pin: str | None = None,
        courier_id: str = "",
        more: Sequence[str] = (),
        keyed: Sequence[str] = (),
    ) -> Result:
        """Pay an order by ``card``, ``cash`` or ``delivery`` (nothing to pay).

        Args:
            more: further orders in the same swipe; the amount is then that of all.
            keyed: what the merchant asks for, in its order.
        """
        shown = present(card, entry, pin) if card is not None else None
        return await self.perform(
            kinds.ORDER_CARD,
            lambda: self.terminal.order_payment(
                order_no, amount_minor, way, shown, courier_id, more, keyed
            ),
        )

    async def pay_order(
        self,
        order_no: str,
        way: str = "",
        card: Card | None = None,
        *,
        entry: Entry | None = None,
        pin: str | None = None,
        courier_id: str = "",
        more: Sequence[str] = (),
        fields: Mapping[str, str] | None = None,
        part_minor: int = 0,
    ) -> Result:
        """Ask what is due and pay it; the query's result where that was not approved.

        Args:
            order_no: the order.
            way: ``card``, ``cash`` or ``delivery``; empty is delivery where nothing is due, else
                card.
            card: for payment by card.
            entry: how it is read.
            pin: None is the card's own, empty is none.
            courier_id: where it is not the one who is signed on.
            more: further orders to pay in the same swipe.
            fields: what the merchant of the first order asks for, by name.
            part_minor: pay so much of it, as an order of its own; ``result.order_no`` names it.

        Raises:
            LocalRefusal: a value that the merchant asks for is missing, or a part of several.
        """
        if part_minor and more:
            raise LocalRefusal("a part is of one order")
        due, given, named = 0, fields or {}, order_no
        asks: tuple[str, ...] = ()
        for number in (order_no, *more):
            asked = await self.order_query(number, courier_id, part_minor)
            if not asked.approved or asked.order is None or asked.order.amount_minor is None:
                return asked
            due += asked.order.amount_minor
            if number == order_no:
                asks, named = asked.order.asks, asked.order.order_no or number
        if missing := [name for name in asks if name not in given]:
            raise LocalRefusal(f"the merchant asks for: {', '.join(missing)}")
        chosen = way or ("delivery" if due == 0 else "card")
        paid = await self.order_payment(
            named,
            due,
            chosen,
            card if chosen == "card" else None,
            entry=entry,
            pin=pin,
            courier_id=courier_id,
            more=more,
            keyed=[given[name] for name in asks],
        )
        return replace(paid, order_no=named) if part_minor else paid

    async def order_confirm(self, order_no: str) -> Result:
        """Confirm the payment of an order."""
        return await self.perform(
            kinds.ORDER_CONFIRM, lambda: self.terminal.order_confirm(order_no)
        )

    async def order_receipt(self, order_no: str, signed_by: str) -> Result:
        """Tell that the goods were signed for."""
        return await self.perform(
            kinds.ORDER_RECEIPT, lambda: self.terminal.order_receipt(order_no, signed_by)
        )

    async def order_cancel(self, order_no: str) -> Result:
        """Cancel a paid order."""
        return await self.perform(kinds.ORDER_CANCEL, lambda: self.terminal.order_cancel(order_no))

    async def order_cancel_confirm(self, order_no: str) -> Result:
        """Confirm the cancellation."""
        return await self.perform(
            kinds.ORDER_CANCEL_CONFIRM, lambda: self.terminal.order_cancel_confirm(order_no)
        )

    async def order_exception(self, order_no: str, reason: str, text: str = "") -> Result:
        """Tell why an order could not be delivered: ``reason`` of two digits, and free text."""
        return await self.perform(
            kinds.ORDER_EXCEPTION, lambda: self.terminal.order_exception(order_no, reason, text)
        )

    async def download(self, kind: str) -> tuple[Result, tuple[bytes, ...]]:
        """Fetch all of a kind, as ``downloads.fetch``: the last result, and what came."""
        async with self._turn:
            return await fetch(kind, self.terminal, self._once)

    async def settle_debts(self) -> Result | None:
        """Send what is owed and nothing else; None where nothing is left that must go first."""
        async with self._turn:
            return await self._debts()

    async def perform(self, kind: Kind, build: Callable[[], Request]) -> Result:
        """Any request of the terminal, with all that goes before and after it.

        Args:
            kind: the request's row.
            build: makes it, when all that is owed was sent and the connection stands.
        """
        async with self._turn:
            if kind.name not in _AT_ANY_TIME:
                blocked = await self._debts()
                if blocked is not None:
                    return unsent(kind.name, f"what is owed goes first: {blocked.message}")
            self.last_request = None

            def remembered() -> Request:
                self.last_request = build()
                return self.last_request

            result = await self._once(kind, remembered)
            if self._at_once and kind.reversible and self.state.reversal is not None:
                await self._debts()
                result = replace(result, reversed=self.state.reversal is None)
            elif self._owes_script_result():
                await self._debts()
            if self._follow and self.last_request is not None and result.reply is not None:
                await self._follow_up(self.last_request, result.demand)
            return result

    async def _debts(self) -> Result | None:
        """Sign-on that is due, reversal, confirmations; gives the result that blocks the way."""
        if self._follow and self.state.sign_on_due:
            await self._sign_on_again()
        if self.state.reversal is not None:
            result = await self._once(kinds.REVERSAL, self.terminal.reverse)
            if self.state.reversal is not None and self._follow and self.state.sign_on_due:
                await self._sign_on_again()
                result = await self._once(kinds.REVERSAL, self.terminal.reverse)
            if self.state.reversal is not None:
                return result
        for advice in self.state.advices[:ADVICES_A_TURN]:
            kind = kinds.REPEATED[advice.kind]
            result = await self._once(kind, partial(self.terminal.stored, advice))
            if result.outcome in ("no_answer", "unsent"):
                return result
        return None

    def _owes_script_result(self) -> bool:
        return any(advice.kind == kinds.SCRIPT_RESULT.name for advice in self.state.advices)

    async def _sign_on_again(self) -> None:
        network_code = self.state.network_code
        await self._once(kinds.SIGN_ON, lambda: self.terminal.sign_on(network_code))

    async def _follow_up(self, request: Request, demand: ProcessingDemand) -> None:
        if self.state.sign_on_due:
            await self._sign_on_again()
        if demand in DEMANDED and request.kind.name not in OF_DOWNLOADS:
            with suppress(CodecError):
                await fetch(DEMANDED[demand], self.terminal, self._once)
        if demand == ProcessingDemand.UPLOAD_STATUS:
            for order_no in self.terminal.unconfirmed(request):
                build = partial(self.terminal.order_confirm, order_no)
                result = await self._once(kinds.ORDER_CONFIRM, build)
                if result.outcome in ("no_answer", "unsent"):
                    return

    async def _once(self, kind: Kind, build: Callable[[], Request]) -> Result:
        """One request: connect, build, save, send, wait, judge, save."""
        try:
            await self.link.open(self.timeout_s)
        except LinkError as error:
            return unsent(kind.name, str(error))
        request = build()
        await self._store.save(self.state)

        def accept(frame: bytes) -> Result | None:
            return self.terminal.take(request, frame)

        result = await self.link.exchange(request.frame, accept, self.timeout_s)
        if result is None:
            result = self.terminal.lost(request)
        await self._store.save(self.state)
        return result
