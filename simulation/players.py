"""The terminals of a simulated day: what their merchants and couriers do, and when power fails.

Each player draws from a generator of its own. It sells, voids, reverses, pays orders by card, in
cash or for nothing, lets two couriers go for one order, repeats itself, and asks for what is
impossible. It keeps what a terminal keeps: what is saved survives a power cut, nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import date
from random import Random

import trio

from acquirer.codecs.instalments import InstalmentTerms
from acquirer.codecs.ksn import Ksn
from acquirer.config.estate import Card, Courier, Order
from acquirer.simulation.day import Faults
from acquirer.simulation.habits import ASIDES, DERIVED_ASIDES, MORE_ASIDES, Budget
from acquirer.simulation.network import Host, Network
from acquirer.simulation.process import SWITCH
from acquirer.simulation.trace import Trace
from acquirer.terminals_sim import kinds
from acquirer.terminals_sim.cards import card_fields, present
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.derived_keys import keys_of
from acquirer.terminals_sim.errors import LocalRefusal
from acquirer.terminals_sim.identity import Identity
from acquirer.terminals_sim.link import TerminalLink
from acquirer.terminals_sim.messages import assemble, de60
from acquirer.terminals_sim.requests import CURRENCY
from acquirer.terminals_sim.results import Result
from acquirer.terminals_sim.state import STAN_MAX, JournalEntry, StoredRequest, TerminalState
from acquirer.terminals_sim.store import MemoryStore
from acquirer.terminals_sim.terminal import Terminal

TODAY = date(2026, 11, 21)
TIMEOUT_S = 26.0
PAUSE_MAX_S = 0.4
# Troubles take their time: where nothing else fails, a day would be over before them.
TROUBLED_PAUSE_MAX_S = 4.0
SIGN_ON_TRIES_MAX = 200
UNREACHED_TRIES_MAX = 50
UNREACHED_PAUSE_S = 1.0
AMOUNT_MINOR_MAX = 9_000
# STANs that no terminal reaches in a day.
OTHERS_STAN_MIN = 900_000
_FRAME_HEADER_BYTES = 2


class Player:
    """One terminal.

    Args:
        orders: of its merchant, shared with the merchant's other terminals.
        payments: what it does, with weights.
        new_code: gives the holder of a card, by its name, a code to show.
    """

    def __init__(
        self,
        me: Identity,
        courier: Courier,
        cards: list[Card],
        orders: list[Order],
        network: Network,
        faults: Faults,
        trace: Trace,
        draw: Random,
        payments: Mapping[str, int],
        new_code: Callable[[str], Awaitable[str]],
    ) -> None:
        self._me = me
        self._courier = courier
        self._cards = cards
        self._orders = orders
        self._network = network
        self._faults = faults
        self._trace = trace
        self._draw = draw
        self._payments = payments
        self._new_code = new_code
        # None where a code was shown.
        self._cards_of: dict[str, Card | None] = {}
        self._paid = self._raced = self._code = ""
        self._raced_undo: StoredRequest | None = None
        self._last_code = ""
        self._pause_max_s = TROUBLED_PAUSE_MAX_S if faults.has_troubles else PAUSE_MAX_S
        self._asides = dict(ASIDES)
        for kind, more in MORE_ASIDES.items():
            if kind in faults.drawn:
                self._asides |= more
        if me.scheme != "tmk" and "restore" not in faults.drawn:
            self._asides |= DERIVED_ASIDES
        self._reached = True
        self._host = Host(me.terminal_id)
        self._store = MemoryStore()
        self._client = self._boot(TerminalState(me.terminal_id))

    @property
    def me(self) -> Identity:
        """Which terminal it is."""
        return self._me

    @property
    def courier_id(self) -> str:
        """Whose terminal it is."""
        return self._courier.courier_id

    @property
    def state(self) -> TerminalState:
        """What the terminal knows."""
        return self._client.state

    @property
    def owes(self) -> bool:
        """Whether reversals or confirmations still have to be delivered."""
        undelivered = bool(self.state.advices) or self.state.reversal is not None
        return undelivered or bool(self._raced)

    def _boot(self, state: TerminalState) -> TerminalClient:
        async def connect() -> trio.abc.Stream:
            return await self._network.connect(self._network.door(SWITCH), self._host)

        terminal = Terminal(self._me, state, today=lambda: TODAY)
        return TerminalClient(terminal, self._store, TerminalLink(connect), timeout_s=TIMEOUT_S)

    # The day.

    async def play(self, budget: Budget) -> None:
        """Sign on, and pay until the day's payments are used up."""
        await trio.sleep(self._draw.uniform(0.0, 0.3))
        while await self._signed_on() and budget.take():
            await trio.sleep(self._draw.uniform(0.0, self._pause_max_s))
            if self._network.changes_doors():
                await self.close()
            while self._raced:
                await self._powered(self._end_race)
                await trio.sleep(self._draw.uniform(0.0, UNREACHED_PAUSE_S))
            aside, payment = self._pick(self._asides), self._pick(self._payments)
            await self._powered(getattr(self, f"_{aside}"))
            await self._powered(getattr(self, f"_{payment}"))
            for _ in range(UNREACHED_TRIES_MAX):
                if self._reached:
                    break
                await trio.sleep(self._draw.uniform(0.0, UNREACHED_PAUSE_S))
                await self._powered(self._sale)

    async def settle(self) -> None:
        """One round of delivering what is owed."""
        if self._raced:
            await self._end_race()
        else:
            await self._client.settle_debts()

    async def close(self) -> None:
        """Hang up."""
        await self._client.link.close()

    def _pick(self, weights: Mapping[str, int]) -> str:
        return self._draw.choices(tuple(weights), tuple(weights.values()))[0]

    async def _powered(self, act: Callable[[], Awaitable[object]]) -> None:
        """Do something; where the power fails, boot from what was saved."""
        lasts_s = float("inf")
        if self._faults.strikes("power"):
            lasts_s = self._faults.between("power", 0.0, 0.1)
        with trio.move_on_after(lasts_s) as power:
            try:
                await act()
            except LocalRefusal as error:
                self._trace.note(self._me.terminal_id, f"refuses: {error}")
        if power.cancelled_caught:
            self._trace.note(self._me.terminal_id, "loses power")
            self._host.drop()
            await trio.sleep(self._faults.between("power", 0.1, 3.0) if self._faults.rates else 0.1)
            self._client = self._boot(self._store.saved or TerminalState(self._me.terminal_id))

    def _note(self, result: Result) -> Result:
        self._reached = result.outcome != "unsent"
        self._last_code = result.response_code
        self._trace.note(
            self._me.terminal_id,
            f"{result.kind} stan={result.stan} amount={result.amount_minor}"
            f" → {result.outcome} {result.response_code} rrn={result.rrn}"
            f"{' reversed' if result.reversed else ''}",
        )
        return result

    async def _signed_on(self) -> bool:
        for _ in range(SIGN_ON_TRIES_MAX):
            if self.state.wrapped_keys:
                return True
            result = self._note(await self._client.sign_on())
            if not result.approved:
                await trio.sleep(self._draw.uniform(0.1, 1.0))
        return False

    # Payments.

    async def _sale(self) -> Result:
        card = self._draw.choice(self._cards)
        amount_minor = self._draw.randint(1, AMOUNT_MINOR_MAX)
        pin = "0000" if self._draw.random() < 0.02 else None
        if self._draw.random() < 0.04:
            amount_minor = 99_999_999
        result = self._note(await self._client.sale(amount_minor, card, pin=pin))
        self._cards_of[result.rrn] = card
        return result

    async def _void(self) -> None:
        sales = [e for e in self.state.journal if e.kind in kinds.VOIDS and e.state == "approved"]
        if not sales:
            await self._sale()
            return
        self._note(await self._client.void(self._draw.choice(sales[-3:]).rrn))

    async def _refund(self) -> None:
        """Give a card back what it paid, or a part; or what a void may give back too."""
        taken = [
            e for e in self.state.journal if e.kind in kinds.REFUNDABLE and e.state == "approved"
        ]
        sales = [sale for sale in taken if sale.rrn in self._cards_of]
        if not sales:
            await self._sale()
            return
        sale = self._draw.choice(sales[-3:])
        is_whole = self._draw.random() < 0.4
        amount_minor = sale.amount_minor if is_whole else self._draw.randint(1, sale.amount_minor)
        if self._draw.random() < 0.1:
            amount_minor += sale.amount_minor
        card = self._cards_of[sale.rrn]
        self._note(await self._client.refund(amount_minor, card, sale.rrn))

    async def _instalment(self) -> None:
        """A sale that is paid back in parts, now and then by a plan that is none."""
        card, amount_minor = self._draw.choice(self._cards), self._draw.randint(9_000, 60_000)
        periods = self._draw.choice((3, 3, 3, 6))
        terms = InstalmentTerms(periods, "P03A", self._draw.random() < 0.5)
        result = self._note(await self._client.instalment(amount_minor, card, terms))
        self._cards_of[result.rrn] = card
        await self._perhaps_undone(result)

    async def _code_sale(self) -> None:
        """A sale to somebody who shows a code, now and then one that is used up."""
        card = next(one for one in self._cards if not one.status)
        if not self._code or self._draw.random() < 0.9:
            self._code = await self._new_code(card.name)
        amount_minor = self._draw.randint(1, AMOUNT_MINOR_MAX)
        result = self._note(await self._client.qr(amount_minor, self._code))
        self._cards_of[result.rrn] = None
        await self._perhaps_undone(result)

    async def _mail_sale(self) -> None:
        """An order by telephone, now and then with a wrong CVN2."""
        card, amount_minor = self._draw.choice(self._cards), self._draw.randint(1, AMOUNT_MINOR_MAX)
        cvn2 = card.cvn2 if self._draw.random() < 0.9 else "000"
        result = self._note(await self._client.moto(amount_minor, card, cvn2))
        self._cards_of[result.rrn] = card
        await self._perhaps_undone(result)

    async def _perhaps_undone(self, result: Result) -> None:
        if result.approved and self._draw.random() < 0.3:
            self._note(await self._client.reverse())

    async def _offline_sale(self) -> None:
        """A sale that the card's bank has approved by phone."""
        card = self._draw.choice(self._cards)
        amount_minor = self._draw.randint(1, 10_000)
        code = f"T{self._draw.randrange(100_000):05d}"
        result = self._note(await self._client.offline_sale(amount_minor, card, code))
        self._cards_of[result.rrn] = card

    async def _tip(self) -> None:
        """What a guest adds to a sale, now and then too much, or a second time."""
        sale = self._standing(kinds.SALE.name)
        if sale is None:
            await self._sale()
            return
        tip_minor = max(int(sale.amount_minor * self._draw.choice((0.05, 0.1, 0.2, 0.3))), 1)
        self._note(await self._client.tip(tip_minor, sale.rrn))

    async def _preauth(self) -> None:
        """An amount that is held, and now and then let go at once."""
        card = self._draw.choice(self._cards)
        amount_minor = self._draw.randint(1, AMOUNT_MINOR_MAX)
        result = self._note(await self._client.preauth(amount_minor, card))
        self._cards_of[result.rrn] = card
        if result.approved and self._draw.random() < 0.1:
            self._note(await self._client.reverse())

    async def _completion(self) -> None:
        """Asked or told, of a part, of all, of more, of too much; and now and then undone."""
        held = self._standing(kinds.PREAUTH.name)
        if held is None:
            await self._preauth()
            return
        share = self._draw.choice((0.3, 0.98, 1.0, 1.14, 1.16))
        amount_minor = max(int(held.amount_minor * share), 1)
        is_advice = self._draw.random() < 0.3
        result = await self._client.completion(amount_minor, held.rrn, is_advice=is_advice)
        if held.rrn in self._cards_of:
            self._cards_of[result.rrn] = self._cards_of[held.rrn]
        if self._note(result).approved and not is_advice and self._draw.random() < 0.15:
            self._note(await self._client.reverse())

    async def _preauth_void(self) -> None:
        held = self._standing(kinds.PREAUTH.name)
        if held is None:
            await self._preauth()
            return
        result = self._note(await self._client.preauth_void(held.rrn))
        if result.approved and self._draw.random() < 0.3:
            self._note(await self._client.reverse())

    async def _completion_void(self) -> None:
        made = self._standing(*kinds.COMPLETIONS)
        if made is None:
            await self._completion()
            return
        result = self._note(await self._client.completion_void(made.rrn))
        if result.approved and self._draw.random() < 0.3:
            self._note(await self._client.reverse())

    def _standing(self, *names: str) -> JournalEntry | None:
        """One of the last of these that stands; None where there is none."""
        found = [e for e in self.state.journal if e.kind in names and e.state == "approved"]
        return self._draw.choice(found[-3:]) if found else None

    async def _sale_reversed(self) -> None:
        if (await self._sale()).approved:
            self._note(await self._client.reverse())

    async def _void_against_reversal(self) -> None:
        """Two messages about one sale on two connections at once; then learn what is true."""
        sale = await self._sale()
        undo = self.state.last_reversible
        if not sale.approved or undo is None:
            return
        fields = {**undo.fields, 39: "06"}
        keys = self._client.terminal.take_keys()
        frame = assemble(self._me, kinds.REVERSAL, fields, keys).frame
        framed = len(frame).to_bytes(_FRAME_HEADER_BYTES, "big") + frame
        delay_s = self._draw.uniform(0.0, 0.04)
        self._network.agenda.after(delay_s, lambda: self._network.inject(SWITCH, framed))
        self._raced, self._raced_undo = sale.rrn, undo
        self._note(await self._client.void(sale.rrn))
        await self._end_race()

    async def _end_race(self) -> None:
        """Learn what became of a sale that two messages raced for: voided, or else reversed."""
        blocked = await self._client.settle_debts()
        if blocked is not None or self.state.reversal is not None:
            return
        entry = next(e for e in self.state.journal if e.kind == "sale" and e.rrn == self._raced)
        terminal = self._client.terminal
        if entry.state == "approved":
            terminal.state = replace(terminal.state, last_reversible=self._raced_undo)
            self._note(await self._client.reverse())
            return
        self._raced = ""
        # The slip is printed: a void that may have won is not undone any more.
        terminal.state = replace(terminal.state, last_reversible=None)
        await self._store.save(terminal.state)

    # Asides.

    async def _nothing(self) -> None:
        await trio.lowlevel.checkpoint()

    async def _balance(self) -> None:
        self._note(await self._client.balance(self._draw.choice(self._cards)))

    async def _echo(self) -> None:
        self._note(await self._client.echo())

    async def _sign_on(self) -> None:
        code = self._draw.choice(("001", "003", "004"))
        self._note(await self._client.sign_on(code if self._me.scheme == "tmk" else ""))

    async def _reverse(self) -> None:
        self._note(await self._client.reverse())

    async def _repeat(self) -> None:
        """The last request once more, byte for byte, on another connection."""
        last = self._client.last_request
        # A0 leaves no trace at the switch: a copy of what was mangled would be a new request.
        if last is not None and self._last_code != "A0":
            frame = len(last.frame).to_bytes(_FRAME_HEADER_BYTES, "big") + last.frame
            self._network.inject(SWITCH, frame)
        await trio.lowlevel.checkpoint()

    async def _old_key(self) -> None:
        """A sale that nobody has made, under the key of one that is stored: it must not count."""
        card = self._draw.choice(self._cards)
        stan = f"{self._draw.randint(OTHERS_STAN_MIN, STAN_MAX):06d}"
        if not (await self._sale()).approved:
            return
        used = keys_of(self._me.scheme, self._me.initial_key, Ksn.of(self.state.ksn))
        fields = {
            3: kinds.SALE.processing_code,
            4: f"{AMOUNT_MINOR_MAX:012d}",
            11: stan,
            25: kinds.SALE.condition_code,
            60: de60(kinds.SALE, self.state.batch),
            **card_fields(
                present(card, pin=""),
                used,
                amount_minor=AMOUNT_MINOR_MAX,
                stan=stan,
                today=TODAY,
                currency_code=CURRENCY,
                terminal_id=self.state.terminal_id,
            ),
            49: CURRENCY,
        }
        frame = assemble(self._me, kinds.SALE, fields, used).frame
        self._network.inject(SWITCH, len(frame).to_bytes(_FRAME_HEADER_BYTES, "big") + frame)
