"""One HTTP request as a call: the supervisor has read it, a worker's application answers it."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, NamedTuple

import trio

from acquirer.switch.watch.http_server import App


class Called(NamedTuple):
    """A whole request."""

    method: str
    path: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    client: tuple[str, int]


class Answered(NamedTuple):
    """A whole answer."""

    status: int
    content_type: str
    body: bytes


UNAVAILABLE = Answered(503, "application/json", b'{"error":"this worker is not ready yet"}')


async def call_app(app: App | None, called: Called) -> Answered:
    """What an application answers."""
    if app is None:
        await trio.lowlevel.checkpoint()
        return UNAVAILABLE
    asked = iter([{"type": "http.request", "body": called.body, "more_body": False}])
    status, content_type, body = 500, "", b""

    async def receive() -> MutableMapping[str, Any]:
        for message in asked:
            return message
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status, content_type, body
        if message["type"] == "http.response.start":
            status = message["status"]
            content_type = dict(message.get("headers", ())).get(b"content-type", b"").decode()
        else:
            body += message.get("body", b"")

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": called.method,
        "scheme": "http",
        "path": called.path,
        "raw_path": called.path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(bytes(name), bytes(value)) for name, value in called.headers],
        "client": tuple(called.client),
        "server": None,
    }
    await app(scope, receive, send)
    return Answered(status, content_type, body)
