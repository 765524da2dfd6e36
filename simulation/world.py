"""All parts of a simulated day, put together: who there is, and what connects them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import trio

from acquirer.simulation.checks.auditor import Auditor
from acquirer.simulation.clock import DayClock
from acquirer.simulation.courier_players import CourierPlayer
from acquirer.simulation.day import Day, Faults
from acquirer.simulation.habits import day_ms_of, payments_of
from acquirer.simulation.hosts import SimBank, SimOrders
from acquirer.simulation.module import SimHsm, new_module
from acquirer.simulation.network import Network, SimStream
from acquirer.simulation.parties import couriers, estate_of, settings_of, terminals_of
from acquirer.simulation.process import Parts, SwitchProcess
from acquirer.simulation.report import Report
from acquirer.simulation.trace import Trace
from acquirer.simulation.troubles import TROUBLES, Trouble
from acquirer.terminals_sim.identity import identity

MORNING = datetime(2026, 11, 21, 1, 0, tzinfo=UTC)


class World:
    """All parts of a day.

    Attributes:
        settings: the switch's configuration, for its next start.
        morning: the true time when the day begins.
        offset_ms: how far the switch's wall clock is ahead of the true time.
        far_ms: that is added to it, while the clock is out of all bounds.
        serve_orders: serves one connection to the order system.
        switch: the one that there is on every day.
        switches: all on the same books.
        troubles: those that the day has drawn.
    """

    def __init__(self, report: Report, trace: Trace, folder: Path, agenda: DayClock) -> None:
        day = report.day
        self.report = report
        self.trace = trace
        self.file = folder / "switch.sqlite3"
        self.faults = Faults(day)
        self.agenda = agenda
        self.network = Network(self.agenda, self.faults, trace, day.draw("network"))
        self.auditor = Auditor(self.file)
        self.estate = estate_of(day)
        self.morning = MORNING
        self.offset_ms = self.far_ms = 0
        self.module = new_module(day.draw("module"))
        self.bank = SimBank(
            folder,
            self.estate,
            day.draw("bank"),
            self.faults,
            trace,
            lambda: self.true_time().replace(tzinfo=None),
            self.auditor.asked,
        )
        self.bank.db.execute(
            "CREATE TABLE openings AS SELECT token, balance_minor opening_minor FROM accounts"
        )
        self.orders = SimOrders(
            folder, self.estate, self.faults, trace, lambda: self.true_ms() / 1000
        )
        self.settings = settings_of(day, self.faults.drawn)
        self.serve_orders: Callable[[SimStream], Awaitable[None]] = self.orders.serve
        self.parts = Parts(
            settings=lambda: self.settings,
            file=self.file,
            network=self.network,
            faults=self.faults,
            trace=trace,
            draw=day.draw("switch"),
            hsm=lambda: SimHsm(self.module.execute, self.faults, trace),
            wall_ms=lambda: self.true_ms() + self.offset_ms + self.far_ms,
            said=self.auditor.said,
            day_ms=day_ms_of(day.seed),
        )
        self.switch = SwitchProcess(self.parts)
        self.switches = [self.switch]
        self.players = _players(self, day)
        self.troubles: list[Trouble] = [
            make(self) for kind, make in TROUBLES.items() if kind in self.faults.drawn
        ]

    def any_switch(self) -> SwitchProcess:
        """One of the switches."""
        if len(self.switches) == 1:
            return self.switch
        at = self.faults.between("sibling", 0, len(self.switches))
        return self.switches[int(at)]

    def true_time(self) -> datetime:
        """The true time in UTC."""
        return datetime.fromtimestamp(self.true_ms() / 1000, UTC)

    def true_ms(self) -> int:
        """The true time, milliseconds since 1970 UTC."""
        return int(self.morning.timestamp()) * 1000 + int(trio.current_time() * 1000)

    def close(self) -> None:
        """Close the parties' books."""
        self.auditor.close()
        self.bank.db.close()
        self.orders.store.close()


def _players(world: World, day: Day) -> list[CourierPlayer]:
    estate = world.estate
    cards = [card for card in estate.cards if not card.status]
    cards += [card for card in estate.cards if card.status][:1]
    orders = {
        merchant.merchant_id: [o for o in estate.orders if o.merchant_id == merchant.merchant_id]
        for merchant in estate.merchants
    }
    by_terminal = {one.courier_id[1:]: one for one in couriers()}
    payments = payments_of(day.draw("habits"), day.seed)
    return [
        CourierPlayer(
            identity(estate, terminal.terminal_id),
            by_terminal[terminal.terminal_id],
            cards,
            orders[terminal.merchant_id],
            world.network,
            world.faults,
            world.trace,
            day.draw(terminal.terminal_id),
            payments,
            world.bank.new_code,
        )
        for terminal in terminals_of(day)
    ]
