"""One of several workers that are one switch: the switch, with the supervisor's words in its place.

Terminals' connections come from the supervisor, not from a port; HTTP requests come as calls; which
bank's links are here says the supervisor; signals mean nothing. The worker ends when the supervisor
is gone (``config/children.py``). Source: docs/scale.md, "Many processes on one machine".
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec
import trio
from prometheus_client import CollectorRegistry

from acquirer.config.loading import ConfigError
from acquirer.config.tcp_stream import TcpStream
from acquirer.ledger.store.instances import check_name
from acquirer.switch.app import Running, run_switch
from acquirer.switch.hsm.modules import Execute
from acquirer.switch.operators.event_secrets import ReadSettings
from acquirer.switch.processes.asgi_call import Called, call_app
from acquirer.switch.processes.channel import Channel
from acquirer.switch.processes.descriptors import Hand
from acquirer.switch.processes.handed import HandedListener
from acquirer.switch.processes.peers import Places
from acquirer.switch.processes.terminal_counts import TerminalCounts
from acquirer.switch.settings import SwitchSettings
from acquirer.switch.surroundings import REAL_WORLD, Company
from acquirer.switch.watch.http import OperatorRoutes, Ready, http_app
from acquirer.switch.watch.http_server import App, Trusts

SQLITE = "sqlite"
UNHEEDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


@dataclass(frozen=True, slots=True)
class Seat:
    """A worker's place beside its supervisor, as its command line has it.

    Attributes:
        slot: from 1.
        workers: how many there are.
        control, hand, counts: open files: of the :class:`Channel`, of the :class:`Hand`, and of
            ``terminal_counts``.
    """

    slot: int
    workers: int
    control: int
    hand: int
    counts: int

    @classmethod
    def parse(cls, text: str) -> Seat:
        """The reverse of ``str``.

        Raises:
            ValueError: it is none.

        >>> Seat.parse("1.2.5.6.7")
        Seat(slot=1, workers=2, control=5, hand=6, counts=7)
        """
        slot, workers, control, hand, counts = map(int, text.split("."))
        return cls(slot, workers, control, hand, counts)

    def __str__(self) -> str:
        parts = (self.slot, self.workers, self.control, self.hand, self.counts)
        return ".".join(map(str, parts))


def instance_of(instance: str, slot: int) -> str:
    """The name under which a worker writes.

    >>> instance_of("switch-1", 2)
    'switch-1-w2'
    """
    return f"{instance}-w{slot}"


def check_workers(settings: SwitchSettings, file: str, workers: int) -> None:
    """See that a switch can be several processes.

    Raises:
        ConfigError: it cannot.
    """
    if settings.database.url.startswith(SQLITE):
        cure = "SQLite serves one process; give [database] a postgresql:// url, or leave --workers"
        raise ConfigError(file, "database.url", f"{workers} workers need PostgreSQL: {cure}")
    try:
        check_name(instance_of(settings.instance, workers))
    except ValueError as error:
        reason = f"{error}, and each worker adds its number to it ({instance_of('', workers)})"
        raise ConfigError(file, "instance", reason) from None


async def run_worker(
    seat: Seat,
    settings: SwitchSettings,
    file: str,
    execute: Execute | None,
    read: ReadSettings,
) -> None:
    """Serve until the supervisor says that it is enough.

    Args:
        settings: of the whole switch.
        file, execute, read: as :func:`run_switch` has them.

    Raises:
        ConfigError, LedgerError: as :func:`run_switch`.
    """
    for number in UNHEEDED:
        signal.signal(number, signal.SIG_IGN)
    async with trio.open_nursery() as nursery:
        worker = _Worker(seat, nursery)
        nursery.start_soon(worker.control.run)
        nursery.start_soon(worker.hand.run)
        nursery.start_soon(worker.take_files)

        async def run(*, task_status: trio.TaskStatus[Running]) -> None:
            await run_switch(
                own_settings(settings, seat),
                file=file,
                execute=execute,
                read=lambda: own_settings(read(), seat),
                around=worker.surroundings(),
                task_status=task_status,
            )
            nursery.cancel_scope.cancel()

        running: Running = await nursery.start(run)
        worker.serve(running)


def own_settings(settings: SwitchSettings, seat: Seat) -> SwitchSettings:
    """The settings of one worker: its name, and its share of all requests at once."""
    limits = settings.limits
    share = max(limits.in_flight_max // seat.workers, 1)
    return msgspec.structs.replace(
        settings,
        instance=instance_of(settings.instance, seat.slot),
        limits=msgspec.structs.replace(limits, in_flight_max=share),
    )


class _Worker:
    """What the supervisor says, and what it is told."""

    def __init__(self, seat: Seat, nursery: trio.Nursery) -> None:
        end = socket.socket(fileno=seat.control)
        stream = TcpStream(end)
        self.control = Channel(stream, self._serve, self._hear)
        self.hand = Hand(socket.socket(fileno=seat.hand))
        self._nursery = nursery
        self._places = Places(nursery, partial(self.control.tell, "gave_up"))
        self._counts = TerminalCounts(seat.counts, seat.slot)
        os.close(seat.counts)
        self._listener = HandedListener(self.control, self.hand)
        self._app: App | None = None
        self._running: Running | None = None
        self._end = trio.Event()
        self._words: dict[str, Callable[..., None]] = {
            "take": self._places.take,
            "give_up": self._places.give_up,
            "follow": self._places.follow,
            "end": self._end.set,
        }

    def serve(self, running: Running) -> None:
        """The switch is ready."""
        self._running = running
        terminals = running.terminals
        self._words |= {
            "release": terminals.release,
            "close": terminals.close_handed,
            "refused": terminals.count_refused,
            "stop": running.drain,
            "reload": partial(self._nursery.start_soon, running.reload),
        }
        self.control.tell("ready")

    async def take_files(self) -> None:
        """Take what is handed over: other workers, and terminals' connections."""
        while (handed := await self.hand.next()) is not None:
            if handed.note[0] == "peer":
                self._places.meet(handed.note[1], handed.socket)
            else:
                await self._listener.take(handed)

    def surroundings(self) -> Any:
        """The world as a worker has it."""
        company = Company(
            place=self._places.of,
            may_make_keys=self._may_make_keys,
            at_once=lambda: self._counts,
            before_end=self._before_end,
        )
        return replace(
            REAL_WORLD, listen=self._listen, serve_http=self._serve_http, company=company
        )

    def _hear(self, kind: str, *arguments: Any) -> None:
        self._words[kind](*arguments)

    async def _serve(self, kind: str, *arguments: Any) -> Any:
        return await call_app(self._app, Called(*arguments))

    async def _may_make_keys(self, address: str) -> bool:
        return bool(await self.control.call("may_make_keys", address))

    async def _before_end(self) -> None:
        self.control.tell("drained")
        await self._end.wait()

    async def _listen(self, host: str, port: int) -> tuple[str, HandedListener]:
        await trio.lowlevel.checkpoint()
        return "of the supervisor", self._listener

    async def _serve_http(
        self,
        address: str,
        *,
        ready: Ready,
        registry: CollectorRegistry,
        operator: OperatorRoutes = (),
        trusts: Trusts = lambda authorization: False,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        self._app = http_app(ready, registry, operator)
        task_status.started("of the supervisor")
        await trio.sleep_forever()
