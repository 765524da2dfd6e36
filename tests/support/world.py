"""The whole estate in one nursery: security module, bank core, order system, switch; real sockets.

:func:`opened_world` starts one. A :class:`World` stops and restarts its parts, reads everybody's
books, and at its end holds them against each other.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from inspect import isawaitable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import trio
from limits import HANG_S
from pos_terminal import Line, PosTerminal, Reply

from acquirer.config.estate import Card, load_estate
from acquirer.hosts_sim.bank import report
from acquirer.hosts_sim.bank.control import ask_code
from acquirer.hosts_sim.bank.server import serve as serve_bank
from acquirer.hosts_sim.bank.settings import BankSimSettings, Match, Rule
from acquirer.hosts_sim.orders.iso_link import serve_iso
from acquirer.hosts_sim.orders.server import opened_app, serve_http
from acquirer.hosts_sim.orders.settings import IsoSettings, OrderSimSettings
from acquirer.hosts_sim.orders.settings import Rule as OrderRule
from acquirer.hosts_sim.orders.store import EventRow, OrderRow, read_events, read_orders
from acquirer.hsm_sim.configuration import HsmTable
from acquirer.hsm_sim.server import HsmServer
from acquirer.ledger.accounts.verify import verify
from acquirer.ledger.journal.kinds import PAYMENTS
from acquirer.ledger.reports.books import trial_balance
from acquirer.ledger.reports.journal import JournalLine, journal_lines
from acquirer.ledger.store.database import Database
from acquirer.payments.kernel.vault import data_key_with_check
from acquirer.simulation.provision import BankChoice, switch_config
from acquirer.switch.app import Running, run_switch
from acquirer.switch.hsm.client import DEK, Hsm
from acquirer.switch.hsm.transport import InProcessTransport
from acquirer.switch.settings import SwitchSettings
from acquirer.switch.surroundings import REAL_WORLD, Surroundings

LOOPBACK = "127.0.0.1:0"
HEADER = 8
BANK_TIMEOUT_S = 0.4
ORDERS_TIMEOUT_S = 1.0

# Amounts on which the bank misbehaves. "drop" and the like keep the money: the reply is lost.
DROP, LATE, REFUSED, SLOW, GARBAGE = 6601, 6602, 6603, 6604, 6605
PART, PART_MINOR = 6611, 5_000
CLOSE, WRONG_STAN, TWICE, STUBBORN, VOID_DROP = 6606, 6607, 6608, 6609, 6610
# An issuer's command for a chip.
SCRIPT = "720F9F1804000000018606842400000812"
SCRIPTED = 4_321
BANK_RULES = [
    Rule(Match(amount_minor=DROP, processing_code="00"), fault="drop"),
    Rule(Match(amount_minor=LATE), fault="late_reply", delay_s=BANK_TIMEOUT_S + 0.2),
    Rule(Match(amount_minor=REFUSED), response_code="05"),
    Rule(Match(amount_minor=SLOW), fault="delay", delay_s=0.25),
    Rule(Match(amount_minor=GARBAGE), fault="garbage"),
    Rule(Match(amount_minor=CLOSE), fault="close"),
    Rule(Match(amount_minor=WRONG_STAN), fault="wrong_stan"),
    Rule(Match(amount_minor=TWICE), fault="duplicate_reply"),
    Rule(Match(amount_minor=PART), approved_minor=PART_MINOR),
    Rule(Match(amount_minor=STUBBORN), fault="drop"),
    Rule(Match(amount_minor=STUBBORN, mti="0400"), fault="drop", times=1),
    Rule(Match(amount_minor=VOID_DROP, processing_code="20"), fault="drop", times=1),
    Rule(Match(amount_minor=SCRIPTED), script=SCRIPT),
    # The orders SP20261121007 and SP20261121008.
    Rule(Match(amount_minor=29_016), fault="drop", times=1),
    Rule(Match(amount_minor=34_071), fault="delay", delay_s=0.25, times=1),
]
ORDER_RULES = [
    OrderRule("down", on="query", order_no_pattern="SP20261121009"),
    OrderRule("silence", on="query", order_no_pattern="SP20261121010"),
]


def card(name: str) -> Card:
    """A card of the demo estate."""
    return next(card for card in load_estate().cards if card.name == name)


@dataclass
class World:
    """A running estate.

    Attributes:
        changes: keys to change in tables of the switch's configuration, at its next start.
        hosted: merchants whose orders are asked for over ISO 8583.
        max_age_s: for how long the order system lets its answers be used again.
        bank_timeout_s: for how long the switch waits for the bank.
        bank_calls: where the bank connects to, of its own.
        bank_ahead_s: by how much the bank's clock is ahead.
        estate_file: of the estate; empty for the demo estate.
        around: what the switch has instead of the real clock, sockets or database.
        read: reads the switch's file again.
        kept: sockets on the ports of parts that were stopped.
        running: the switch's addresses and its drain.
    """

    folder: Path
    url: str
    nursery: trio.Nursery
    changes: dict[str, Any] = field(default_factory=dict)
    bank_rules: list[Rule] = field(default_factory=lambda: list(BANK_RULES))
    order_rules: list[OrderRule] = field(default_factory=lambda: list(ORDER_RULES))
    addresses: dict[str, str] = field(default_factory=dict)
    terminals: dict[str, PosTerminal] = field(default_factory=dict)
    running: Running | None = None
    hosted: list[str] = field(default_factory=list)
    max_age_s: int = 0
    bank_timeout_s: float = BANK_TIMEOUT_S
    bank_ahead_s: float = 0.0
    bank_connections_max: int = 64
    bank_calls: list[str] = field(default_factory=list)
    estate_file: str = ""
    around: Surroundings = REAL_WORLD
    read: Callable[[], SwitchSettings] | None = None
    kept: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.estate = load_estate(self.estate_file)
        self.module = HsmTable(
            header_length=HEADER, test_lmk=True, pin_format_downgrade=True
        ).module()
        self._parts: dict[str, tuple[trio.CancelScope, trio.Event]] = {}
        self._data_key: dict[str, str] = {}

    # --- parts --------------------------------------------------------------------------------

    async def start(self, name: str) -> Any:
        """Start a part: hsm, bank, orders or switch; again on the same address."""
        run: dict[str, Callable[..., Awaitable[None]]] = {
            "hsm": self._hsm,
            "bank": self._bank,
            "orders": self._orders,
            "switch": self._switch,
        }
        scope, ended = trio.CancelScope(), trio.Event()

        async def keep(task_status: trio.TaskStatus[Any]) -> None:
            try:
                with scope:
                    await run[name](task_status=task_status)
            finally:
                ended.set()

        found = await self.nursery.start(keep)
        self._parts[name] = (scope, ended)
        if isinstance(found, str):
            self.addresses[name] = found
        return found

    async def stop(self, name: str) -> None:
        """Cancel a part, whatever it is doing, and wait until it is gone."""
        scope, ended = self._parts.pop(name)
        scope.cancel()
        await ended.wait()
        for kept in (name, "order_host") if name == "orders" else (name,):
            if kept in self.addresses:
                self._keep(self.addresses[kept])

    def _keep(self, address: str) -> None:
        """Keep a stopped part's port from everybody else: bound, so that it is refused."""
        host, _, port = address.partition(":")
        bound = self.kept.enter_context(socket.socket())
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, int(port)))

    async def drain(self) -> None:
        """Stop the switch in order."""
        self.parts.drain()
        if "switch" in self._parts:
            with trio.fail_after(HANG_S):
                await self._parts.pop("switch")[1].wait()

    async def _hsm(self, task_status: trio.TaskStatus[str]) -> None:
        host, _, port = self.addresses.get("hsm", LOOPBACK).partition(":")
        listeners = await trio.open_tcp_listeners(int(port), host=host)
        address = f"{host}:{listeners[0].socket.getsockname()[1]}"
        async with trio.open_nursery() as nursery:
            await nursery.start(HsmServer(self.module).serve_listeners, listeners)
            task_status.started(address)

    async def _bank(self, task_status: trio.TaskStatus[str]) -> None:
        settings = BankSimSettings(
            listen=self.addresses.get("bank", LOOPBACK),
            data=str(self.folder),
            estate=self.estate_file,
            security="zone",
            rules=self.bank_rules,
            connections_max=self.bank_connections_max,
            connect=self.bank_calls,
        )

        def wall() -> datetime:
            return datetime.now() + timedelta(seconds=self.bank_ahead_s)

        await serve_bank(settings, wall=wall, control=True, task_status=task_status)

    async def _orders(self, task_status: trio.TaskStatus[str]) -> None:
        settings = OrderSimSettings(
            listen=self.addresses.get("orders", LOOPBACK),
            data=str(self.folder),
            estate=self.estate_file,
            rules=self.order_rules,
            max_age_s=self.max_age_s,
        )
        host = IsoSettings(
            listen=self.addresses.get("order_host", LOOPBACK),
            security="zone",
        )
        zmk = bytes.fromhex(self.estate.banks[0].zmk)
        with opened_app(settings) as app:
            async with trio.open_nursery() as nursery:
                serve = partial(serve_iso, app, host, zmk, time.time)
                self.addresses["order_host"] = await nursery.start(serve)
                await serve_http(app, settings, task_status=task_status)

    async def _switch(self, task_status: trio.TaskStatus[Running]) -> None:
        await run_switch(
            await self.settings(),
            execute=self.module.execute,
            read=self.read,
            around=self.around,
            task_status=task_status,
        )

    async def settings(self) -> SwitchSettings:
        """The switch's configuration, as ``acquirer up`` makes it, with the changes."""
        if not self._data_key:
            hsm = Hsm(InProcessTransport(self.module.execute, HEADER))
            dek = await hsm.generate_key(DEK)
            sealed = await hsm.encipher(dek, data_key_with_check(os.urandom(32)))
            self._data_key = {"data_key": sealed.hex().upper(), "data_key_dek": dek}
        document = switch_config(
            self.estate,
            pos=LOOPBACK,
            http=LOOPBACK,
            hsm=self.addresses.get("hsm", LOOPBACK),
            bank=self.addresses["bank"],
            orders=f"http://{self.addresses['orders']}",
            choice=BankChoice(timeout_s=self.bank_timeout_s),
            database_url=self.url,
            data_key=self._data_key,
        )
        in_process = {"transport": "in_process", "header_length": HEADER, "test_lmk": True}
        if "hsm" not in self.changes:
            document["hsm"] = in_process
        document["order_systems"][0]["timeout_s"] = ORDERS_TIMEOUT_S
        document["banks"][0] |= {"reconnect_first_s": 0.05, "reconnect_cap_s": 0.1}
        if self.hosted:
            host = {"name": "order-host", "address": self.addresses["order_host"]}
            document["order_hosts"] = [
                document["banks"][0] | host | {"dialect": "order_host", "timeout_s": 1.0}
            ]
            system = {"name": "hosted", "host": "order-host", "merchants": self.hosted}
            document["order_systems"].insert(0, system | {"timeout_s": ORDERS_TIMEOUT_S})
        for table, changed in self.changes.items():
            is_table = isinstance(changed, dict)
            document[table] = document.get(table, {}) | changed if is_table else changed
        return msgspec.convert(document, SwitchSettings)

    async def take_over(self) -> None:
        """Have the running switch take over the business configuration that was changed here."""
        document = msgspec.to_builtins(await self.settings())
        body = {"document": document, "reason": "the test's"}
        headers = {"authorization": "Bearer demo-admin-token", "acquirer-by": "demo-admin"}
        async with httpx.AsyncClient(trust_env=False) as client:
            url = f"http://{self.http}/operator/config/import"
            reply = await client.post(url, headers=headers, json=body)
        assert 200 == reply.status_code, reply.text

    async def start_switch(self) -> None:
        """Start the switch and take its addresses."""
        self.running = await self.start("switch")

    # --- terminals ----------------------------------------------------------------------------

    @property
    def pos(self) -> str:
        """Where terminals connect."""
        return self.parts.pos

    @property
    def http(self) -> str:
        """Where operators and monitoring ask."""
        return self.parts.http

    @property
    def parts(self) -> Running:
        """What the running switch lets others use."""
        assert self.running is not None
        return self.running

    def line(self) -> AbstractAsyncContextManager[Line]:
        """A new connection."""
        return _Opening(self.pos)

    def terminal(self, terminal_id: str) -> PosTerminal:
        """A terminal of the estate, the same one each time; not signed on at first."""
        if terminal_id not in self.terminals:
            one = next(t for t in self.estate.terminals if t.terminal_id == terminal_id)
            profile = next(p for p in self.estate.profiles if p.name == one.profile)
            self.terminals[terminal_id] = PosTerminal(
                one.terminal_id, one.merchant_id, bytes.fromhex(one.tmk), profile.mac
            )
        return self.terminals[terminal_id]

    async def signed_on(self, terminal_id: str = "10000001", code: str = "003") -> PosTerminal:
        """A terminal with working keys, signed on if it is not."""
        terminal = self.terminal(terminal_id)
        if not terminal.keys.mac:
            terminal.take_keys(await self.ask(terminal.sign_on(code)), code)
        return terminal

    async def with_courier(
        self, terminal_id: str = "10000001", courier_id: str = "C1001"
    ) -> PosTerminal:
        """A signed-on terminal at which a courier is signed on."""
        terminal = await self.signed_on(terminal_id)
        courier = next(c for c in self.estate.couriers if c.courier_id == courier_id)
        reply = await self.ask(terminal.courier(courier_id, courier.password))
        assert reply.code == "00"
        return terminal

    async def ask(self, frame: bytes) -> Reply:
        """One request on a connection of its own."""
        async with self.line() as line:
            return await line.ask(frame)

    async def new_code(self, name: str) -> str:
        """A code of the bank's for the holder of a card to show."""
        return await trio.to_thread.run_sync(ask_code, self.folder, name)

    async def is_silent(self, frame: bytes) -> bool:
        """Whether a request is left without an answer: the switch closes once it is done."""
        async with self.line() as line:
            await line.send(frame)
            await line.finish()
            return await line.is_closed()

    @asynccontextmanager
    async def sibling(self) -> AsyncIterator[World]:
        """A second switch over the same books, with everybody else shared."""
        other = replace(self, changes=self.changes | {"instance": "switch-2"})
        other._data_key = self._data_key
        await other.start_switch()
        yield other
        await other.drain()

    async def ask_all(self, *frames: bytes) -> list[Reply]:
        """Requests at the same time, each on a connection of its own; replies in their order."""
        replies: dict[int, Reply] = {}

        async def one(index: int, frame: bytes) -> None:
            replies[index] = await self.ask(frame)

        async with trio.open_nursery() as nursery:
            for index, frame in enumerate(frames):
                nursery.start_soon(one, index, frame)
        return [replies[index] for index in range(len(frames))]

    # --- books --------------------------------------------------------------------------------

    def journal(self) -> list[JournalLine]:
        """The switch's journal, oldest first."""
        with Database(self.url).read_only_engine().connect() as connection:
            return sorted(journal_lines(connection), key=lambda line: line.id)

    def entry(self, rrn: str) -> JournalLine:
        """The journal line with this RRN."""
        return next(line for line in self.journal() if line.rrn == rrn)

    def state(self, reply: Reply) -> str:
        """The state of the entry that a reply answers."""
        return self.entry(reply[37]).state

    def balances(self) -> dict[str, int]:
        """Account → debits less credits, of all postings."""
        with Database(self.url).read_only_engine().connect() as connection:
            lines = trial_balance(connection).lines
        return {line.account: line.debit_minor - line.credit_minor for line in lines}

    def receivable(self) -> int:
        """What the bank owes us."""
        return self.balances().get("assets:scheme:demo", 0)

    def bank_rows(self, rrn: str = "") -> list[dict[str, Any]]:
        """The bank's transactions, all or those with an RRN."""
        with report.transactions(self.folder) as found:
            return [row for row in found["transactions"] if rrn in ("", row["rrn"])]

    def bank_reversals(self, rrn: str) -> list[dict[str, Any]]:
        """The reversals that the bank got for a transaction of this RRN."""
        with report.transactions(self.folder) as found:
            return [row for row in found["reversals"] if row["rrn"] == rrn]

    def order(self, order_no: str) -> OrderRow:
        """An order as the merchant's system has it."""
        return next(row for row in read_orders(self.folder) if row.order_no == order_no)

    def events(self, order_no: str) -> list[EventRow]:
        """The events that the merchant's system got for an order."""
        return [row for row in read_events(self.folder) if row.order_no == order_no]

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until something holds that another task or process brings about.

        Args:
            condition: may be a coroutine function.
        """
        with trio.fail_after(HANG_S):
            while True:
                found = condition()
                if await found if isawaitable(found) else found:
                    return
                await trio.sleep(0.02)

    async def agree(self) -> None:
        """Wait until nothing is being undone, then hold switch, bank and ledger against another."""
        await self.until(
            lambda: (
                not {"sent", "reversing", "timed_out"}
                & {line.state for line in self.journal() if line.kind != "balance"}
            )
        )
        with Database(self.url).read_only_engine().connect() as connection:
            verify(connection)
        ours = {
            line.rrn: line.amount_minor
            for line in self.journal()
            if line.state in ("approved", "refunded") and line.bank and line.kind in PAYMENTS
        }
        theirs = {
            row["rrn"]: row["amount_minor"]
            for row in self.bank_rows()
            if row["state"] == "approved" and row["kind"] in ("sale", "advice", "completion", "tip")
        }
        assert theirs == ours
        held = {
            line.rrn: line.amount_minor
            for line in self.journal()
            if (line.kind, line.state) == ("preauth", "approved")
        }
        assert held == {
            row["rrn"]: row["amount_minor"] for row in self.bank_rows() if row["state"] == "held"
        }
        refunds = [
            line for line in self.journal() if (line.kind, line.state) == ("refund", "approved")
        ]
        await self.until(
            lambda: (
                {line.rrn: line.amount_minor for line in refunds}
                == {
                    row["rrn"]: row["amount_minor"]
                    for row in self.bank_rows()
                    if (row["kind"], row["state"]) == ("refund", "approved")
                }
            )
        )
        assert sum(ours.values()) - sum(line.amount_minor for line in refunds) == self.receivable()


@dataclass
class _Opening:
    address: str

    async def __aenter__(self) -> Line:
        self._line = await Line.open(self.address)
        return self._line

    async def __aexit__(self, *_: object) -> None:
        await trio.aclose_forcefully(self._line.stream)


@asynccontextmanager
async def opened_world(
    folder: Path, url: str = "", made: type[World] | None = None, **attributes: Any
) -> AsyncIterator[World]:
    """Start an estate.

    Args:
        made: the kind of world; None for the plain one.
    """
    async with trio.open_nursery() as nursery:
        world = (made or World)(
            folder, url or f"sqlite:///{folder / 'switch.sqlite3'}", nursery, **attributes
        )
        with world.kept:
            for part in ("hsm", "bank", "orders"):
                await world.start(part)
            await world.start_switch()
            yield world
            await world.drain()
        nursery.cancel_scope.cancel()


OpenWorld = Callable[..., AbstractAsyncContextManager[World]]
"""Makes an estate of a test's own; ``url``, ``changes``, … as :class:`World` has them."""
