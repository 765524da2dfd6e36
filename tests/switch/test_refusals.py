"""Refusals recorded behind the answer: what the books never take holds nothing up."""

from __future__ import annotations

from typing import Any

import pytest

from acquirer.ledger.errors import BookUnavailable, UnitRefused
from acquirer.switch import refusals
from acquirer.switch.refusals import Refusals

pytestmark = pytest.mark.anyio


async def test_one_that_cannot_be_recorded_does_not_hold_up_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its own copy can be recorded as little, so it cannot be approved either."""
    results: list[Exception | None]
    results = [UnitRefused("a character"), None, BookUnavailable("gone"), None]
    recorded: list[str] = []

    async def refuse(context: Any, request: Any, kind: str, code: str) -> None:
        if error := results.pop(0):
            raise error
        recorded.append(request)

    monkeypatch.setattr(refusals, "refuse", refuse)
    context: Any = None
    waiting = Refusals(context)
    requests: list[Any] = ["wrong", "first", "second"]
    for request in requests:
        waiting.add(request, "sale", "96")
    await waiting.record()
    assert ["first"] == recorded
    await waiting.record()
    assert ["first", "second"] == recorded
