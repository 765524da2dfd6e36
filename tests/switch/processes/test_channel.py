"""Calls between two processes of a switch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from acquirer.switch.processes.channel import FRAME_BYTES_MAX, CallFailed, Channel, ChannelLost

pytestmark = pytest.mark.anyio


class End:
    """One end, and what it was told and asked."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.heard: list[Any] = []
        self.cancelled: list[Any] = []
        self.channel = Channel(stream, self.serve, lambda *said: self.heard.append(said))

    async def serve(self, kind: str, *arguments: Any) -> Any:
        """Answer what was asked, never, or with an error."""
        if kind == "never":
            try:
                await trio.sleep_forever()
            finally:
                self.cancelled.append(arguments)
        await trio.lowlevel.checkpoint()
        if kind == "fail":
            raise RuntimeError("a bug")
        return [kind, *arguments]


@asynccontextmanager
async def ends() -> AsyncIterator[tuple[End, End, trio.Nursery]]:
    """Two ends that run."""
    near, far = memory_stream_pair()
    one, other = End(near), End(far)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.channel.run)
        nursery.start_soon(other.channel.run)
        yield one, other, nursery
        nursery.cancel_scope.cancel()


async def test_calls_and_tellings_go_both_ways() -> None:
    """Side by side, with what MessagePack carries."""
    async with ends() as (one, other, _):
        assert ["add", 1, {2: "x"}, b"\0"] == await one.channel.call("add", 1, {2: "x"}, b"\0")
        assert ["sub"] == await other.channel.call("sub")
        one.channel.tell("done", 5)
        await wait_all_tasks_blocked()
        assert [("done", 5)] == other.heard


async def test_what_fails_there_is_an_error_here() -> None:
    """And the channel goes on."""
    async with ends() as (one, _, _):
        with pytest.raises(CallFailed):
            await one.channel.call("fail")
        assert ["more"] == await one.channel.call("more")


async def test_who_does_not_wait_any_more_is_not_served_any_more() -> None:
    """Cancelling a call cancels what it started."""
    async with ends() as (one, other, nursery):
        with trio.CancelScope() as scope:
            nursery.start_soon(wait_and_cancel, scope)
            await one.channel.call("never", 7)
        await wait_all_tasks_blocked()
        assert [(7,)] == other.cancelled


async def wait_and_cancel(scope: trio.CancelScope) -> None:
    """Once all wait."""
    await wait_all_tasks_blocked()
    scope.cancel()


async def test_a_lost_channel_says_whether_a_call_may_have_arrived() -> None:
    """One that was sent may have; one that was not has not."""
    near, far = memory_stream_pair()
    one = End(near)
    lost: list[ChannelLost] = []

    async def call() -> None:
        try:
            await one.channel.call("never")
        except ChannelLost as error:
            lost.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.channel.run)
        nursery.start_soon(call)
        await wait_all_tasks_blocked()
        await far.aclose()
        await wait_all_tasks_blocked()
        await call()
    assert [True, False] == [error.may_have_left for error in lost]


async def test_a_frame_that_is_too_long_ends_the_channel() -> None:
    """Before it is read."""
    near, far = memory_stream_pair()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(End(near).channel.run)
            await far.send_all((FRAME_BYTES_MAX + 1).to_bytes(4, "big"))
            assert b"" == await far.receive_some(1)
