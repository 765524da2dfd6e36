"""The writer's thread: which units it commits together."""

import threading
from collections.abc import Sequence
from typing import cast

import pytest
import trio
import trio.testing

from acquirer.ledger.store import drivers
from acquirer.ledger.store.drivers import ThreadDriver
from acquirer.ledger.store.writer import Result, Unit, Writer

pytestmark = pytest.mark.anyio

NO_STEPS: Unit = ()


class CountingWriter:
    """Commits nothing and remembers the sizes of its groups; waits with the first if asked."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.may_commit = threading.Event()
        self.may_commit.set()

    def commit(self, units: Sequence[Unit]) -> list[Result]:
        """What a writer gives for units that hold."""
        self.groups.append(len(units))
        self.may_commit.wait(60)
        return [None] * len(units)

    def gone(self) -> str:
        """The books are there."""
        return ""

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def writer() -> CountingWriter:
    """One that has committed nothing yet."""
    return CountingWriter()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for another unit waits longer than any test."""
    monkeypatch.setattr(drivers, "ARRIVING_S", 600.0)
    monkeypatch.setattr(drivers, "GROUP_WAIT_S", 600.0)


async def test_a_lone_unit_waits_for_nobody(writer: CountingWriter) -> None:
    """One after the other, as a single terminal's come: each is a group of its own."""
    driver = ThreadDriver(cast(Writer, writer), 100, 100)
    await driver.start(lambda: None)
    for _ in range(3):
        await driver.submit(NO_STEPS)
    await driver.stop()

    assert writer.groups == [1, 1, 1]


async def test_while_units_arrive_a_group_waits_for_more(writer: CountingWriter) -> None:
    """Two that came during a commit are joined by a third that comes after it."""
    driver = ThreadDriver(cast(Writer, writer), 100, 3)
    await driver.start(lambda: None)
    writer.may_commit.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(driver.submit, NO_STEPS)
        while not writer.groups:
            await trio.lowlevel.checkpoint()
        for _ in range(2):
            nursery.start_soon(driver.submit, NO_STEPS)
        await trio.testing.wait_all_tasks_blocked()
        writer.may_commit.set()
        nursery.start_soon(driver.submit, NO_STEPS)
    await driver.stop()

    assert writer.groups == [1, 3]


async def test_a_group_that_waits_ends_with_the_queue(writer: CountingWriter) -> None:
    """A stop does not wait for units that do not come."""
    driver = ThreadDriver(cast(Writer, writer), 100, 100)
    await driver.start(lambda: None)
    writer.may_commit.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(driver.submit, NO_STEPS)
        while not writer.groups:
            await trio.lowlevel.checkpoint()
        for _ in range(2):
            nursery.start_soon(driver.submit, NO_STEPS)
        await trio.testing.wait_all_tasks_blocked()
        writer.may_commit.set()
        await driver.stop()

    assert writer.groups == [1, 2]
