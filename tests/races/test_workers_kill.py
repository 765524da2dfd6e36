"""Workers of one switch killed with SIGKILL under load: no money lost or doubled."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from limits import HANG_S, ROUNDS
from served import PATIENCE_S, WorkersWorld, opened_workers

from acquirer.config.estate import load_estate
from acquirer.ledger.journal.kinds import PAYMENTS
from acquirer.terminals_sim.load import TerminalJournal, plan_for, play
from acquirer.terminals_sim.state import TerminalState
from acquirer.terminals_sim.store import MemoryStore

# However many rounds: each starts processes.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900 + 60 * ROUNDS)]

TERMINALS = tuple(f"1000000{n}" for n in range(1, 9))
APPROVED_MAX = 40


class Load:
    """Terminals that play until told to stop, and what they were answered."""

    def __init__(self, world: WorkersWorld) -> None:
        self.journals: list[TerminalJournal] = []
        self.stop = trio.Event()
        self._world = world
        self._approved = 0
        self._more = trio.lowlevel.ParkingLot()
        self._plan = plan_for(
            load_estate(),
            TERMINALS,
            transactions_max=100_000,
            seconds_max=36_000.0,
            timeout_s=PATIENCE_S,
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Play, on whatever address the switch has."""

        async def connect() -> trio.abc.Stream:
            host, _, port = self._world.pos.rpartition(":")
            return await trio.open_tcp_stream(host, int(port))

        task_status.started()
        self.journals = await play(
            self._plan, connect, seed=8583, stop=self.stop, store=lambda _: Watched(self.note)
        )

    def note(self, state: TerminalState) -> None:
        """A terminal has stored what it knows."""
        if state.journal and state.journal[-1].state == "approved":
            self._approved += 1
            self._more.unpark_all()

    async def approves(self, count: int) -> None:
        """Wait until so many more are approved: no time decides, however slow the machine."""
        until = self._approved + count
        with trio.fail_after(HANG_S):
            while self._approved < until:
                await self._more.park()


class Watched(MemoryStore):
    """Tells what it keeps."""

    def __init__(self, note: Callable[[TerminalState], None]) -> None:
        super().__init__()
        self._note = note

    async def save(self, state: TerminalState) -> None:
        """Keep it, and tell."""
        await super().save(state)
        self._note(state)


async def kill_owner(world: WorkersWorld) -> None:
    """The worker that has the bank's link."""
    workers = await world.workers()
    os.kill(next(one["process"] for one in workers.values() if one["banks"]), signal.SIGKILL)


async def kill_other(world: WorkersWorld) -> None:
    """A worker that has no link."""
    workers = await world.workers()
    os.kill(next(one["process"] for one in workers.values() if not one["banks"]), signal.SIGKILL)


async def kill_supervisor(world: WorkersWorld) -> None:
    """The parent, and with it all; then a new one starts."""
    await world.stop("switch")
    await world.start_switch()


KILLS = (kill_owner, kill_other, kill_supervisor)


async def test_killed_under_load(tmp_path: Path, postgresql_url: str) -> None:
    """Every approval that a terminal holds is in the books, and bank and switch agree."""
    draw = random.Random(8583)
    async with opened_workers(tmp_path, postgresql_url) as world:
        load = Load(world)
        async with trio.open_nursery() as nursery:
            await nursery.start(load.run)
            for number in range(max(ROUNDS, len(KILLS))):
                await load.approves(draw.randint(1, APPROVED_MAX))
                await KILLS[number % len(KILLS)](world)
                await load.approves(1)
                while not await world.all_serve():
                    await load.approves(1)
            load.stop.set()
        await world.agree()
        assert sum(journal.owed for journal in load.journals) == 0
        held = {
            entry.rrn: entry.amount_minor
            for journal in load.journals
            for entry in journal.entries
            if entry.state == "approved" and entry.kind in PAYMENTS
        }
        ours = {
            line.rrn: line.amount_minor
            for line in world.journal()
            if line.state == "approved" and line.kind in PAYMENTS
        }
        assert held == ours
