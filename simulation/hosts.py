"""Bank core and order system of a simulated day: the real simulators on simulated streams.

The bank holds each request against the switch's books before it decides: what has not been
stored must not have been sent.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from random import Random

import trio

from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.message import Message
from acquirer.config.estate import Estate
from acquirer.hosts_sim.bank.books import Books
from acquirer.hosts_sim.bank.cards import CardFile
from acquirer.hosts_sim.bank.connection import Core
from acquirer.hosts_sim.bank.entries import Entry, Result, Unit
from acquirer.hosts_sim.bank.host import CardTerms
from acquirer.hosts_sim.bank.plans import plans_of
from acquirer.hosts_sim.bank.rules import NO_RULE, RuleBook, Verdict
from acquirer.hosts_sim.bank.schema import open_for_writing
from acquirer.hosts_sim.bank.server import BankSim
from acquirer.hosts_sim.bank.settings import BankSimSettings
from acquirer.hosts_sim.orders.app import OrderApp, Reply, Request
from acquirer.hosts_sim.orders.server import OrderServer
from acquirer.hosts_sim.orders.store import OrderStore
from acquirer.simulation.day import Faults
from acquirer.simulation.trace import Trace

CONNECTIONS_MAX = 256
IDLE_S = 60.0


class _BankWriter:
    """Commits on this thread; may be busy (96, no money moved).

    Attributes:
        refuses: the response code of an entry that the bank does not even look up, or empty.
    """

    def __init__(
        self, books: Books, faults: Faults, trace: Trace, asked: Callable[[Entry], None]
    ) -> None:
        self.refuses: Callable[[Entry], str] = lambda unit: ""
        self._books = books
        self._faults = faults
        self._trace = trace
        self._asked = asked

    def submit(self, unit: Unit, done: Callable[[Result], None]) -> None:
        """Decide one message."""
        if not isinstance(unit, Entry):
            done(self._books.commit([unit])[0])
            return
        self._asked(unit)
        busy = self._faults.strikes("bank_busy")
        if code := self.refuses(unit):
            result = Result(code)
        elif busy and unit.kind in ("reversal", "refund", "advice"):
            result = Result("96")
        else:
            # A bank remembers what it has declined, for whatever reason.
            asked = replace(unit, forced="96" if busy else _cleared(unit))
            result = self._books.commit([asked])[0]
        self._trace.note(
            "bank",
            f"{unit.mti} {unit.kind} rrn={unit.rrn} amount={unit.amount_minor}"
            f" → {result.response_code}{' (busy)' if busy else ''}",
        )
        done(result)


def _cleared(unit: Entry) -> str:
    """The refusal of every other void, as of what was cleared already: it wants a refund."""
    return "12" if unit.kind == "void" and unit.amount_minor % 2 == 0 else unit.forced


class _Rules(RuleBook):
    """What becomes of each reply.

    Attributes:
        verdict: decides it.
        silent_until: no answer leaves before then.
    """

    def __init__(self, draw: Random) -> None:
        super().__init__([], draw)
        self.verdict: Callable[[Message], Verdict] = lambda message: NO_RULE
        self.silent_until = 0.0

    def decide(self, message: Message) -> Verdict:
        """The verdict on a request."""
        is_silent = trio.current_time() < self.silent_until
        return Verdict(fault="drop") if is_silent else self.verdict(message)


class SimBank:
    """The bank core.

    Attributes:
        db: its books, for reading.
        writer: decides each message.
        rules: decide about the replies.
    """

    def __init__(
        self,
        folder: Path,
        estate: Estate,
        draw: Random,
        faults: Faults,
        trace: Trace,
        wall: Callable[[], datetime],
        asked: Callable[[Entry], None],
    ) -> None:
        settings = BankSimSettings(security="zone", data=str(folder))
        bank = estate.banks[0]
        cards = CardFile(bank, estate.cards)
        self.db: sqlite3.Connection = open_for_writing(folder)
        self.db.execute("PRAGMA synchronous = OFF")
        dialect = load_dialect(settings.dialect)
        books = Books(self.db, cards, settings.limits)
        self.writer = _BankWriter(books, faults, trace, asked)
        self.rules = _Rules(draw)
        core = Core(
            settings=settings,
            dialect=dialect,
            header=dialect.length_header,
            cards=cards,
            rules=self.rules,
            random=draw,
            writer=self.writer,
            zmk=bytes.fromhex(bank.zmk),
            zpk=bytes.fromhex(bank.zpk),
            plans=plans_of(bank.name, estate.instalment_plans),
            terms=CardTerms.of(estate),
            wall=wall,
            random_bytes=draw.randbytes,
        )
        self._bank = BankSim(core)

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one link."""
        await self._bank.serve_stream(stream)

    async def new_code(self, name: str) -> str:
        """A code for the holder of a card to show.

        Raises:
            ControlError: no such card, or one that may not be used.
        """
        return await self._bank.new_code(name)


class SimOrders:
    """The merchants' order system.

    Attributes:
        store: its books.
    """

    def __init__(
        self,
        folder: Path,
        estate: Estate,
        faults: Faults,
        trace: Trace,
        now_s: Callable[[], float],
    ) -> None:
        self.store = OrderStore(folder)
        currencies = {m.merchant_id: m.currency_code for m in estate.merchants}
        self.store.seed(estate.orders, currencies)
        secrets = {m.merchant_id: [m.event_secret] for m in estate.merchants}
        # All of them, so that couriers who go for one order also go for parts of it.
        self._app = _FaultyApp(self.store, secrets, part_payment=secrets, now_s=now_s)
        self._app.faults, self._app.trace = faults, trace
        self._server = OrderServer(self._app, IDLE_S, CONNECTIONS_MAX)

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one connection."""
        await self._server.serve_stream(stream)


class _FaultyApp(OrderApp):
    """Answers 503, nothing, or too late; what is asked may have been done all the same."""

    faults: Faults
    trace: Trace

    async def handle(self, request: Request) -> Reply:
        """Answer one request."""
        fault = ""
        if self.faults.strikes("orders_down"):
            fault = self.faults.choice("orders_down", ("down", "silence", "lost_answer", "slow"))
        if fault == "down":
            reply = Reply(503, b"{}")
        elif fault == "silence":
            reply = Reply(-1)
        else:
            if fault == "slow":
                await trio.sleep(self.faults.between("orders_down", 0.1, 8.0))
            reply = await super().handle(request)
            if fault == "lost_answer":
                reply = Reply(0)
        what = request.path if request.method == "GET" else request.body[:40].decode()
        self.trace.note("orders", f"{request.method} {what} → {reply.status} {fault}".rstrip())
        return reply
