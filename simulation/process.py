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

import trio

from acquirer.config.loading import ConfigError
from acquirer.ledger.book import Book
from acquirer.ledger.errors import LedgerError
from acquirer.simulation.day import Faults
from acquirer.simulation.disk import Disk, open_sim_book
from acquirer.simulation.module import SimHsm
from acquirer.simulation.network import Host, Network, Route, SimListener, Tap
from acquirer.simulation.trace import Trace
from acquirer.switch.app import Running, run_switch
from acquirer.switch.clock import WallClock
from acquirer.switch.settings import SwitchSettings
from acquirer.switch.surroundings import Listener, Surroundings

SWITCH = "switch"
RESTART_MIN_S, RESTART_MAX_S = 0.2, 3.0
STOP_MAX_S = 60.0
# A start may fail where the database or the module is away; the next one may not.
START_ERRORS = (ConfigError, LedgerError)


@dataclass(slots=True)
class Parts:
    """What a switch is run with.

    Attributes:
        execute: the security module.
        wall_ms: the switch's wall clock, which may jump.
        said: sees every frame that it sends to terminals.
    """

    settings: SwitchSettings
    file: Path
    network: Network
    faults: Faults
    trace: Trace
    draw: Random
    execute: Callable[[bytes], bytes]
    wall_ms: WallClock
    said: Tap


@dataclass(slots=True)
class _Life:
    """One process from start to end."""

    disk: Disk
    host: Host
    scope: trio.CancelScope
    started: trio.Event = field(default_factory=trio.Event)
    running: Running | None = None


class _Status:
    """A task status that remembers."""

    def __init__(self, life: _Life) -> None:
        self._life = life

    def started(self, value: Running | None = None) -> None:
        """The switch takes terminals."""
        self._life.running = value
        self._life.started.set()


class SwitchProcess:
    """Keeps a switch running until told to stop.

    Attributes:
        lives: how often it was started.
        failures: exceptions that no fault explains.
        hosts: of all lives.
    """

    def __init__(self, parts: Parts) -> None:
        self.lives = 0
        self.failures: list[str] = []
        self.hosts: list[Host] = []
        self._parts = parts
        self._life: _Life | None = None
        self._stopping = False
        self._stopped = trio.Event()

    def kill(self) -> None:
        """Die now."""
        life = self._life
        if life is None or life.disk.is_dead:
            return
        life.disk.is_dead = True
        self._parts.trace.note(SWITCH, "dies")
        self._parts.network.routes.pop(SWITCH, None)
        life.host.drop()
        life.scope.cancel()

    def restart(self) -> None:
        """Stop in order; it is started again."""
        if self._life is not None and self._life.running is not None:
            self._parts.trace.note(SWITCH, "is told to stop")
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
            disk = Disk(parts.faults, parts.trace, parts.network.agenda, self.kill)
            life = self._life = _Life(disk, Host(f"{SWITCH}{self.lives}"), trio.CancelScope())
            self.hosts.append(life.host)
            parts.trace.note(SWITCH, f"starts, life {self.lives}")
            await self._live(life)
            parts.network.routes.pop(SWITCH, None)
            if not self._stopping:
                await trio.sleep(parts.draw.uniform(RESTART_MIN_S, RESTART_MAX_S))
        self._stopped.set()

    async def _live(self, life: _Life) -> None:
        try:
            with life.scope:
                await run_switch(
                    self._parts.settings,
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
            self._parts.trace.note(SWITCH, f"ended with {names}")
        finally:
            life.started.set()
            if life.disk.is_dead or life.running is None:
                life.host.drop()

    def _surroundings(self, life: _Life) -> Surroundings:
        parts = self._parts
        network = parts.network

        def open_books(
            settings: SwitchSettings, wall: WallClock
        ) -> AbstractAsyncContextManager[Book]:
            return open_sim_book(parts.file, settings.instance, life.disk, wall)

        async def connect(name: str, _settings: object) -> trio.abc.Stream:
            return await network.connect(name, life.host)

        async def listen(_host: str, _port: int) -> tuple[str, Listener]:
            listener = SimListener(lambda: network.routes.pop(SWITCH, None))
            network.routes[SWITCH] = Route(life.host, listener.take, twins=True, said=parts.said)
            return SWITCH, listener

        return Surroundings(
            wall_ms=parts.wall_ms,
            random=parts.draw.random,
            random_bytes=parts.draw.randbytes,
            open_books=open_books,
            hsm=SimHsm(parts.execute, parts.faults, parts.trace),
            connect_bank=partial(connect, "bank"),
            connect_orders=partial(connect, "orders"),
            listen=listen,
            serve_http=_no_http,
        )


async def _no_http(
    address: str,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    **_what_it_would_show: object,
) -> None:
    """Operators do not look at a simulated day."""
    task_status.started(address)
    await trio.sleep_forever()


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
