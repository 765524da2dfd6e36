"""A state machine over sales in parts, to a code and by telephone, lost messages and crashes.

Hypothesis chooses what a terminal does and when a connection is cut, the switch or the bank's link
dies meanwhile, legal or not: voids of what is voided, refunds of more than is left, codes used
twice. When everything owed is delivered, what stands for the terminal must be what the books and
the bank have, to the cent; at the end the day's own checks hold all against each other.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import trio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from acquirer.codecs.instalments import InstalmentTerms
from acquirer.config.estate import Card
from acquirer.simulation.day import Day
from acquirer.simulation.healing import heal
from acquirer.simulation.players import Player
from acquirer.simulation.process import SWITCH
from acquirer.simulation.run import run_day
from acquirer.simulation.world import World
from acquirer.terminals_sim import kinds
from acquirer.terminals_sim.errors import LocalRefusal
from acquirer.terminals_sim.results import Result

STEP_S = 60.0
LINKS_UP_S = 5.0
BLOWS = ("", "", "", "cut", "kill", "bank")
PAID = (kinds.SALE.name, kinds.INSTALMENT.name, kinds.QR.name, kinds.MOTO.name)

Act = Callable[[World], Awaitable[Any]]
blows = st.tuples(st.sampled_from(BLOWS), st.floats(0.0, 0.05))
# Odd amounts only: of others this bank refuses the void.
amounts = st.integers(5_000, 20_000).map(lambda number: number * 2 + 1)
places = st.integers(0, 3)


class Sales(RuleBasedStateMachine):
    """The machine; ``_do`` runs one step in the day's thread, whose time stands between steps."""

    def __init__(self) -> None:
        super().__init__()
        self.inbox: queue.Queue[Act | None] = queue.Queue()
        self.outbox: queue.Queue[Any] = queue.Queue()
        self.findings: list[str] = ["the day did not end"]
        self.shown = ""
        self.thread: threading.Thread | None = None

    @initialize(seed=st.integers(0, 10_000))
    def open(self, seed: int) -> None:
        """The day begins: the terminal of a merchant who has all rights."""

        def live() -> None:
            try:
                day = Day(seed, terminals=1, faults=frozenset())
                self.findings = run_day(day, play=self._play).findings
            finally:
                self.outbox.put(None)

        self.thread = threading.Thread(target=live)
        self.thread.start()
        self.outbox.get(timeout=STEP_S)

    async def _play(self, world: World) -> None:
        self.player: Player = world.players[0]
        self.card: Card = next(card for card in world.estate.cards if not card.status)
        await _until_up(world)
        assert (await self.player._client.sign_on()).approved
        self.outbox.put(None)
        while (act := self.inbox.get()) is not None:
            try:
                self.outbox.put(await act(world))
            except Exception as error:
                self.outbox.put(error)

    def _do(self, blow: tuple[str, float], act: Callable[[World], Awaitable[Result]]) -> None:
        """One step of the terminal's, with a blow on the way; returns when all is delivered."""

        async def step(world: World) -> None:
            what, delay_s = blow
            if what == "cut":
                world.agenda.after(delay_s, self.player._host.drop)
            elif what == "kill":
                world.agenda.after(delay_s, world.switch.kill)
            elif what == "bank":
                world.agenda.after(delay_s, world.network.routes["bank"].host.drop)
            with suppress(LocalRefusal):
                await act(world)
            await trio.sleep(delay_s)
            assert "" == await heal(world)
            await self.player.close()
            if what in ("kill", "bank"):
                await _until_up(world)

        self._in_the_day(step)

    def _in_the_day(self, act: Act) -> Any:
        self.inbox.put(act)
        found = self.outbox.get(timeout=STEP_S)
        if isinstance(found, Exception):
            raise found
        return found

    def _rrn(self, place: int) -> str:
        """One of the newest payments of the terminal, whatever became of it."""
        found = [entry.rrn for entry in self.player.state.journal if entry.kind in PAID]
        return found[-1 - place % len(found)] if found else ""

    @rule(blow=blows, amount_minor=amounts, periods=st.sampled_from((3, 3, 6)))
    def instalment(self, blow: tuple[str, float], amount_minor: int, periods: int) -> None:
        """In three parts; six are not offered."""
        terms = InstalmentTerms(periods, "P03A", True)
        self._do(blow, lambda _: self.player._client.instalment(amount_minor, self.card, terms))

    @rule(blow=blows, amount_minor=amounts, fresh=st.booleans())
    def code(self, blow: tuple[str, float], amount_minor: int, fresh: bool) -> None:
        """A code, perhaps one that was shown before."""

        async def shown(world: World) -> Result:
            if fresh or not self.shown:
                self.shown = await world.bank.new_code(self.card.name)
            return await self.player._client.qr(amount_minor, self.shown)

        self._do(blow, shown)

    @rule(blow=blows, amount_minor=amounts, right=st.booleans())
    def mail(self, blow: tuple[str, float], amount_minor: int, right: bool) -> None:
        """By telephone, perhaps with a wrong CVN2."""
        cvn2 = self.card.cvn2 if right else f"{(int(self.card.cvn2) + 1) % 1000:03d}"
        self._do(blow, lambda _: self.player._client.moto(amount_minor, self.card, cvn2))

    @rule(blow=blows, place=places)
    def void(self, blow: tuple[str, float], place: int) -> None:
        """Of one of the newest, if it stands."""
        self._do(blow, lambda _: self.player._client.void(self._rrn(place)))

    @rule(blow=blows, place=places, amount_minor=st.integers(1, 30_000), by_card=st.booleans())
    def refund(self, blow: tuple[str, float], place: int, amount_minor: int, by_card: bool) -> None:
        """With the card or without it, of a part, or of more than there is."""
        card = self.card if by_card else None
        rrn = self._rrn(place)
        self._do(blow, lambda _: self.player._client.refund(amount_minor, card, rrn))

    @rule(blow=blows)
    def reverse(self, blow: tuple[str, float]) -> None:
        """The terminal takes its last one back."""
        self._do(blow, lambda _: self.player._client.reverse())

    @invariant()
    def all_agree(self) -> None:
        """What stands for the terminal stands in the books and at the bank."""
        if self.thread is None or not hasattr(self, "player"):
            return

        async def looked(world: World) -> tuple[int, int]:
            ((ours,),) = world.auditor.rows(
                "SELECT coalesce(sum(debits_posted - credits_posted), 0) FROM accounts"
                " WHERE name = 'assets:scheme:demo'"
            )
            (theirs,) = world.bank.db.execute(
                "SELECT coalesce(sum(CASE kind WHEN 'refund' THEN -amount_minor"
                " ELSE amount_minor END), 0) FROM transactions"
                " WHERE kind IN ('sale', 'refund') AND state = 'approved'"
            ).fetchone()
            return int(str(ours)), int(theirs)

        ours, theirs = self._in_the_day(looked)
        stands = sum(
            entry.amount_minor
            for entry in self.player.state.journal
            if entry.kind in PAID and entry.state == "approved"
        )
        assert (stands, stands) == (ours, theirs)

    def teardown(self) -> None:
        """The day ends; its own checks look at everything."""
        if self.thread is not None:
            self.inbox.put(None)
            self.thread.join(STEP_S)
            assert [] == self.findings


async def _until_up(world: World) -> None:
    """Wait until the switch takes terminals, and its links have had time to come up."""
    for _ in range(100):
        await trio.sleep(0.1)
        if SWITCH in world.network.routes:
            break
    await trio.sleep(LINKS_UP_S)


Sales.TestCase.settings = settings(
    max_examples=5,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestSales = Sales.TestCase
