"""Sockets by address: TCP, and Unix sockets of any length."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from acquirer.config.addresses import (
    PATH_BYTES_MAX,
    Address,
    TcpAddress,
    UnixAddress,
    connect,
    listen,
    parse_address,
)

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def answered(address: Address) -> AsyncIterator[Address]:
    """Somebody who sends back what he gets; yields the address as bound."""
    bound, listeners = await listen(address)

    async def serve(stream: trio.SocketStream) -> None:
        async for data in stream:
            await stream.send_all(data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield bound
        nursery.cancel_scope.cancel()


async def says(address: Address) -> bytes:
    """What comes back from there."""
    async with await connect(address) as stream:
        await stream.send_all(b"hello")
        return bytes(await stream.receive_some(100))


@pytest.mark.parametrize("text", ["127.0.0.1:1500", "[::1]:0", "unix:/run/acquirer/hsm"])
def test_what_is_an_address(text: str) -> None:
    """It is shown as it was written, brackets of IPv6 apart."""
    assert text.replace("[", "").replace("]", "") == str(parse_address(text))


@pytest.mark.parametrize("text", ["", "1500", ":1500", "host:", "host:65536", "host:²", "unix:hsm"])
def test_what_is_none(text: str) -> None:
    """The refusal says what would be one."""
    with pytest.raises(ValueError, match=r"host:port|absolute path"):
        parse_address(text)


async def test_a_free_port() -> None:
    """Port 0 is the one that was bound, to whoever connects."""
    async with answered(TcpAddress("127.0.0.1", 0)) as bound:
        assert isinstance(bound, TcpAddress)
        assert 0 != bound.port
        assert b"hello" == await says(bound)


async def test_a_path_longer_than_a_socket_takes(tmp_path: Path) -> None:
    """It is reached by its folder."""
    folder = tmp_path / ("x" * 100) / ("y" * 100)
    folder.mkdir(parents=True)
    address = UnixAddress(folder / "hsm")
    assert len(os.fsencode(address.path)) > PATH_BYTES_MAX
    async with answered(address) as bound:
        assert b"hello" == await says(bound)
    assert stat.S_ISSOCK(address.path.stat().st_mode)


async def test_what_a_dead_process_left_is_replaced_and_what_lives_is_not(tmp_path: Path) -> None:
    """A socket that nobody answers gives way; one that is answered is somebody's."""
    address = UnixAddress(tmp_path / "hsm")
    for _ in range(2):
        async with answered(address):
            assert b"hello" == await says(address)
            with pytest.raises(OSError, match="in use"):
                await listen(address)
            assert b"hello" == await says(address)
    with pytest.raises(OSError, match="refused"):
        await says(address)


async def test_a_file_in_the_way_is_not_removed(tmp_path: Path) -> None:
    """Only sockets are."""
    address = UnixAddress(tmp_path / "hsm")
    address.path.write_text("precious")
    with pytest.raises(OSError, match="in use"):
        await listen(address)
    assert "precious" == address.path.read_text()
