"""A child of ``acquirer up`` that does not stay up: started again, told about, never given up."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from limits import HANG_S
from structlog.testing import capture_logs

from acquirer.cli import supervisor
from acquirer.cli.supervisor import Part
from acquirer.config.loading import ConfigError
from acquirer.simulation import provision

pytestmark = pytest.mark.anyio

CHILD = """
import pathlib, sys, time
tries = pathlib.Path(sys.argv[1])
number = len(tries.read_text()) + 1 if tries.exists() else 1
tries.write_text("x" * number)
if str(number) in sys.argv[2].split(","):
    sys.exit(3)
print('{"ready": true, "bank": "127.0.0.1:%d"}' % (7000 + number), flush=True)
time.sleep(0 if str(number) in sys.argv[3].split(",") else 3600)
"""

Child = Callable[[str, str], Part]


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    """Makes a part whose starts of these numbers fail, and ready ones of those numbers end."""
    monkeypatch.setattr(supervisor, "PAUSE_FIRST_S", 0.01)
    monkeypatch.setattr(supervisor, "PAUSE_CAP_S", 0.04)
    monkeypatch.setattr(supervisor, "program", lambda *words: (sys.executable, "-c", *words))
    read_end, write_end = os.pipe()

    def make(failing: str, ending: str) -> Part:
        arguments = (CHILD, str(tmp_path / "tries"), failing, ending)
        document = {"listen": "127.0.0.1:0"}
        return Part("bank-sim", tmp_path / "bank-sim.toml", document, arguments, read_end)

    yield make
    os.close(write_end)
    os.close(read_end)


@asynccontextmanager
async def running(part: Part) -> AsyncIterator[dict[str, str]]:
    """Supervise a part; yields what its first start said."""
    async with trio.open_nursery() as nursery:
        yield await nursery.start(part.run)
        nursery.cancel_scope.cancel()
    await part.stop()


async def until(events: list[Any], name: str, count: int) -> list[Any]:
    """Wait for so many events of a name; gives them."""
    with trio.fail_after(HANG_S):
        while True:
            if len(found := [event for event in events if event["event"] == name]) >= count:
                return found
            await trio.sleep(0.01)


async def test_it_is_started_again_after_longer_and_longer_pauses(
    child: Child, tmp_path: Path
) -> None:
    """At once, then twice the pause each time up to a cap; one line each, which says why."""
    with capture_logs() as events:
        async with running(child("2,3,4,5,6", "1,7")) as first:
            assert {"bank": "127.0.0.1:7001"} == first
            await until(events, "part_restarted", 2)
    died = [event for event in events if event["event"] == "part_died"]
    assert [0.0, 0.01, 0.02, 0.04, 0.04, 0.04, 0.04] == [one["again_in_s"] for one in died]
    reasons = [one["reason"] for one in died]
    assert "ended with exit code 0" == reasons[0] == reasons[-1]
    failed = f"{tmp_path / 'bank-sim.toml'}: bank-sim ended with exit code 3 before it was ready"
    assert [failed] * 5 == reasons[1:-1]
    assert len(died) + 2 == len(events)


async def test_what_was_up_for_long_is_started_again_at_once(
    child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pauses are for what dies again and again."""
    monkeypatch.setattr(supervisor, "SETTLED_S", 0.0)
    with capture_logs() as events:
        async with running(child("", "1,2,3")):
            died = await until(events, "part_died", 3)
    assert [0.0] * 3 == [one["again_in_s"] for one in died]


async def test_a_restart_that_the_machine_refuses_is_tried_again(
    child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, or no process to be had, does not end the supervisor."""
    refused = OSError(errno.ENOSPC, "No space left on device", "bank-sim.toml")
    faults = iter([None, refused])

    def write_config(path: Path, document: dict[str, Any]) -> None:
        if fault := next(faults, None):
            raise fault
        provision.write_config(path, document)

    monkeypatch.setattr(supervisor, "write_config", write_config)
    with capture_logs() as events:
        async with running(child("", "1")):
            await until(events, "part_restarted", 1)
    died = [event["reason"] for event in events if event["event"] == "part_died"]
    assert ["ended with exit code 0", str(refused)] == died


async def test_a_first_start_that_fails_is_the_configuration(child: Child) -> None:
    """It ends ``up``, with the part's file and how it went."""
    with pytest.RaisesGroup(pytest.RaisesExc(ConfigError, match=r"bank-sim\.toml.*exit code 3")):
        async with running(child("1", "")):
            pass


async def test_stopping_waits_for_no_pause(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop while a part is down is at once."""
    monkeypatch.setattr(supervisor, "PAUSE_FIRST_S", 3600.0)
    monkeypatch.setattr(supervisor, "PAUSE_CAP_S", 3600.0)
    with capture_logs() as events:
        async with running(child("2", "1")):
            await until(events, "part_died", 2)
    assert 3600.0 == events[-1]["again_in_s"]
