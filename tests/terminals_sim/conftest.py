"""Terminals in software and the scripted hosts that they talk to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import pytest
import trio
import trio.testing
from fake_host import TMK, Act, Bench, FakeHost

from acquirer.config.estate import Card
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.identity import Identity
from acquirer.terminals_sim.link import TerminalLink
from acquirer.terminals_sim.state import TerminalState
from acquirer.terminals_sim.store import MemoryStore
from acquirer.terminals_sim.terminal import Terminal


@pytest.fixture
def card() -> Card:
    """A test card of the demo estate's kind."""
    return Card("alice", "6225882202982730907", "3106", "101", "9918", 500000)


@pytest.fixture
def make_identity() -> Callable[..., Identity]:
    """Makes terminals that differ from the usual one."""

    def make(**changes: Any) -> Identity:
        values = {"terminal_id": "10000001", "merchant_id": "898110053310001", "tmk": TMK}
        return Identity(**{**values, **changes})

    return make


@pytest.fixture
def identity(make_identity: Callable[..., Identity]) -> Identity:
    """The usual terminal: CUP-ECB, GB18030."""
    return make_identity()


@pytest.fixture
def host(identity: Identity) -> FakeHost:
    """The usual host."""
    return FakeHost(identity)


@pytest.fixture
def make_host() -> type[FakeHost]:
    """For tests with a terminal of their own."""
    return FakeHost


@pytest.fixture
def act() -> type[Act]:
    """How to say what the host does next."""
    return Act


@pytest.fixture
def wire() -> Callable[..., Any]:
    """Opens a client and a host on in-memory streams, signed on unless told otherwise."""

    @asynccontextmanager
    async def opened(
        host: FakeHost,
        *,
        saved: TerminalState | None = None,
        sign_on: bool = True,
        refuse: bool = False,
        **options: Any,
    ) -> AsyncIterator[Bench]:
        async with trio.open_nursery() as nursery:

            async def connect() -> trio.abc.Stream:
                if refuse:
                    raise OSError(111, "Connection refused")
                near, far = trio.testing.memory_stream_pair()
                host.connections += 1
                nursery.start_soon(host.serve, far)
                return near

            state = saved or TerminalState(host.identity.terminal_id)
            terminal = Terminal(host.identity, state, today=lambda: date(2026, 11, 21))
            store = MemoryStore()
            async with TerminalClient(terminal, store, TerminalLink(connect), **options) as client:
                if sign_on:
                    assert (await client.sign_on()).approved
                    host.requests.clear()
                yield Bench(host, client, store)
            nursery.cancel_scope.cancel()

    return opened


@pytest.fixture
def signed_on(host: FakeHost) -> Terminal:
    """A terminal without a connection that has keys, at STAN 000002 of batch 000007."""
    terminal = Terminal(
        host.identity,
        TerminalState(host.identity.terminal_id),
        today=lambda: date(2026, 11, 21),
    )
    request = terminal.sign_on()
    answers = host.replies(request.frame)
    assert terminal.take(request, answers[0]) is not None
    host.requests.clear()
    return terminal
