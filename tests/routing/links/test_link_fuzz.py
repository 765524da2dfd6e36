"""A bank that sends broken messages: the link stays, right answers find their requests."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from acquirer.codecs.dialect import load_dialect
from acquirer.routing.links.link_traffic import FRAMES_AT_ONCE
from acquirer.routing.outcomes import Replied

pytestmark = pytest.mark.anyio

DIALECT = load_dialect("iso87_ascii")
ROUNDS = 300


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Trio, with a clock that jumps when all wait."""
    return "trio", {"clock": MockClock(autojump_threshold=0)}


def mutated(raw: bytes, rng: random.Random) -> bytes:
    """A real reply with something wrong: bits, claims, cuts, repeats."""
    body = bytearray(raw)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(body) + 1)
        kind = rng.randrange(5)
        if kind == 0 and at < len(body):
            body[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            body[at : at + 3] = b"999"
        elif kind == 2:
            del body[at : at + rng.randint(1, 20)]
        elif kind == 3:
            body[at:at] = rng.randbytes(rng.randint(1, 40))
        else:
            body[at:at] = bytes(body[at : at + 30]) * 3
    return bytes(body) or b"\x00"


async def test_broken_replies_close_nothing(make_rig: Any, reply_of: Any) -> None:
    """Each is counted or handed on; a payment beside them is answered; the link stays."""
    rig = make_rig(timeout_s=1e6)
    rng = random.Random(8583)
    outcomes: list[Any] = []

    async def ask() -> None:
        outcomes.append(await rig.request("000017", timeout_s=1e6))

    async with trio.open_nursery() as nursery:
        await nursery.start(rig.banks.run)
        bank = await rig.bring_up()
        nursery.start_soon(ask)
        request = await bank.receive()
        # The bank's own numbers, so that no mutation is by chance the right answer.
        other = DIALECT.encode(reply_of(request, de11="000018", de37="999999999999"))
        for _ in range(ROUNDS // 10):
            await bank.send_frames(*(mutated(other, rng) for _ in range(10)))
            await wait_all_tasks_blocked()
            assert [] == outcomes
        await bank.send(reply_of(request))
        await wait_all_tasks_blocked()
        counters = rig.counters
        assert isinstance(outcomes[0], Replied)
        assert (1, 1 + 1) == (counters.connects, counters.replied)
        handled = counters.malformed + counters.unmatched + counters.overflowed
        assert ROUNDS * 9 // 10 < handled <= ROUNDS
        nursery.cancel_scope.cancel()


async def test_a_frame_that_claims_too_much_ends_the_connection_only(make_rig: Any) -> None:
    """The stream cannot be followed any more: a new connection comes, and it serves."""
    rig = make_rig()
    async with trio.open_nursery() as nursery:
        await nursery.start(rig.banks.run)
        bank = await rig.bring_up()
        await bank.stream.send_all(b"\xff\xff" + b"0" * 50)
        await rig.bring_up()
        assert (1, 2) == (rig.counters.malformed, rig.counters.connects)
        nursery.cancel_scope.cancel()


async def test_a_flood_of_broken_messages_leaves_others_their_turn(make_rig: Any) -> None:
    """Thousands come in one piece; a task beside the link runs after every few of them."""
    rig = make_rig()
    async with trio.open_nursery() as nursery:
        await nursery.start(rig.banks.run)
        bank = await rig.bring_up()
        nursery.start_soon(bank.stream.send_all, b"\x00\x01x" * 3_000)
        seen = 0
        while seen < 3_000:
            await trio.lowlevel.checkpoint()
            # Within one turn of the loop trio runs tasks in any order.
            assert rig.counters.malformed - seen <= 2 * FRAMES_AT_ONCE
            seen = rig.counters.malformed
        nursery.cancel_scope.cancel()
