"""One simulated day from morning to the last check: composition, the day, healing, verdict.

The switch is the real one (``switch.app.run_switch``) with simulated surroundings; bank, order
system, security module and terminals are the product's own simulators. Everything runs in one
trio loop on a mock clock, whose choices the seed makes too.
"""

from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import structlog
import trio

from acquirer.simulation.checks import Auditor, final
from acquirer.simulation.clock import DayClock
from acquirer.simulation.day import Day, Faults
from acquirer.simulation.disk import new_database
from acquirer.simulation.habits import Budget
from acquirer.simulation.hosts import SimBank, SimOrders
from acquirer.simulation.module import new_module
from acquirer.simulation.network import Host, Network, Route, serving
from acquirer.simulation.parties import couriers, estate_of, settings_of
from acquirer.simulation.players import Player
from acquirer.simulation.process import Parts, SwitchProcess
from acquirer.simulation.trace import Trace
from acquirer.simulation.watchdog import Watchdog
from acquirer.terminals_sim.identity import identity

MORNING = datetime(2026, 11, 21, 1, 0, tzinfo=UTC)
MORNING_MS = int(MORNING.timestamp() * 1000)
DAY_MAX_S = 4_000.0
HEALING_MAX_S = 900.0
CLOCK_JUMP_MAX_MS = 120_000
CLOCK_LOOK_S = 1.0
_LAZY_S = 3.0


@dataclass(slots=True)
class Report:
    """What came of a day.

    Attributes:
        findings: what did not hold; empty for a clean day.
        digest: hash of everything that happened.
        payments: that were started.
        lives: how often the switch was started.
        struck: faults by kind.
        cpu_s: processor time.
        lines: the readable trace, where it was asked for.
    """

    day: Day
    findings: list[str] = field(default_factory=list)
    digest: str = ""
    payments: int = 0
    lives: int = 0
    struck: dict[str, int] = field(default_factory=dict)
    cpu_s: float = 0.0
    virtual_s: float = 0.0
    lines: list[str] = field(default_factory=list)


def run_day(
    day: Day,
    *,
    keep_trace: bool = False,
    play: Callable[[World], Awaitable[None]] | None = None,
) -> Report:
    """Live through a day.

    Args:
        day: what the seed and its options make it.
        keep_trace: fill ``Report.lines``.
        play: what happens before everything heals; :func:`play_all` where it is not told.
    """
    started_at = time.process_time()
    report = Report(day)
    trace = Trace(keep=keep_trace)
    scheduler: Any = importlib.import_module("trio._core._run")
    before = structlog.get_config()
    is_deterministic = scheduler._ALLOW_DETERMINISTIC_SCHEDULING
    folder = Path(tempfile.mkdtemp(prefix="day-", dir=_memory_folder()))
    try:
        structlog.configure(
            processors=[partial(_to_trace, trace, report)],
            wrapper_class=structlog.make_filtering_bound_logger(30),
            cache_logger_on_first_use=False,
        )
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True
        scheduler._r.seed(day.seed)
        clock = DayClock()
        dog = Watchdog(clock)
        world = partial(World, report, trace, folder, clock)
        trio.run(_day, world, folder, dog, play or play_all, clock=clock, instruments=[dog])
        report.virtual_s = clock.current_time()
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = is_deterministic
        structlog.configure(**before)
        shutil.rmtree(folder, ignore_errors=True)
    report.digest = trace.digest
    report.lines = trace.lines
    report.cpu_s = time.process_time() - started_at
    return report


def _to_trace(trace: Trace, report: Report, _logger: object, method: str, event: Any) -> Any:
    """Log events become lines; an exception that nobody expected is a finding."""
    words = " ".join(f"{key}={value}" for key, value in event.items() if key != "event")
    if event.get("exc_info"):
        kind, error, trail = sys.exc_info()
        last = traceback.extract_tb(trail)[-1:] if trail else []
        where = "".join(f" in {frame.name} ({frame.filename}:{frame.lineno})" for frame in last)
        words = f"{kind.__name__ if kind else ''}: {error}{where}"
        report.findings.append(f"exception: {event.get('event')}: {words}")
    trace.note("log", f"{event.get('event')} {words}")
    raise structlog.DropEvent


@lru_cache(maxsize=1)
def _memory_folder() -> Path:
    """A folder for all days of this process, in memory where the system has such a place."""
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() else None
    folder = tempfile.TemporaryDirectory(prefix="acquirer-sim-", dir=parent)
    _memory_folders.append(folder)
    return Path(folder.name)


_memory_folders: list[tempfile.TemporaryDirectory[str]] = []


# --- the world --------------------------------------------------------------------------------


class World:
    """All parts of a day, put together."""

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
        self.offset_ms = 0
        module = new_module(day.draw("module"))
        self.bank = SimBank(
            folder,
            self.estate,
            day.draw("bank"),
            self.faults,
            trace,
            lambda: datetime.fromtimestamp(self._true_ms() / 1000, UTC).replace(tzinfo=None),
            self.auditor.asked,
        )
        self.bank.db.execute(
            "CREATE TABLE openings AS SELECT token, balance_minor opening_minor FROM accounts"
        )
        self.orders = SimOrders(
            folder, self.estate, self.faults, trace, lambda: self._true_ms() / 1000
        )
        self.switch = SwitchProcess(
            Parts(
                settings=settings_of(day),
                file=self.file,
                network=self.network,
                faults=self.faults,
                trace=trace,
                draw=day.draw("switch"),
                execute=module.execute,
                wall_ms=lambda: self._true_ms() + self.offset_ms,
                said=self.auditor.said,
            )
        )
        self.players = _players(self, day)

    def _true_ms(self) -> int:
        return MORNING_MS + int(trio.current_time() * 1000)

    def close(self) -> None:
        """Close the parties' books."""
        self.auditor.close()
        self.bank.db.close()
        self.orders.store.close()


async def _day(
    make_world: Callable[[], World],
    folder: Path,
    dog: Watchdog,
    play: Callable[[World], Awaitable[None]],
) -> None:
    await new_database(folder.parent, folder / "switch.sqlite3")
    world = make_world()
    report = world.report
    try:
        with dog.scope, trio.move_on_after(DAY_MAX_S) as whole:
            async with trio.open_nursery() as nursery:
                for name, serve in (("bank", world.bank.serve), ("orders", world.orders.serve)):
                    world.network.routes[name] = Route(
                        Host(name), serving(nursery, serve), is_framed=name == "bank"
                    )
                nursery.start_soon(world.switch.run)
                await _live_through(world, play)
                nursery.cancel_scope.cancel()
        if whole.cancelled_caught:
            report.findings.append("time: the day did not end")
        if dog.scope.cancelled_caught:
            busy = sorted(dog.busy.items(), key=lambda item: -item[1])[:3]
            names = ", ".join(name for name, _ in busy)
            report.findings.append(f"time: it stands still while {names} run")
    finally:
        report.lives = world.switch.lives
        report.struck = world.faults.struck
        world.close()


async def play_all(world: World) -> None:
    """Every terminal pays, until the day's payments are used up."""
    budget = Budget(world.report.day.payments)
    async with trio.open_nursery() as playing:
        for player in world.players:
            playing.start_soon(player.play, budget)
    world.report.payments = world.report.day.payments


async def _live_through(world: World, play: Callable[[World], Awaitable[None]]) -> None:
    report = world.report
    async with trio.open_nursery() as trouble:
        trouble.start_soon(_troubles, world)
        await play(world)
        trouble.cancel_scope.cancel()
    world.trace.note("day", "heals")
    world.faults.heal()
    world.network.heal()
    world.offset_ms = 0
    debts = await heal(world)
    for player in world.players:
        await player.close()
    if not await world.switch.stop():
        report.findings.append("tasks: the switch did not stop within its time")
    if debts:
        report.findings.append(f"healing: there is still {debts}")
    report.findings += world.switch.failures
    report.findings += world.auditor.findings
    report.findings += final(
        world.auditor,
        world.file,
        world.bank.db,
        world.orders.store.connection,
        [player.state for player in world.players],
    )
    report.findings += _left_behind(world)


def _left_behind(world: World) -> list[str]:
    """Connections that a stopped switch left open."""
    return [
        f"tasks: connection {name} is still open"
        for host in world.switch.hosts
        for name in sorted(stream.name for stream in host.streams.values())
    ]


async def _troubles(world: World) -> None:
    """Faults that belong to no message: the process's own, and the clock's."""
    faults = world.faults
    while True:
        await trio.sleep(CLOCK_LOOK_S)
        if faults.strikes("clock"):
            world.offset_ms = int(faults.between("clock", -CLOCK_JUMP_MAX_MS, CLOCK_JUMP_MAX_MS))
            world.trace.note("clock", f"jumps to {world.offset_ms:+d} ms")
        if faults.strikes("kill"):
            world.agenda.after(faults.between("kill", 0.0, 0.5), world.switch.kill)
        if faults.strikes("restart"):
            world.switch.restart()


async def heal(world: World) -> str:
    """Let everybody deliver what is owed; what is left when the time is over."""
    deadline = trio.current_time() + HEALING_MAX_S
    pause_s = 0.2
    while True:
        async with trio.open_nursery() as nursery:
            for player in world.players:
                if player.owes:
                    nursery.start_soon(player.settle)
        owing = sum(player.owes for player in world.players)
        debts = world.auditor.debts()
        if not owing and not debts:
            return ""
        if trio.current_time() > deadline:
            return ", ".join(filter(None, (debts, f"{owing} terminals" if owing else "")))
        await trio.sleep(pause_s)
        pause_s = min(pause_s * 1.5, _LAZY_S)


def _players(world: World, day: Day) -> list[Player]:
    estate = world.estate
    cards = [card for card in estate.cards if not card.status]
    cards += [card for card in estate.cards if card.status][:1]
    orders = {
        merchant.merchant_id: [o for o in estate.orders if o.merchant_id == merchant.merchant_id]
        for merchant in estate.merchants
    }
    return [
        Player(
            identity(estate, terminal.terminal_id),
            courier,
            cards,
            orders[terminal.merchant_id],
            world.network,
            world.faults,
            world.trace,
            day.draw(terminal.terminal_id),
        )
        for terminal, courier in list(zip(estate.terminals, couriers(), strict=True))[
            : day.terminals
        ]
    ]
