"""Two real ``acquirer serve`` processes on one database, between simulators of this process."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx
import msgspec
import trio
from operated import TOKEN, without_none
from pos_terminal import Reply
from program import Program
from world import World, opened_world

from acquirer.config.estate import Estate
from acquirer.routing.settings import LinkSettings
from acquirer.simulation.provision import write_config
from acquirer.switch.app import Running
from acquirer.switch.settings import SwitchSettings

T = TypeVar("T")

PATIENCE_S = 120.0
"""Time-outs of the processes, which have the real clock: far longer than anything takes."""


class ServedWorld(World):
    """As a :class:`World`, with each of its switches in a process of its own.

    Attributes:
        options: of ``serve``.
        program: the running one.
    """

    options: tuple[str, ...] = ()
    program: Program

    async def _switch(self, task_status: trio.TaskStatus[Running]) -> None:
        settings = await self.settings()
        file = self.folder / f"{settings.instance}.toml"
        write_config(file, without_none(msgspec.to_builtins(settings)))
        self.program = serve = Program("serve", "--config", str(file), *self.options)
        try:
            ready = await serve.start()
            drain = partial(serve.send, signal.SIGTERM)
            task_status.started(
                Running(ready["pos"], ready["http"], drain, cast(Any, None), cast(Any, None))
            )
            await serve.wait()
        finally:
            with trio.CancelScope(shield=True):
                await serve.end(signal.SIGKILL)

    async def operate(self, path: str, **body: str | int) -> tuple[int, dict[str, Any]]:
        """An operator's call at this switch: status, and its JSON."""
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
            headers = {"authorization": f"Bearer {TOKEN}"}
            url = f"http://{self.http}/operator/{path}"
            reply = await client.post(url, json=body, headers=headers)
        return reply.status_code, reply.json()

    async def is_without_bank(self) -> bool:
        """Whether this switch has seen that no bank has a link up."""
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
            reply = await client.get(f"http://{self.http}/readyz")
        return not reply.json()["ready"]


Pair = tuple[ServedWorld, ServedWorld]


@asynccontextmanager
async def opened_pair(
    folder: Path, url: str, estate: Estate, changes: dict[str, Any], **attributes: Any
) -> AsyncIterator[Pair]:
    """Start an estate with two switches."""
    file = folder / "estate.toml"
    write_config(file, without_none(msgspec.to_builtins(estate)))
    patient = {
        "operator_token": TOKEN,
        "limits": {"terminal_s": PATIENCE_S, "sign_ons_per_minute": 100_000},
    }
    async with opened_world(
        folder,
        url,
        ServedWorld,
        estate_file=str(file),
        changes=patient | changes,
        bank_timeout_s=PATIENCE_S,
        **attributes,
    ) as one:
        assert isinstance(one, ServedWorld)
        async with one.sibling() as other:
            assert isinstance(other, ServedWorld)
            yield one, other


async def at_once(*calls: Callable[[], Awaitable[T]]) -> list[T]:
    """What calls return that are made side by side, in their order."""
    results: dict[int, T] = {}

    async def run(place: int, call: Callable[[], Awaitable[T]]) -> None:
        results[place] = await call()

    async with trio.open_nursery() as nursery:
        for place, call in enumerate(calls):
            nursery.start_soon(run, place, call)
    return [results[place] for place in range(len(calls))]


async def asked(*frames: tuple[World, bytes]) -> list[Reply]:
    """Replies to frames that come to their switches side by side, in their order."""
    return await at_once(*[partial(switch.ask, frame) for switch, frame in frames])


class WorkersWorld(ServedWorld):
    """A switch of two workers, at a bank that allows one connection."""

    options = ("--workers", "2")

    async def settings(self) -> SwitchSettings:
        """As of any world; where the bank calls, the link listens there."""
        settings = await super().settings()
        if not self.bank_calls:
            return settings
        links = [LinkSettings("in", address, "listen") for address in self.bank_calls]
        bank = msgspec.structs.replace(settings.banks[0], address="", links=links)
        return msgspec.structs.replace(settings, banks=[bank])

    async def workers(self) -> dict[str, Any]:
        """How the workers are, by slot."""
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
            reply = await client.get(f"http://{self.http}/readyz")
        found: dict[str, Any] = reply.json()["workers"]
        return found

    async def all_serve(self) -> bool:
        """Whether all workers serve."""
        return all(one["state"] == "serving" for one in (await self.workers()).values())

    async def processes(self) -> list[int]:
        """The workers' processes."""
        return [one["process"] for one in (await self.workers()).values()]


@asynccontextmanager
async def opened_workers(
    folder: Path, url: str, changes: dict[str, Any] | None = None, **attributes: Any
) -> AsyncIterator[WorkersWorld]:
    """Start the demo estate with such a switch."""
    limits = {"limits": {"terminal_s": PATIENCE_S, "sign_ons_per_minute": 100_000}}
    patient = {"operator_token": TOKEN, **limits}
    async with opened_world(
        folder,
        url,
        WorkersWorld,
        changes=patient | (changes or {}),
        bank_timeout_s=PATIENCE_S,
        bank_connections_max=1,
        **attributes,
    ) as world:
        assert isinstance(world, WorkersWorld)
        yield world
