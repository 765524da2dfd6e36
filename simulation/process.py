"""The switch as a process that can die at any await and starts again on the same database.

A death is sudden: from that instant the process's disk takes nothing, its connections are gone,
and what its tasks still do on their way out reaches nobody. A stop is in order, as by SIGTERM.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

import msgspec
import trio
from trio.lowlevel import ParkingLot

from acquirer.config.loading import ConfigError
from acquirer.ledger.book import Book
from acquirer.ledger.errors import LedgerError
from acquirer.payments.kernel.calendar import DAY_MS, WallClock
from acquirer.simulation.day import Faults
from acquirer.simulation.disk import Disk, SimDatabase, open_sim_book
from acquirer.simulation.network import Host, Network, Route, Tap
from acquirer.simulation.operator import Operator
from acquirer.simulation.serving import SimListener
from acquirer.simulation.trace import Trace
from acquirer.switch.app import Running, run_switch
from acquirer.switch.hsm.transport import HsmTransport
from acquirer.switch.settings import SwitchSettings
from acquirer.switch.surroundings import Listener, Surroundings
from acquirer.switch.watch.http import OperatorRoutes, Ready

SWITCH = "switch"
RESTART_MIN_S, RESTART_MAX_S = 0.2, 3.0
STOP_MAX_S = 60.0
# A start may fail where the database or the module is away; the next one may not.
START_ERRORS = (ConfigError, LedgerError)


@dataclass(slots=True)
class Parts:
    """What a switch is run with.

    Attributes:
        settings: as the configuration stands when it starts.
        hsm: makes the way to the security module, for each life.
        wall_ms: the switch's wall clock, which may jump.
        said: sees every frame that it sends to terminals, as :class:`Route` has it.
        heard: sees every frame that terminals send to it.
        books_are_away: whether its database cannot be reached.
        day_ms: how long a day of a pre-authorisation lasts.
    """

    settings: Callable[[], SwitchSettings]
    file: Path
    network: Network
    faults: Faults
    trace: Trace
    draw: Random
    hsm: Callable[[], HsmTransport]
    wall_ms: WallClock
    said: Callable[..., None]
    heard: Tap | None = None
    books_are_away: bool = False
    day_ms: int = DAY_MS


@dataclass(slots=True)
class Life:
    """One process from start to end.

    Attributes:
        started: it takes terminals, or has ended.
        running: None where it takes none.
        over: it has ended.
        error: why it ended, where it was not told to.
        operator: who calls it.
        ready: what it says to those who ask whether it is.
    """

    disk: Disk
    host: Host
    scope: trio.CancelScope
    started: trio.Event = field(default_factory=trio.Event)
    running: Running | None = None
    over: trio.Event = field(default_factory=trio.Event)
    error: str = ""
    operator: Operator | None = None
    ready: Ready | None = None

    async def serve_http(
        self,
        address: str,
        *,
        ready: Ready,
        operator: OperatorRoutes = (),
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
        **_what_nobody_looks_at: object,
    ) -> None:
        """Let the operator call."""
        self.operator, self.ready = Operator(operator), ready
        task_status.started(address)
        await trio.sleep_forever()


class _Status:
    """A task status that remembers."""

    def __init__(self, life: Life) -> None:
        self._life = life

    def started(self, value: Running | None = None) -> None:
        """The switch takes terminals."""
        self._life.running = value
        self._life.started.set()


class SwitchProcess:
    """Keeps a switch running until told to stop.

    Args:
        parts: what it is run with.
        name: of the door that terminals come to.
        instance: its name among those on the same books; empty takes that of the settings.

    Attributes:
        lives: how often it was started.
        failures: exceptions that no fault explains.
        hosts: of all lives.
    """

    def __init__(self, parts: Parts, name: str = SWITCH, instance: str = "") -> None:
        self.name = name
        self.lives = 0
        self.failures: list[str] = []
        self.hosts: list[Host] = []
        self._parts = parts
        self._instance = instance
        self._life: Life | None = None
        self._stopping = False
        self._may_start = trio.Event()
        self._may_start.set()
        self._begun = ParkingLot()
        self._stopped = trio.Event()

    @property
    def operator(self) -> Operator | None:
        """Who calls the switch; None while it takes no terminals."""
        return self.serving.operator if self.serving is not None else None

    async def next_life(self) -> Life:
        """Wait for the next start."""
        seen = self.lives
        while self.lives == seen:
            await self._begun.park()
        assert self._life is not None
        return self._life

    @property
    def serving(self) -> Life | None:
        """The process that takes terminals now."""
        life = self._life
        if life is None or life.running is None or life.over.is_set():
            return None
        return life

    def kill(self) -> None:
        """Die now."""
        life = self._life
        if life is None or life.disk.is_dead:
            return
        life.disk.is_dead = True
        self._parts.trace.note(self.name, "dies")
        self._parts.network.routes.pop(self.name, None)
        life.host.drop()
        life.scope.cancel()

    async def hold(self) -> None:
        """Die, and stay so until released."""
        self._may_start = trio.Event()
        self.kill()
        if self._life is not None:
            await self._life.over.wait()

    def release(self) -> None:
        """Let it start again."""
        self._may_start.set()

    def restart(self) -> None:
        """Stop in order; it is started again."""
        if self._life is not None and self._life.running is not None:
            self._parts.trace.note(self.name, "is told to stop")
            self._life.running.drain()

    async def stop(self) -> bool:
        """Stop in order and stay stopped; false where it did not within its time."""
        self._stopping = True
        with trio.move_on_after(STOP_MAX_S):
            if self._life is not None:
                await self._life.started.wait()
            self.restart()
            await self._stopped.wait()
        return self._stopped.is_set()

    async def run(self) -> None:
        """Live, again and again."""
        parts = self._parts
        while not self._stopping:
            self.lives += 1
            disk = Disk(
                parts.faults,
                parts.trace,
                parts.network.agenda,
                self.kill,
                lambda: parts.books_are_away,
            )
            life = self._life = Life(disk, Host(f"{self.name}{self.lives}"), trio.CancelScope())
            self.hosts.append(life.host)
            self._begun.unpark_all()
            parts.trace.note(self.name, f"starts, life {self.lives}")
            await self._live(life)
            parts.network.routes.pop(self.name, None)
            if not self._stopping:
                await trio.sleep(parts.draw.uniform(RESTART_MIN_S, RESTART_MAX_S))
                await self._may_start.wait()
        self._stopped.set()

    async def _live(self, life: Life) -> None:
        settings = self._parts.settings()
        if self._instance:
            settings = msgspec.structs.replace(settings, instance=self._instance)
        try:
            with life.scope:
                await run_switch(
                    settings,
                    around=self._surroundings(life),
                    task_status=_Status(life),
                )
        except Exception as error:
            causes = _leaves(error)
            names = ", ".join(f"{type(cause).__name__}: {cause}" for cause in causes)
            expected = not life.started.is_set() and all(
                isinstance(cause, START_ERRORS) for cause in causes
            )
            if not life.disk.is_dead and not expected:
                self.failures.append(f"the switch ended with {names}")
            life.error = names
            self._parts.trace.note(self.name, f"ended with {names}")
        finally:
            life.started.set()
            life.over.set()
            if life.disk.is_dead or life.running is None:
                life.host.drop()

    def _surroundings(self, life: Life) -> Surroundings:
        parts = self._parts
        network = parts.network

        def open_books(
            settings: SwitchSettings, wall: WallClock
        ) -> AbstractAsyncContextManager[Book]:
            database = SimDatabase(parts.file, life.disk, is_shared=bool(self._instance))
            return open_sim_book(database, settings.instance, wall)

        async def connect(name: str, _settings: object) -> trio.abc.Stream:
            return await network.connect(name, life.host)

        async def listen(_host: str, _port: int) -> tuple[str, Listener]:
            listener = SimListener(lambda: network.routes.pop(self.name, None))
            network.routes[self.name] = Route(
                life.host, listener.take, twins=True, said=parts.said, heard=parts.heard
            )
            return self.name, listener

        return Surroundings(
            wall_ms=parts.wall_ms,
            day_ms=parts.day_ms,
            random=parts.draw.random,
            random_bytes=parts.draw.randbytes,
            open_books=open_books,
            hsm=parts.hsm(),
            connect_bank=partial(connect, "bank"),
            connect_orders=partial(connect, "orders"),
            listen=listen,
            serve_http=life.serve_http,
        )


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
