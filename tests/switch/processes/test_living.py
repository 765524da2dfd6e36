"""Whether a worker still answers."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from acquirer.switch.processes.channel import Channel
from acquirer.switch.processes.living import ASK_EVERY_S, SILENT_S, until_silent

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Trio, with a clock that jumps when all wait."""
    return "trio", {"clock": MockClock(autojump_threshold=0)}


async def test_a_worker_that_answers_nothing_for_long_is_noticed() -> None:
    """One that answers, with whatever, is not."""
    near, far = memory_stream_pair()
    asked = 0

    async def serve(kind: str, *arguments: Any) -> list[Any]:
        nonlocal asked
        asked += 1
        if asked > 3:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        return [200, "application/json", b"{}"]

    supervisor = Channel(near, serve, lambda *said: None)
    worker = Channel(far, serve, lambda *said: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run)
        nursery.start_soon(worker.run)
        await until_silent(supervisor)
        nursery.cancel_scope.cancel()
    assert trio.current_time() == pytest.approx(3 * ASK_EVERY_S + SILENT_S)
