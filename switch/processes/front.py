"""The HTTP port of a switch of several workers: what all of them show, and calls to one of them.

``/metrics`` is the sum, ``/readyz`` says of each worker how it is; an operator's call goes to the
worker that can do it, which keeps its rules (``operators/api.py``). What this learns of a worker it
keeps a while, so that what one has counted that dies is not lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import structlog
import trio
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from acquirer.switch.processes.asgi_call import Answered, Called
from acquirer.switch.processes.channel import CallFailed, Channel, ChannelLost
from acquirer.switch.watch.merged import Shown

log = structlog.get_logger("acquirer.processes")

ASK_S = 5.0
LOOK_EVERY_S = 5.0
"""What a worker counts between two looks is lost with it, if it is killed."""
LINKS = "/operator/links"
GONE = "the worker that was asked is gone; see what became of it before you ask again"


class Served(Protocol):
    """A worker, as far as it is asked."""

    slot: int
    control: Channel


class WorkerState(NamedTuple):
    """How a worker is, as ``/readyz`` says it.

    Attributes:
        state: starting, serving, leaving or down.
        process: its number; 0 where there is none.
        connections: of terminals.
        banks: whose links it has, order hosts among them.
    """

    state: str
    process: int
    connections: int
    banks: list[str]


class Front:
    """Asks workers on behalf of those who ask the switch.

    Args:
        serving: the workers that are ready.
        states: how each worker is, by slot.
        owner: the slot of the worker that has a link by its name; None where there is no such.
        own: the supervisor's metrics.
    """

    def __init__(
        self,
        serving: Callable[[], Sequence[Served]],
        states: Callable[[], Mapping[int, WorkerState]],
        owner: Callable[[str], int | None],
        own: CollectorRegistry,
    ) -> None:
        self._serving = serving
        self._states = states
        self._owner = owner
        self._own = own
        self._latest: dict[int, Shown] = {}
        self._gone = Shown()

    def app(self) -> Starlette:
        """The application."""
        return Starlette(
            routes=[
                Route("/healthz", self._healthz),
                Route("/readyz", self._readyz),
                Route("/metrics", self._metrics),
                Route(LINKS, self._links, methods=["POST"]),
                Route("/operator/{rest:path}", self._operator, methods=["POST"]),
            ]
        )

    async def keep_looking(self) -> None:
        """Learn every few seconds what workers have counted, for ever."""
        while True:
            await trio.sleep(LOOK_EVERY_S)
            await self._look()

    async def last_look(self, worker: Served) -> None:
        """Learn what a worker has counted that is about to end."""
        await self._shown_by(worker)

    def lost(self, slot: int) -> None:
        """A worker is gone; what it had counted counts on."""
        if (latest := self._latest.pop(slot, None)) is not None:
            self._gone.merge(latest.growing())

    async def _look(self) -> None:
        async with trio.open_nursery() as nursery:
            for worker in self._serving():
                nursery.start_soon(self._shown_by, worker)

    async def _shown_by(self, worker: Served) -> None:
        answered = await _ask(worker, Called("GET", "/metrics", [], b"", ("", 0)))
        is_there = not worker.control.is_lost
        if answered is not None and answered.status == 200 and is_there:
            try:
                self._latest[worker.slot] = Shown.of(answered.body.decode())
            except ValueError as error:
                # What was shown last stands: watching must not end what is watched.
                log.error("metrics_unreadable", worker=worker.slot, reason=str(error))

    async def _healthz(self, request: Request) -> Response:
        return JSONResponse({"alive": True})

    async def _metrics(self, request: Request) -> Response:
        await self._look()
        whole = Shown.of(generate_latest(self._own).decode())
        for shown in (self._gone, *self._latest.values()):
            whole.merge(shown)
        return Response(whole.text(), media_type=CONTENT_TYPE_LATEST)

    async def _readyz(self, request: Request) -> Response:
        answers = await self._ask_all(Called("GET", "/readyz", [], b"", ("", 0)))
        told = [msgspec.json.decode(answered.body) for answered in answers.values()]
        states = {str(slot): state._asdict() for slot, state in sorted(self._states().items())}
        is_ready = bool(told) and all(one["ready"] for one in told)
        details = _together(told) if told else {}
        answer = {**details, "ready": is_ready, "workers": states}
        return JSONResponse(answer, 200 if is_ready else 503)

    async def _operator(self, request: Request) -> Response:
        called = await _called(request)
        parts = called.path.split("/")
        slot = self._owner(parts[3]) if called.path.startswith(f"{LINKS}/") else None
        workers = self._serving()
        worker = next((one for one in workers if slot in (None, one.slot)), None)
        if worker is None:
            return JSONResponse({"error": "no worker is ready for this; ask again"}, 503)
        answered = await _ask(worker, called)
        if answered is None:
            return JSONResponse({"error": GONE}, 503)
        return Response(answered.body, answered.status, media_type=answered.content_type)

    async def _links(self, request: Request) -> Response:
        """All links, each as the worker says that has it, and the replies that any has kept."""
        answers = await self._ask_all(await _called(request))
        refused = next((one for one in answers.values() if one.status != 200), None)
        if refused is not None:
            return Response(refused.body, refused.status, media_type=refused.content_type)
        by_slot = {slot: msgspec.json.decode(one.body) for slot, one in answers.items()}
        if not by_slot:
            return JSONResponse({"error": "no worker is ready for this; ask again"}, 503)
        first = next(iter(by_slot.values()))
        links = [
            by_slot.get(self._owner(link["link"]) or 0, first)["links"][place]
            for place, link in enumerate(first["links"])
        ]
        unmatched = [one for told in by_slot.values() for one in told["unmatched"]]
        unmatched.sort(key=lambda one: str(one["at"]))
        return JSONResponse({"links": links, "unmatched": unmatched})

    async def _ask_all(self, called: Called) -> dict[int, Answered]:
        """What the workers answer that do, by slot."""
        answers: dict[int, Answered] = {}

        async def ask(worker: Served) -> None:
            if (answered := await _ask(worker, called)) is not None:
                answers[worker.slot] = answered

        async with trio.open_nursery() as nursery:
            for worker in self._serving():
                nursery.start_soon(ask, worker)
        return dict(sorted(answers.items()))


async def _called(request: Request) -> Called:
    client = (request.client.host, request.client.port) if request.client else ("", 0)
    headers = list(request.scope["headers"])
    path = request.scope["path"]
    return Called(request.method, path, headers, await request.body(), client)


async def _ask(worker: Served, called: Called) -> Answered | None:
    """What a worker answers; None where it is gone, or takes too long for one who only looks."""
    wait_s = ASK_S if called.method == "GET" else float("inf")
    with trio.move_on_after(wait_s):
        try:
            return Answered(*await worker.control.call("http", *called))
        except (ChannelLost, CallFailed):
            pass
    return None


def _together(told: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What workers say of one switch: of each thing the worst, but what any reaches is reached."""

    def either(key: str) -> dict[str, str]:
        names = told[0].get(key, {})
        states = {name: [one[key].get(name, "") for one in told] for name in names}
        return {name: "up" if "up" in found else found[0] for name, found in states.items()}

    books = [one["books"] for one in told]
    modules = {
        name: next(
            (state for one in told if (state := one["security_modules"][name]) != "up"), "up"
        )
        for name in told[0]["security_modules"]
    }
    return {
        "epoch": min(one["epoch"] for one in told),
        "books": next((word for word in ("gone", "down") if word in books), "up"),
        "banks": either("banks"),
        "links": either("links"),
        "security_modules": modules,
    }
