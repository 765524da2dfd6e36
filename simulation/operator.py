"""The operator of a simulated switch, who calls it as ``acquirer saf retry`` does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.routing import BaseRoute, Router

TOKEN = "the operator's token"


class Operator:
    """Calls a running switch.

    Args:
        routes: what the switch serves to operators.
    """

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._router = Router(routes)

    async def post(self, path: str, body: bytes = b"") -> int:
        """Call one operation; the HTTP status."""
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": [(b"authorization", f"Bearer {TOKEN}".encode())],
            "query_string": b"",
            "client": ("127.0.0.1", 1),
        }
        await self._router(scope, receive, send)
        return statuses[0]
