"""What random walks over orders share: messages that get lost, and a switch that dies meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Set
from random import Random

import trio
from pos_terminal import PosTerminal, Reply
from world import World

from acquirer.config.estate import load_estate

CARD, CASH, NOTHING = "000000", "900000", "910000"
CARDS = [card for card in load_estate().cards if not card.status and card.balance_minor > 200_000]


class RandomWalk:
    """One walk, drawn from its seed.

    Args:
        codes: what a terminal may be told; anything else is a fault of the switch.
    """

    def __init__(self, world: World, seed: int, codes: Set[str]) -> None:
        self.world = world
        self.draw = Random(seed)
        self.codes = codes

    async def send(
        self, terminal: PosTerminal, frame: bytes, *, again: bool = False
    ) -> Reply | None:
        """Send once; sometimes the answer is not heard, and then perhaps asked for again."""
        if self.draw.random() < 0.15:
            await self._unheard(frame)
            if not again:
                return None
        reply: Reply = await self.world.ask(frame)
        assert reply.code in self.codes, reply
        assert terminal.sealed(reply)
        return reply

    async def insist(self, terminal: PosTerminal, frame: bytes) -> None:
        """What must not be lost is sent until it is answered with something final."""
        codes = []
        for _ in range(40):
            reply = await self.send(terminal, frame, again=True)
            assert reply is not None
            if reply.code not in ("68", "91", "96"):
                return
            codes.append(reply.code)
            await trio.sleep(0.05)
        raise AssertionError(f"no final answer: {codes}")

    async def die_during(self, terminal: PosTerminal, frame: bytes) -> None:
        """The switch dies in the middle of a payment, and starts again; it is reversed."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._unheard, frame)
            await trio.sleep(self.draw.uniform(0, 0.03))
            await self.world.stop("switch")
            nursery.cancel_scope.cancel()
        await self.world.start_switch()
        await self.insist(terminal, terminal.reversal(frame))

    async def _unheard(self, frame: bytes) -> None:
        with contextlib.suppress(EOFError, OSError, trio.BrokenResourceError):
            async with self.world.line() as line:
                await line.send(frame)
                if self.draw.random() < 0.5:
                    await line.receive()
