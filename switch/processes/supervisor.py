"""The parent of several workers that are one switch: ports, connections, who has which links.

It serves no payment itself. Workers are started again when they end, at once and then after longer
and longer pauses; their links go to another worker at once. A rolling restart gives each worker's
connections and links away before it ends. When the supervisor is gone, workers end with it.
Source: docs/scale.md, "Many processes on one machine". Start reading at :func:`supervise`.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import structlog
import trio
from prometheus_client import CollectorRegistry, Counter, Gauge

from acquirer.config.children import PARENT_PIPE
from acquirer.config.loading import ConfigError, split_address
from acquirer.config.tcp_stream import TcpStream
from acquirer.ledger.store.instances import check_name
from acquirer.switch.operators.access import Access
from acquirer.switch.processes import descriptors, terminal_counts
from acquirer.switch.processes.acceptor import Acceptor, Door
from acquirer.switch.processes.balance import parts
from acquirer.switch.processes.channel import Channel
from acquirer.switch.processes.descriptors import Hand
from acquirer.switch.processes.front import Front, WorkerState
from acquirer.switch.processes.worker import Seat, instance_of
from acquirer.switch.settings import SwitchSettings
from acquirer.switch.terminals.rate_limit import RateLimit
from acquirer.switch.watch.http_server import HttpServer

log = structlog.get_logger("acquirer.supervisor")

SQLITE = "sqlite"
READY_S = 120.0
PAUSE_FIRST_S = 1.0
PAUSE_CAP_S = 30.0
SETTLED_S = 60.0
"""A worker that was ready for so long is started again at once when it ends."""
RELEASE_S = 15.0
"""Connections have so long to go between two requests; then they are closed as in any stop."""
END_S = 15.0
"""What a stop may take beside the time for what is in flight."""

Command = Callable[[Seat], Sequence[str]]
State = Literal["starting", "serving", "leaving"]


@dataclass(frozen=True, slots=True)
class Supervising:
    """Where a switch of several workers listens, and what may be done to it from outside.

    Attributes:
        drain: ends it in order.
        reload: as ``Running.reload``.
        restart: starts one worker after the other anew, without a payment that notices.
    """

    pos: str
    http: str
    drain: Callable[[], None]
    reload: Callable[[], None]
    restart: Callable[[], None]


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


async def supervise(
    settings: SwitchSettings,
    file: str,
    workers: int,
    command: Command,
    task_status: trio.TaskStatus[Supervising] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a switch of several workers until drained or cancelled.

    Args:
        command: the command line of a worker.

    Raises:
        ConfigError: a port cannot be had, or a worker did not start the first time.
        OSError: no process can be started.
    """
    check_workers(settings, file, workers)
    pos_host, pos_port = split_address(settings.listen.pos, file, "listen.pos")
    http_host, http_port = split_address(settings.listen.http, file, "listen.http")
    pos = await _listener(file, "listen.pos", pos_host, pos_port)
    http = await _listener(file, "listen.http", http_host, http_port)
    theirs, ours = os.pipe()
    counts = terminal_counts.make(workers)
    try:
        async with trio.open_nursery() as nursery:
            switch = _Supervisor(settings, file, workers, command, nursery, theirs, counts)
            await switch.start()
            nursery.start_soon(switch.serve_http, http)
            nursery.start_soon(switch.acceptor.accept, pos)
            nursery.start_soon(switch.front.keep_looking)
            log.info("ready", pos=_bound(pos), http=_bound(http), workers=workers)
            task_status.started(
                Supervising(
                    _bound(pos),
                    _bound(http),
                    partial(nursery.start_soon, switch.stop),
                    switch.reload,
                    partial(nursery.start_soon, switch.restart),
                )
            )
    finally:
        for file_number in (ours, theirs, counts):
            os.close(file_number)
    log.info("stopped")


class _Worker:
    """One process, from its start to its end."""

    def __init__(self, slot: int, process: trio.Process, control: Channel, hand: Hand) -> None:
        self.slot = slot
        self.process = process
        self.control = control
        self.door = Door(hand, control.tell)
        self.state: State = "starting"
        self.ready = trio.Event()
        self.drained = trio.Event()
        self.ended = trio.Event()


class _Supervisor:
    """See :func:`supervise`."""

    def __init__(
        self,
        settings: SwitchSettings,
        file: str,
        workers: int,
        command: Command,
        nursery: trio.Nursery,
        parent_pipe: int,
        counts: int,
    ) -> None:
        self._settings = settings
        self._file = file
        self._slots = range(1, workers + 1)
        self._command = command
        self._nursery = nursery
        self._parent_pipe = parent_pipe
        self._counts = counts
        self._workers: dict[int, _Worker] = {}
        hosts = [*settings.banks, *settings.order_hosts]
        self._owners = {host.name: 0 for host in hosts}
        self._bank_of = {link.name: host.name for host in hosts for link in host.each_link()}
        self._gave_up: dict[str, trio.Event] = {}
        self._sign_ons = RateLimit(settings.limits.sign_ons_per_minute)
        self._stopping = False
        self._restarting = trio.Lock()
        self._spawned = trio.lowlevel.ParkingLot()
        self.acceptor = Acceptor(settings.limits, lambda: parts(list(self._owners.values())))
        registry = CollectorRegistry()
        self._serving_gauge = Gauge(
            "acquirer_workers", "Worker processes that serve", registry=registry
        )
        self._deaths = Counter(
            "acquirer_worker_deaths", "Worker processes that ended by themselves", registry=registry
        )
        self.front = Front(self._serving, self._states, self._owner_of, registry)

    # From outside.

    async def start(self) -> None:
        """Start all workers; they are ready when this returns.

        Raises:
            ConfigError: one ended before.
        """
        for bank, slot in zip(self._owners, itertools.cycle(self._slots), strict=False):
            self._owners[bank] = slot
        async with trio.open_nursery() as starting:
            for slot in self._slots:
                starting.start_soon(self._nursery.start, self._keep, slot)

    async def stop(self) -> None:
        """End all workers in order, then everything."""
        self._stopping = True
        self.acceptor.close()
        workers = list(self._workers.values())
        for worker in workers:
            if worker.state == "starting":
                worker.process.kill()
            else:
                worker.control.tell("stop")
        with trio.move_on_after(self._settings.limits.drain_s + END_S):
            for worker in workers:
                await _either(worker.drained, worker.ended)
        for worker in workers:
            worker.control.tell("end")
        with trio.move_on_after(END_S):
            for worker in workers:
                await worker.ended.wait()
        for worker in workers:
            if not worker.ended.is_set():
                log.error("killed", worker=worker.slot)
                worker.process.kill()
                await worker.ended.wait()
        self._nursery.cancel_scope.cancel()

    def reload(self) -> None:
        """Have the event secrets of the file taken over; what they are all workers learn."""
        if serving := self._serving():
            serving[0].control.tell("reload")

    async def restart(self) -> None:
        """Start one worker after the other anew; where one does not come, the others go on."""
        async with self._restarting:
            log.info("restart_begins")
            for slot in self._slots:
                worker = self._workers.get(slot)
                if self._stopping or worker is None or worker.state != "serving":
                    continue
                if len(self._serving()) < 2:
                    log.error("restart_ends", reason="no other worker serves")
                    return
                await self._end_in_order(worker)
                with trio.move_on_after(READY_S) as waiting:
                    new = await self._successor(worker)
                    await _either(new.ready, new.ended)
                if waiting.cancelled_caught or not new.ready.is_set():
                    log.error("restart_ends", reason=f"worker {slot} did not come back")
                    return
            log.info("restarted")

    async def _successor(self, worker: _Worker) -> _Worker:
        while (new := self._workers.get(worker.slot, worker)) is worker:
            await self._spawned.park()
        return new

    async def serve_http(self, listener: trio.SocketListener) -> None:
        """Serve watchers and operators until cancelled."""
        access = Access(self._settings.operator_token, self._settings.operators)
        server = HttpServer(self.front.app(), access.knows)
        await trio.serve_listeners(server.serve_stream, [listener])

    # One worker's life.

    async def _keep(
        self, slot: int, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Keep a worker in its slot; ``started`` when the first one is ready.

        Raises:
            ConfigError: the first one ended before.
        """
        pause_s, was_ready = 0.0, False
        while True:
            worker = await self._spawn(slot)
            began_at = trio.current_time()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(worker.control.run)
                nursery.start_soon(worker.door.hand.run)
                nursery.start_soon(self._take_back, worker)
                nursery.start_soon(self._see_ready, worker)
                if not was_ready:
                    nursery.start_soon(_tell_started, worker, task_status)
                code = await worker.process.wait()
                nursery.cancel_scope.cancel()
            self._lost(worker)
            was_ready |= worker.ready.is_set()
            if not was_ready:
                reason = f"worker {slot} {_words(code)} before it was ready"
                raise ConfigError(self._file, "", reason)
            if self._stopping:
                return
            if worker.state == "leaving" and code == 0:
                pause_s = 0.0
                continue
            self._deaths.inc()
            if worker.ready.is_set() and trio.current_time() - began_at >= SETTLED_S:
                pause_s = 0.0
            log.error("worker_died", worker=slot, reason=_words(code), again_in_s=pause_s)
            await trio.sleep(pause_s)
            pause_s = min(max(pause_s * 2, PAUSE_FIRST_S), PAUSE_CAP_S)

    async def _spawn(self, slot: int) -> _Worker:
        control, its_control = socket.socketpair()
        hand, its_hand = descriptors.pair()
        files = (its_control.fileno(), its_hand.fileno(), self._counts)
        terminal_counts.clear(self._counts, slot)
        try:
            process = await trio.lowlevel.open_process(
                self._command(Seat(slot, len(self._slots), *files)),
                stdin=None,
                env={**os.environ, PARENT_PIPE: str(self._parent_pipe)},
                pass_fds=(self._parent_pipe, *files),
            )
        finally:
            its_control.close()
            its_hand.close()
        stream = TcpStream(trio.SocketStream(trio.socket.from_stdlib_socket(control)))
        channel = Channel(stream, self._serve, partial(self._hear, slot))
        worker = _Worker(slot, process, channel, Hand(hand))
        for other in self._workers.values():
            _introduce(worker, other)
        self._workers[slot] = worker
        self._spawned.unpark_all()
        for bank, owner in self._owners.items():
            if owner in (0, slot):
                self._assign(bank, slot)
            else:
                channel.tell("follow", bank, owner)
        log.info("worker_started", worker=slot, process=process.pid)
        return worker

    async def _see_ready(self, worker: _Worker) -> None:
        with trio.move_on_after(READY_S):
            await worker.ready.wait()
            return
        log.error("worker_not_ready", worker=worker.slot, within_s=READY_S)
        worker.process.kill()

    async def _take_back(self, worker: _Worker) -> None:
        while (handed := await worker.door.hand.next()) is not None:
            (number,) = handed.note
            self.acceptor.came_back(worker.slot, number, worker.door, handed.socket)

    def _lost(self, worker: _Worker) -> None:
        """A worker has ended: its connections and links are nobody's any more."""
        slot = worker.slot
        del self._workers[slot]
        self._serving_gauge.set(len(self._serving()))
        self.front.lost(slot)
        for bank, owner in self._owners.items():
            if owner == slot:
                self._move(bank)
        self.acceptor.lost(slot, worker.door)
        worker.ended.set()

    async def _end_in_order(self, worker: _Worker) -> None:
        """Give away what a worker has, then have it end."""
        worker.state = "leaving"
        self.acceptor.shut_door(worker.slot)
        worker.control.tell("release")
        with trio.move_on_after(RELEASE_S):
            await self.acceptor.emptied(worker.door)
        worker.control.tell("stop")
        await _either(worker.drained, worker.ended)
        for bank, owner in self._owners.items():
            if owner == worker.slot and not worker.ended.is_set():
                gave_up = self._gave_up[bank] = trio.Event()
                self._follow_all(bank, 0, but=worker.slot)
                worker.control.tell("give_up", bank)
                await _either(gave_up, worker.ended)
                if not worker.ended.is_set():
                    self._move(bank)
        await self.front.last_look(worker)
        self._serving_gauge.set(len(self._serving()))
        worker.control.tell("end")
        with trio.move_on_after(END_S):
            await worker.ended.wait()
            return
        log.error("killed", worker=worker.slot)
        worker.process.kill()

    # Who has which links.

    def _move(self, bank: str) -> None:
        """Give a bank's links to the worker that has the fewest; a serving one before others."""
        load = parts(list(self._owners.values()))
        left = [worker for worker in self._workers.values() if worker.state != "leaving"]
        left.sort(key=lambda one: (one.state != "serving", load.get(one.slot, 0.0), one.slot))
        self._owners[bank] = 0
        if left and not self._stopping:
            self._assign(bank, left[0].slot)
        else:
            self._follow_all(bank, 0)

    def _assign(self, bank: str, slot: int) -> None:
        self._owners[bank] = slot
        self._follow_all(bank, slot, but=slot)
        self._workers[slot].control.tell("take", bank)
        log.info("links_moved", bank=bank, worker=slot)

    def _follow_all(self, bank: str, slot: int, but: int = 0) -> None:
        for worker in self._workers.values():
            if worker.slot != but:
                worker.control.tell("follow", bank, slot)

    # What workers say.

    async def _serve(self, kind: str, *arguments: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return self._sign_ons.take(arguments[0], trio.current_time())

    def _hear(self, slot: int, kind: str, *arguments: Any) -> None:
        worker = self._workers[slot]
        if kind == "closed":
            self.acceptor.closed(slot, arguments[0], worker.door)
        elif kind == "proven":
            self.acceptor.proven(arguments[0])
        elif kind == "ready":
            worker.state = "serving"
            worker.ready.set()
            self._serving_gauge.set(len(self._serving()))
            self.acceptor.open_door(slot, worker.door)
        elif kind == "drained":
            worker.drained.set()
        elif kind == "gave_up":
            self._gave_up[arguments[0]].set()

    def _serving(self) -> list[_Worker]:
        workers = sorted(self._workers.values(), key=lambda worker: worker.slot)
        return [worker for worker in workers if worker.state == "serving"]

    def _states(self) -> dict[int, WorkerState]:
        return {
            slot: WorkerState(
                worker.state, worker.process.pid, worker.door.connections, self._banks_of(slot)
            )
            if (worker := self._workers.get(slot))
            else WorkerState("down", 0, 0, [])
            for slot in self._slots
        }

    def _banks_of(self, slot: int) -> list[str]:
        return [bank for bank, owner in self._owners.items() if owner == slot]

    def _owner_of(self, link: str) -> int | None:
        bank = self._bank_of.get(link)
        return None if bank is None else self._owners[bank]


def _introduce(one: _Worker, other: _Worker) -> None:
    """Give two workers a line to each other."""
    ends = socket.socketpair()
    one.door.hand.give(ends[0], "peer", other.slot)
    other.door.hand.give(ends[1], "peer", one.slot)


async def _tell_started(worker: _Worker, task_status: trio.TaskStatus[None]) -> None:
    await worker.ready.wait()
    task_status.started()


async def _either(*events: trio.Event) -> None:
    """Wait until one of them has happened."""
    async with trio.open_nursery() as nursery:

        async def wait(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel()

        for event in events:
            nursery.start_soon(wait, event)


async def _listener(file: str, key: str, host: str, port: int) -> trio.SocketListener:
    try:
        (listener,) = await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(file, key, f"cannot listen on {host}:{port}: {reason}") from None
    return listener


def _bound(listener: trio.SocketListener) -> str:
    host, port = listener.socket.getsockname()[:2]
    return f"{host}:{port}"


def _words(code: int) -> str:
    """How a process ended.

    >>> _words(-9), _words(2)
    ('was killed by signal 9', 'ended with exit code 2')
    """
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
