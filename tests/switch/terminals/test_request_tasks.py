"""Tasks that handle requests, used again and again."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from acquirer.switch.terminals.request_tasks import RequestTasks

pytestmark = pytest.mark.anyio


async def test_a_task_that_is_idle_takes_the_next_request() -> None:
    """One after another needs one task; those at once have one each; all are handled."""
    seen: list[tuple[int, int]] = []
    go_on = trio.Event()

    async def handle(request: int) -> None:
        seen.append((request, id(trio.lowlevel.current_task())))
        if request >= 10:
            await go_on.wait()

    async with trio.open_nursery() as nursery:
        tasks = RequestTasks(nursery, handle)
        for request in range(3):
            tasks.start(request)
            await wait_all_tasks_blocked()
        assert 1 == len({task for _, task in seen})
        for request in (10, 11, 12):
            tasks.start(request)
        await wait_all_tasks_blocked()
        assert {10, 11, 12} == {request for request, _ in seen[3:]}
        assert 3 == len({task for _, task in seen[3:]})
        go_on.set()
        await wait_all_tasks_blocked()
        tasks.start(3)
        await wait_all_tasks_blocked()
        assert 3 == len({task for _, task in seen})
        nursery.cancel_scope.cancel()
    assert 7 == len(seen)
