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
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import structlog
import trio

from acquirer.simulation.checks.final import final
from acquirer.simulation.clock import DayClock
from acquirer.simulation.day import Day
from acquirer.simulation.disk import new_database
from acquirer.simulation.habits import Budget
from acquirer.simulation.healing import heal
from acquirer.simulation.network import Host, Route
from acquirer.simulation.report import Report
from acquirer.simulation.serving import serving
from acquirer.simulation.trace import Trace
from acquirer.simulation.watchdog import Watchdog
from acquirer.simulation.world import World

DAY_MAX_S = 8_000.0
CLOCK_JUMP_MAX_MS = 120_000
CLOCK_LOOK_S = 1.0


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
    trace.logged[str(event.get("event"))] += 1
    if event.get("event") == "alarm_begins":
        trace.logged[str(event["alarm"])] += 1
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
                for name, serve in (("bank", world.bank.serve), ("orders", world.serve_orders)):
                    world.network.routes[name] = Route(
                        Host(name), serving(nursery, serve), is_framed=name == "bank"
                    )
                for switch in world.switches:
                    nursery.start_soon(switch.run)
                await _live_through(world, play)
                nursery.cancel_scope.cancel()
        if whole.cancelled_caught:
            report.findings.append("time: the day did not end")
        if dog.scope.cancelled_caught:
            busy = sorted(dog.busy.items(), key=lambda item: -item[1])[:3]
            names = ", ".join(name for name, _ in busy)
            report.findings.append(f"time: it stands still while {names} run")
    finally:
        report.lives = sum(switch.lives for switch in world.switches)
        report.drawn = world.faults.drawn
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
    async with trio.open_nursery() as harm:
        harm.start_soon(_harm, world)
        for trouble in world.troubles:
            harm.start_soon(trouble.run)
        await play(world)
        harm.cancel_scope.cancel()
    world.trace.note("day", "heals")
    world.faults.heal()
    world.network.heal()
    world.offset_ms = world.far_ms = 0
    for trouble in world.troubles:
        await trouble.mend()
    debts = await heal(world)
    for player in world.players:
        await player.close()
    for switch in world.switches:
        if not await switch.stop():
            report.findings.append(f"tasks: the {switch.name} did not stop within its time")
    if debts:
        report.findings.append(f"healing: there is still {debts}")
    for switch in world.switches:
        report.findings += switch.failures
    report.findings += world.auditor.findings
    report.findings += final(
        world.auditor,
        world.file,
        world.bank.db,
        world.orders.store.connection,
        [
            *(player.state for player in world.players),
            *(state for trouble in world.troubles for state in trouble.terminals()),
        ],
        calm=world.faults.calm and play is play_all,
        drawn=world.faults.drawn,
    )
    report.findings += _left_behind(world)
    for trouble in world.troubles:
        report.findings += trouble.findings()


def _left_behind(world: World) -> list[str]:
    """Connections that a stopped switch left open."""
    return [
        f"tasks: connection {name} is still open"
        for switch in world.switches
        for host in switch.hosts
        for name in sorted(stream.name for stream in host.streams.values())
    ]


async def _harm(world: World) -> None:
    """Faults that belong to no message: the process's own, and the clock's."""
    faults = world.faults
    while True:
        await trio.sleep(CLOCK_LOOK_S)
        if faults.strikes("clock"):
            world.offset_ms = int(faults.between("clock", -CLOCK_JUMP_MAX_MS, CLOCK_JUMP_MAX_MS))
            world.trace.note("clock", f"jumps to {world.offset_ms:+d} ms")
        if faults.strikes("kill"):
            world.agenda.after(faults.between("kill", 0.0, 0.5), world.any_switch().kill)
        if faults.strikes("restart"):
            world.any_switch().restart()
