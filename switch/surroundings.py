"""What a switch takes from the machine that it runs on: time, randomness, sockets, its database.

The defaults are the real things. A simulation brings others, so that one seed decides a run; no
other module of the switch reaches for a clock, a socket or a random number by itself.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

import trio
from prometheus_client import CollectorRegistry

from acquirer.config.tcp_stream import TcpListener
from acquirer.ledger.book import Book, open_book
from acquirer.payments.kernel.calendar import DAY_MS, WallClock
from acquirer.routing.banks.banks import Place
from acquirer.routing.links.link_streams import Connect, open_tcp
from acquirer.routing.orders.http1 import HttpConnect, open_http
from acquirer.switch.hsm.transport import HsmTransport
from acquirer.switch.settings import SwitchSettings
from acquirer.switch.terminals.at_once import AtOnce
from acquirer.switch.watch.http import OperatorRoutes, Ready, serve_http
from acquirer.switch.watch.http_server import Trusts

Listener = trio.abc.Listener[trio.abc.Stream]
Listen = Callable[[str, int], Awaitable[tuple[str, Listener]]]
RANDOM_BYTES_MAX = 512
OpenBooks = Callable[[SwitchSettings, WallClock], AbstractAsyncContextManager[Book]]


class ServeHttp(Protocol):
    """Serves health, metrics and operator calls; ``started`` is told the address."""

    async def __call__(
        self,
        address: str,
        *,
        ready: Ready,
        registry: CollectorRegistry,
        operator: OperatorRoutes = (),
        trusts: Trusts = ...,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve."""


def wall_ms() -> int:
    """Milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


class RandomBytes:
    """The system's random bytes, drawn many at once.

    Each draw hands the interpreter's lock to another thread, which a payment would wait for.
    """

    def __init__(self) -> None:
        self._drawn = b""

    def __call__(self, size: int) -> bytes:
        """So many bytes, at most ``RANDOM_BYTES_MAX``, that nobody else was given."""
        if len(self._drawn) < size:
            self._drawn = os.urandom(RANDOM_BYTES_MAX)
        given, self._drawn = self._drawn[:size], self._drawn[size:]
        return given


def open_books(settings: SwitchSettings, wall: WallClock) -> AbstractAsyncContextManager[Book]:
    """The books that the settings name."""
    return open_book(
        settings.database.url,
        settings.instance,
        create=settings.database.create,
        queue_units_max=settings.database.queue_units_max,
        clock_ms=wall,
    )


async def listen_tcp(host: str, port: int) -> tuple[str, Listener]:
    """A TCP port, and its address as bound.

    Raises:
        OSError: it cannot be listened on.
    """
    (opened,) = await trio.open_tcp_listeners(port, host=host)
    listener = TcpListener(opened)
    bound_host, bound_port = listener.address
    return f"{bound_host}:{bound_port}", listener


async def _at_once() -> None:
    await trio.lowlevel.checkpoint()


@dataclass(frozen=True, slots=True)
class Company:
    """What the processes of one switch on one machine have in common (``switch/processes``).

    Attributes:
        place: where the links of a bank are; None where this process is alone.
        may_make_keys: as :class:`Context` has it; None for a limit of this process's own.
        at_once: makes the counts of what terminals have under way.
        before_end: waited for when all terminals are answered and before anything else ends.
    """

    place: Place | None = None
    may_make_keys: Callable[[str], Awaitable[bool]] | None = None
    at_once: Callable[[], AtOnce] = AtOnce
    before_end: Callable[[], Awaitable[None]] = _at_once


ALONE = Company()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The outside world of one switch.

    Attributes:
        wall_ms: milliseconds since 1970 UTC, for records.
        day_ms: how long a day of a pre-authorisation lasts.
        random: numbers from 0 to 1, for jitter.
        random_bytes: nonces and ids.
        open_books: opens the database.
        hsm: a wire to the security module to use instead of the one that the settings name.
        connect_bank, connect_orders: open connections.
        listen: opens the terminals' port.
        serve_http: serves health, metrics and operator calls.
        company: the other processes of the same switch.
    """

    wall_ms: WallClock = wall_ms
    day_ms: int = DAY_MS
    random: Callable[[], float] = random.random
    random_bytes: Callable[[int], bytes] = field(default_factory=RandomBytes)
    open_books: OpenBooks = open_books
    hsm: HsmTransport | None = None
    connect_bank: Connect = open_tcp
    connect_orders: HttpConnect = open_http
    listen: Listen = listen_tcp
    serve_http: ServeHttp = serve_http
    company: Company = ALONE


REAL_WORLD = Surroundings()
