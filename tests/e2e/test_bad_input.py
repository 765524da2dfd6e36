"""Frames that are none, and too many of them: an error or a close, and nobody else feels it."""

from __future__ import annotations

from random import Random

import pytest
import trio
from pos_terminal import MAC_SLOT, Line, PosTerminal, Reply, cup_ecb, message
from world import OpenWorld, World

from acquirer.config.estate import load_estate

pytestmark = pytest.mark.anyio

SYBIL = next(card for card in load_estate().cards if card.name == "sybil")
SLOW = 6604
HEAD = bytes.fromhex("6000030102603100310000")


def framed(body: bytes) -> bytes:
    """With its length."""
    return len(body).to_bytes(2, "big") + body


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00",
        b"\xff\xff",
        b"\x10\x01" + bytes(4097),
        framed(b"x"),
        framed(HEAD),
        framed(bytes(200)),
        framed(HEAD + b"\x02"),
        framed(HEAD + b"\xab\xcd" + bytes(8)),
        framed(HEAD + bytes.fromhex("0200") + b"\xff" * 8),
        b"GET / HTTP/1.1\r\nHost: pos\r\n\r\n",
        bytes(Random(1).randbytes(4000)),
    ],
    ids=[
        "zero",
        "oversize",
        "one too many",
        "short",
        "no message",
        "no TPDU",
        "half an MTI",
        "letters in the MTI",
        "cut off",
        "HTTP",
        "noise",
    ],
)
async def test_no_message(world: World, data: bytes) -> None:
    """What is no message closes its connection; an honest terminal beside it feels nothing."""
    terminal = await world.signed_on()
    before = len(world.journal())
    async with world.line() as honest, world.line() as line:
        await line.send(data)
        assert await line.is_closed()
        assert "00" == (await honest.ask(terminal.sale(SYBIL, 100))).code
    assert before + 1 == len(world.journal())


async def test_undecodable_with_stan_and_terminal(world: World) -> None:
    """Where MTI, DE11 and DE41 can be read the answer is 30, and the connection goes on."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100)
    frame = bytearray(terminal.frame("0200", fields))
    frame[frame.index(bytes.fromhex("000000000100"))] = 0xFA
    async with world.line() as line:
        reply = await line.ask(bytes(frame))
        assert ("0210", "30", False) == (reply.mti, reply.code, 64 in reply.fields)
        assert (fields[11], terminal.terminal_id) == (reply[11], reply[41])
        assert "00" == (await line.ask(terminal.frame("0200", fields))).code


@pytest.mark.parametrize("currency", [b"\x01\x02\x03", b"CNY", b"15 "])
async def test_no_currency(world: World, currency: bytes) -> None:
    """A currency that is not three digits is a format error, whatever the MAC says of it."""
    terminal = await world.signed_on()
    before = len(world.journal())
    data = terminal.sale(SYBIL, 100)[2 + len(HEAD) : -8].replace(b"156", currency)
    assert "30" == (await world.ask(framed(HEAD + data + cup_ecb(terminal.keys.mac, data)))).code
    assert before == len(world.journal())


@pytest.mark.parametrize("missing", [3, 4, 22, 25, 35, 42, 49, 60])
async def test_missing_field(world: World, missing: int) -> None:
    """A sale without one of its fields gets 30 and uses up no STAN."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100)
    whole = fields | {41: terminal.terminal_id, 42: terminal.merchant_id}
    rest = {number: value for number, value in whole.items() if number != missing}
    data = message("0200", rest | {64: MAC_SLOT})[:-8]
    frame = framed(HEAD + data + cup_ecb(terminal.keys.mac, data))
    assert "30" == (await world.ask(frame)).code
    assert "00" == (await world.ask(terminal.frame("0200", fields))).code


@pytest.mark.parametrize("field", [11, 41])
async def test_unaddressed(world: World, field: int) -> None:
    """A message that cannot be answered to anybody closes the connection."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100) | {41: terminal.terminal_id}
    rest = {number: value for number, value in fields.items() if number != field}
    async with world.line() as line:
        await line.send(framed(HEAD + message("0200", rest)))
        assert await line.is_closed()


async def test_a_reply_is_no_request(world: World) -> None:
    """A message of a response's MTI is answered by closing, not by an answer to an answer."""
    terminal = await world.signed_on()
    async with world.line() as line:
        await line.send(terminal.frame("0210", terminal.sale_fields(SYBIL, 100)))
        assert await line.is_closed()


async def test_good_frame_before_a_bad_one(world: World) -> None:
    """A whole request is answered although garbage follows it in the same bytes."""
    terminal = await world.signed_on()
    async with world.line() as line:
        await line.send(terminal.sale(SYBIL, 100) + b"\xff\xff\xff\xff")
        assert "00" == (await line.receive()).code
        assert await line.is_closed()


async def test_slow_drip(open_world: OpenWorld) -> None:
    """A peer that never completes a frame is cut off; a slow one that does is served."""
    async with open_world(changes={"limits": {"idle_s": 0.4, "first_frame_s": 0.4}}) as world:
        terminal = await world.signed_on()
        frame = terminal.sale(SYBIL, 100)
        async with world.line() as drip, world.line() as silent, world.line() as slow:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_drip, drip, frame)
                half = len(frame) // 2
                await slow.send(frame[:half])
                await trio.sleep(0.1)
                await slow.send(frame[half:])
                assert "00" == (await slow.receive()).code
                assert await silent.is_closed()
                nursery.cancel_scope.cancel()
            assert await drip.is_closed()


async def _drip(line: Line, frame: bytes) -> None:
    try:
        for byte in frame[:-1]:
            await line.send(bytes([byte]))
            await trio.sleep(0.05)
    except trio.BrokenResourceError:
        pass


async def test_connections_over_the_limit(open_world: OpenWorld) -> None:
    """Connections over the limit are closed at once; those within it work on."""
    async with open_world(changes={"limits": {"connections_max": 3}}) as world:
        terminal = world.terminal("10000001")
        lines = [await Line.open(world.pos) for _ in range(3)]
        for line in lines:
            assert "00" == (await line.ask(terminal.echo())).code
        async with world.line() as refused:
            assert await refused.is_closed()
        assert "00" == (await lines[0].ask(terminal.echo())).code
        await lines.pop().aclose()
        async with world.line() as line:
            reply = await _echo(line, terminal, world)
            assert "00" == reply.code
        for line in lines:
            await line.aclose()


async def _echo(line: Line, terminal: PosTerminal, world: World) -> Reply:
    """An echo, on a further connection where the first has not been given a place yet."""
    for _ in range(100):
        try:
            return await line.ask(terminal.echo())
        except (EOFError, trio.BrokenResourceError):
            line.stream = (await Line.open(world.pos)).stream
    raise AssertionError("never given a place")


async def test_pipelining_over_the_limit(open_world: OpenWorld) -> None:
    """More requests than may be in flight on a connection wait; none is lost."""
    async with open_world(changes={"limits": {"pipelined_max": 2}}) as world:
        terminal = await world.signed_on()
        async with world.line() as line:
            await line.send(*[terminal.sale(SYBIL, 100 + n) for n in range(20)])
            replies = [await line.receive() for _ in range(20)]
        assert {f"{100 + n:012d}" for n in range(20)} == {reply[4] for reply in replies}
        assert {"00"} == {reply.code for reply in replies}


async def test_requests_over_the_limit(open_world: OpenWorld) -> None:
    """A switch that has all the work it may have closes rather than queues; it then recovers."""
    async with open_world(changes={"limits": {"in_flight_max": 1}}) as world:
        terminal = await world.signed_on()
        async with world.line() as busy:
            await busy.send(terminal.sale(SYBIL, SLOW))
            await world.until(lambda: any(entry.amount_minor == SLOW for entry in world.journal()))
            async with world.line() as line:
                await line.send(terminal.sale(SYBIL, 100))
                assert await line.is_closed()
            assert "00" == (await busy.receive()).code
        assert "00" == (await world.ask(terminal.sale(SYBIL, 100))).code


async def test_peer_that_never_reads(world: World) -> None:
    """A peer that sends and never reads holds up nobody else."""
    terminal, honest = await world.signed_on("10000009"), await world.signed_on()
    async with world.line() as deaf:
        with trio.move_on_after(0.5):
            await deaf.send(*[terminal.echo() for _ in range(20_000)])
        assert "00" == (await world.ask(honest.sale(SYBIL, 100))).code


@pytest.mark.parametrize(("mti", "code"), [("0500", "201"), ("0320", "207")])
async def test_settlement_without_totals_needs_no_mac(world: World, mti: str, code: str) -> None:
    """Messages that carry no MAC by the interface are refused for what they lack, and unsealed."""
    terminal = await world.signed_on()
    frame = terminal.frame(mti, {11: terminal.next_stan(), 60: f"00000001{code}"}, mac=False)
    async with world.line() as line:
        await line.send(frame)
        reply = await line.receive()
    assert "30" == reply.code
    assert 64 not in reply.fields
