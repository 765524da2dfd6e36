"""One worker process as its supervisor has it, from its start to its end."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Literal

import structlog
import trio

from acquirer.config.children import PARENT_PIPE
from acquirer.config.tcp_stream import TcpStream
from acquirer.switch.processes import descriptors
from acquirer.switch.processes.acceptor import Door
from acquirer.switch.processes.asgi_call import Called
from acquirer.switch.processes.channel import CallFailed, Channel, ChannelLost, Hear, Serve
from acquirer.switch.processes.descriptors import Hand
from acquirer.switch.processes.worker import Seat

log = structlog.get_logger("acquirer.supervisor")

Command = Callable[[Seat], Sequence[str]]
State = Literal["starting", "serving", "leaving"]

ASK_EVERY_S = 10.0
SILENT_S = 60.0
"""A worker that answers nothing for so long does nothing else either."""


class Living:
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

    def meet(self, other: Living) -> None:
        """Give two workers a line to each other."""
        ends = socket.socketpair()
        self.door.hand.give(ends[0], "peer", other.slot)
        other.door.hand.give(ends[1], "peer", self.slot)


async def spawn(
    slot: int,
    workers: int,
    command: Command,
    parent_pipe: int,
    counts: int,
    *,
    serve: Serve,
    hear: Callable[..., None],
) -> Living:
    """Start a worker's process.

    Args:
        slot: from 1 to ``workers``.
        command: its command line.
        parent_pipe: an open file that ends with the supervisor.
        counts: of ``terminal_counts``.
        serve: answers its calls.
        hear: takes what it tells, ``hear(slot, kind, *arguments)``.

    Raises:
        OSError: no process can be started.
    """
    control, its_control = socket.socketpair()
    hand, its_hand = descriptors.pair()
    files = (its_control.fileno(), its_hand.fileno(), counts)
    with its_control, its_hand:
        process = await trio.lowlevel.open_process(
            command(Seat(slot, workers, *files)),
            env={**os.environ, PARENT_PIPE: str(parent_pipe)},
            pass_fds=(parent_pipe, *files),
        )
    stream = TcpStream(control)
    heard: Hear = partial(hear, slot)
    log.info("worker_started", worker=slot, process=process.pid)
    return Living(slot, process, Channel(stream, serve, heard), Hand(hand))


async def until_silent(control: Channel) -> None:
    """Ask a worker again and again; returns once it has not answered for long."""
    while True:
        with trio.move_on_after(SILENT_S) as waiting:
            # One that failed was answered; a lost channel's process has ended.
            with suppress(CallFailed, ChannelLost):
                await control.call("http", *Called("GET", "/healthz", [], b"", ("", 0)))
        if waiting.cancelled_caught:
            return
        await trio.sleep(ASK_EVERY_S)


async def either(*events: trio.Event) -> None:
    """Wait until one of them has happened."""
    async with trio.open_nursery() as nursery:

        async def wait(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel()

        for event in events:
            nursery.start_soon(wait, event)


def words_of(code: int) -> str:
    """How a process ended.

    >>> words_of(-9), words_of(2)
    ('was killed by signal 9', 'ended with exit code 2')
    """
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
