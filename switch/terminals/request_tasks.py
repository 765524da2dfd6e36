"""Tasks that handle requests, used again and again: making one costs more than waking one.

A request has a task of its own, which outlives its connection; ``server.py`` has them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import outcome
import trio

IDLE_MAX = 1024
"""Tasks that wait for a request; each takes a few kilobytes."""

R = TypeVar("R")


class RequestTasks(Generic[R]):
    """Runs a function for each request, many at once.

    Args:
        nursery: of the tasks; it ends only when cancelled.
        handle: must raise nothing but what shall end all.
    """

    def __init__(self, nursery: trio.Nursery, handle: Callable[[R], Awaitable[None]]) -> None:
        self._nursery = nursery
        self._handle = handle
        self._idle: list[trio.lowlevel.Task] = []

    def start(self, request: R) -> None:
        """Handle a request soon."""
        if self._idle:
            trio.lowlevel.reschedule(self._idle.pop(), outcome.Value(request))
        else:
            self._nursery.start_soon(self._run, request)

    async def _run(self, request: R) -> None:
        while True:
            await self._handle(request)
            if len(self._idle) >= IDLE_MAX:
                return
            request = await self._next()

    async def _next(self) -> R:
        task = trio.lowlevel.current_task()
        self._idle.append(task)

        def abort(_raise_cancel: Any) -> trio.lowlevel.Abort:
            self._idle.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        request: R = await trio.lowlevel.wait_task_rescheduled(abort)
        return request
