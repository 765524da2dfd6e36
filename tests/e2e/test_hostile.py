"""Strangers at the terminals' port: floods, slow senders, mutated messages, wrong certificates."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trio
from certificates import Authority
from limits import HANG_S
from world import OpenWorld, World

from acquirer.config.estate import load_estate
from acquirer.config.tls import TlsSettings, client_context
from acquirer.switch.terminals.load import Load

pytestmark = pytest.mark.anyio

SYBIL = next(card for card in load_estate().cards if card.name == "sybil")
MUTATIONS = 400
HEADER_BYTES = 11


async def connect(world: World) -> trio.SocketStream:
    """A raw connection."""
    host, _, port = world.pos.rpartition(":")
    return await trio.open_tcp_stream(host, int(port))


async def is_closed(stream: trio.abc.Stream) -> bool:
    """Whether the switch hangs up, within a few seconds."""
    with trio.fail_after(HANG_S), suppress(trio.BrokenResourceError):
        while await stream.receive_some(4096):
            pass
    return True


async def pays(world: World) -> bool:
    """Whether an honest terminal can still pay."""
    terminal = await world.signed_on()
    return bool((await world.ask(terminal.sale(SYBIL, 100))).code == "00")


async def test_slow_senders_and_silent_ones_are_cut_off(open_world: OpenWorld) -> None:
    """One byte of a frame, none at all, or a whole one and then half: each has its time."""
    limits = {"first_frame_s": 0.3, "frame_s": 0.2}
    async with open_world(changes={"limits": limits}) as world:
        async with await connect(world) as silent:
            assert await is_closed(silent)
        async with await connect(world) as slow:
            await slow.send_all(b"\x00")
            assert await is_closed(slow)
        terminal = await world.signed_on()
        async with world.line() as line:
            await line.ask(terminal.sale(SYBIL, 100))
            await line.stream.send_all(b"\x00\x80\x60")
            assert await is_closed(line.stream)
        assert await pays(world)


async def test_a_crowd_that_says_nothing_gives_way(open_world: OpenWorld) -> None:
    """The port is full, and terminals still come in; one address has its share only."""
    limits = {"connections_max": 20, "per_address_max": 30}
    async with open_world(changes={"limits": limits}) as world:
        crowd = [await connect(world) for _ in range(40)]
        assert await pays(world)
        for stream in crowd:
            await trio.aclose_forcefully(stream)
    async with open_world(changes={"limits": {"per_address_max": 3}}) as world:
        crowd = [await connect(world) for _ in range(4)]
        assert await is_closed(crowd[3])
        for stream in crowd:
            await trio.aclose_forcefully(stream)


def mutated(frame: bytes, rng: random.Random) -> bytes:
    """A real message with something wrong: bits, lengths, claims, cuts, repeats; length mended.

    TPDU and header stay as they are: no MAC covers them.
    """
    body = bytearray(frame[2:])
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(HEADER_BYTES, len(body) + 1)
        kind = rng.randrange(6)
        if kind == 0 and at < len(body):
            body[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            body[at : at + 2] = b"\x99\x99"
        elif kind == 2:
            del body[at : at + rng.randint(1, 20)]
        elif kind == 3:
            body[at:at] = rng.randbytes(rng.randint(1, 40))
        elif kind == 4:
            body[at:at] = body[at : at + 30] * 3
        else:
            # Deep templates in DE55, each claiming the rest.
            body[at:at] = b"\xbf\x0c\x81\x7f" * 30
    return len(body).to_bytes(2, "big") + bytes(body)


async def test_mutated_messages_change_nothing(open_world: OpenWorld) -> None:
    """Hundreds of broken sales: none is approved, none ends the switch, memory of them is none."""
    async with open_world() as world:
        terminal = await world.signed_on()
        rng = random.Random(8583)
        before = world.receivable()
        for _ in range(MUTATIONS // 20):
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    frame = mutated(terminal.sale(SYBIL, 100), rng)
                    nursery.start_soon(_throw, world, frame)
        assert before == world.receivable()
        assert not [line for line in world.journal() if line.state == "approved"]
        assert await pays(world)


async def _throw(world: World, frame: bytes) -> None:
    async with await connect(world) as stream:
        with suppress(trio.BrokenResourceError):
            await stream.send_all(frame)
            await stream.send_eof()
            await is_closed(stream)


async def test_one_terminal_has_its_share_of_requests(open_world: OpenWorld) -> None:
    """What is over it is refused, and stays refused: its STAN is used up."""
    async with open_world(changes={"limits": {"per_terminal_max": 2}}) as world:
        terminal = await world.signed_on()
        frames = [terminal.sale(SYBIL, 6604) for _ in range(6)]
        replies = await world.ask_all(*frames)
        assert ["00", "00", "96", "96", "96", "96"] == sorted(reply.code for reply in replies)
        assert all(terminal.sealed(reply) for reply in replies)
        for frame, reply in zip(frames, replies, strict=True):
            assert reply.code == (await world.ask(frame)).code
        await world.agree()


async def test_what_would_wait_too_long_is_refused_as_it_comes(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sale gets 96 for good, a copy of an earlier one its first answer; reversals are served."""
    async with open_world() as world:
        terminal = await world.signed_on()
        paid = terminal.sale(SYBIL, 100)
        assert "00" == (await world.ask(paid)).code
        monkeypatch.setattr(Load, "is_too_much", lambda *_: True)
        refused = terminal.sale(SYBIL, 101)
        reply = await world.ask(refused)
        assert "96" == reply.code
        assert terminal.sealed(reply)
        assert "00" == (await world.ask(paid)).code
        assert "00" == (await world.ask(terminal.reversal(paid))).code
        assert "00" == (await world.ask(terminal.echo())).code
        monkeypatch.undo()
        assert "96" == (await world.ask(refused)).code
        async with httpx.AsyncClient() as client:
            metrics = (await client.get(f"http://{world.http}/metrics")).text
        assert "acquirer_refused_busy_total 2.0" in metrics
        await world.agree()


async def test_a_stranger_does_not_use_up_a_terminals_share(open_world: OpenWorld) -> None:
    """Messages without a MAC do not count: anybody can send them in a terminal's name."""
    async with open_world(changes={"limits": {"per_terminal_max": 1}}) as world:
        terminal = await world.signed_on()
        flood = [terminal.sign_on() for _ in range(20)]
        async with world.line() as stranger:
            await stranger.send(*flood, *[terminal.echo() for _ in range(20)])
            assert "00" == (await world.ask(terminal.sale(SYBIL, 100))).code
            assert {"00"} == {(await stranger.receive()).code for _ in range(40)}


async def test_terminals_under_tls_with_certificates(open_world: OpenWorld, tmp_path: Path) -> None:
    """A terminal with one of ours is served, one with none is not, nor is plain TCP."""
    authority = Authority(tmp_path)
    files = msgspec.to_builtins(authority("switch.test"))
    async with open_world(changes={"listen": {"tls": files}}) as world:
        terminal = world.terminal("10000001")
        ours = client_context(authority("10000001"))
        async with trio.SSLStream(
            await connect(world), ours, server_hostname="switch.test", https_compatible=True
        ) as stream:
            await stream.send_all(terminal.sign_on())
            with trio.fail_after(HANG_S):
                assert await stream.receive_some(4096)
        stranger = client_context(TlsSettings(ca=files["ca"]))
        for context in (stranger, None):
            raw: Any = await connect(world)
            if context is not None:
                raw = trio.SSLStream(raw, context, server_hostname="switch.test")
            with suppress(trio.BrokenResourceError):
                await raw.send_all(terminal.sign_on())
            assert await is_closed(raw)
            await trio.aclose_forcefully(raw)
