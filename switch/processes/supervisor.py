"""The parent of several workers that are one switch: ports, connections, who has which links.

It serves no payment itself. Workers are started again when they end, at once and then after longer
and longer pauses; their links go to another worker at once. A rolling restart gives each worker's
connections and links away before it ends. When the supervisor is gone, workers end with it.
Source: docs/scale.md, "Many processes on one machine". Start reading at :func:`supervise`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
import trio
from prometheus_client import CollectorRegistry, Counter, Gauge

from acquirer.config.loading import ConfigError, split_address
from acquirer.switch.operators.access import Access
from acquirer.switch.processes import terminal_counts
from acquirer.switch.processes.acceptor import Acceptor
from acquirer.switch.processes.front import Front, WorkerState
from acquirer.switch.processes.link_owners import LinkOwners
from acquirer.switch.processes.living import (
    SILENT_S,
    Command,
    Living,
    either,
    spawn,
    until_silent,
    words_of,
)
from acquirer.switch.processes.worker import check_workers
from acquirer.switch.settings import SwitchSettings
from acquirer.switch.terminals.rate_limit import RateLimit
from acquirer.switch.watch.http_server import HttpServer

log = structlog.get_logger("acquirer.supervisor")

READY_S = 120.0
PAUSE_FIRST_S = 1.0
PAUSE_CAP_S = 30.0
SETTLED_S = 60.0
"""A worker that was ready for so long is started again at once when it ends."""
RELEASE_S = 15.0
"""Connections have so long to go between two requests; then they are closed as in any stop."""
END_S = 15.0
"""What a stop may take beside the time for what is in flight."""


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
        self._workers: dict[int, Living] = {}
        hosts = [*settings.banks, *settings.order_hosts]
        self._links = LinkOwners(hosts, self._slots, self._workers)
        self._sign_ons = RateLimit(settings.limits.sign_ons_per_minute)
        self._stopping = False
        self._restarting = trio.Lock()
        self._spawned = trio.lowlevel.ParkingLot()
        self.acceptor = Acceptor(settings.limits, self._links.shares)
        registry = CollectorRegistry()
        self._serving_gauge = Gauge(
            "acquirer_workers", "Worker processes that serve", registry=registry
        )
        self._deaths = Counter(
            "acquirer_worker_deaths", "Worker processes that ended by themselves", registry=registry
        )
        self.front = Front(self._serving, self._states, self._links.of_link, registry)

    # From outside.

    async def start(self) -> None:
        """Start all workers; they are ready when this returns.

        Raises:
            ConfigError: one ended before.
        """
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
                await either(worker.drained, worker.ended)
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
                    await either(new.ready, new.ended)
                if waiting.cancelled_caught or not new.ready.is_set():
                    log.error("restart_ends", reason=f"worker {slot} did not come back")
                    return
            log.info("restarted")

    async def _successor(self, worker: Living) -> Living:
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
            worker = await self._new(slot)
            began_at = trio.current_time()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(worker.control.run)
                nursery.start_soon(worker.door.hand.run)
                nursery.start_soon(self._take_back, worker)
                nursery.start_soon(self._see_alive, worker)
                if not was_ready:
                    nursery.start_soon(_when_ready, worker, task_status.started)
                code = await worker.process.wait()
                nursery.cancel_scope.cancel()
            self._lost(worker)
            was_ready |= worker.ready.is_set()
            if not was_ready:
                reason = f"worker {slot} {words_of(code)} before it was ready"
                raise ConfigError(self._file, "", reason)
            if self._stopping:
                return
            if worker.state == "leaving" and code == 0:
                pause_s = 0.0
                continue
            self._deaths.inc()
            if worker.ready.is_set() and trio.current_time() - began_at >= SETTLED_S:
                pause_s = 0.0
            log.error("worker_died", worker=slot, reason=words_of(code), again_in_s=pause_s)
            await trio.sleep(pause_s)
            pause_s = min(max(pause_s * 2, PAUSE_FIRST_S), PAUSE_CAP_S)

    async def _new(self, slot: int) -> Living:
        terminal_counts.clear(self._counts, slot)
        worker = await spawn(
            slot,
            len(self._slots),
            self._command,
            self._parent_pipe,
            self._counts,
            serve=self._serve,
            hear=self._hear,
        )
        for other in self._workers.values():
            worker.meet(other)
        self._workers[slot] = worker
        self._spawned.unpark_all()
        self._links.welcome(worker)
        return worker

    async def _see_alive(self, worker: Living) -> None:
        with trio.move_on_after(READY_S):
            await worker.ready.wait()
        if worker.ready.is_set():
            await until_silent(worker.control)
            log.error("worker_silent", worker=worker.slot, for_s=SILENT_S)
        else:
            log.error("worker_not_ready", worker=worker.slot, within_s=READY_S)
        worker.process.kill()

    async def _take_back(self, worker: Living) -> None:
        while (handed := await worker.door.hand.next()) is not None:
            (number,) = handed.note
            self.acceptor.came_back(worker.slot, number, worker.door, handed.socket)

    def _lost(self, worker: Living) -> None:
        """A worker has ended: its connections and links are nobody's any more."""
        slot = worker.slot
        del self._workers[slot]
        self._serving_gauge.set(len(self._serving()))
        self.front.lost(slot)
        if not self._stopping:
            self._links.lost(slot)
        self.acceptor.lost(slot, worker.door)
        worker.ended.set()

    async def _end_in_order(self, worker: Living) -> None:
        """Give away what a worker has, then have it end."""
        worker.state = "leaving"
        self.acceptor.shut_door(worker.slot)
        worker.control.tell("release")
        with trio.move_on_after(RELEASE_S):
            await self.acceptor.emptied(worker.door)
        worker.control.tell("stop")
        await either(worker.drained, worker.ended)
        if not worker.ended.is_set():
            await self._links.leave(worker)
        await self.front.last_look(worker)
        self._serving_gauge.set(len(self._serving()))
        worker.control.tell("end")
        with trio.move_on_after(END_S):
            await worker.ended.wait()
            return
        log.error("killed", worker=worker.slot)
        worker.process.kill()

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
            self._links.gave_up(arguments[0])

    def _serving(self) -> list[Living]:
        workers = sorted(self._workers.values(), key=lambda worker: worker.slot)
        return [worker for worker in workers if worker.state == "serving"]

    def _states(self) -> dict[int, WorkerState]:
        return {
            slot: WorkerState(
                worker.state,
                worker.process.pid,
                worker.door.connections,
                self._links.banks_of(slot),
            )
            if (worker := self._workers.get(slot))
            else WorkerState("down", 0, 0, [])
            for slot in self._slots
        }


async def _when_ready(worker: Living, do: Callable[[], None]) -> None:
    await worker.ready.wait()
    do()


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
