"""Numbers: never twice, fetched ahead, and no error of the books is swallowed."""

from __future__ import annotations

import pytest
import trio

from acquirer.ledger.errors import BookUnavailable
from acquirer.switch.numbers import BLOCK, Numbers, bank_stan_of, rrn_of

pytestmark = pytest.mark.anyio


class Blocks:
    """Gives blocks as the books do; ``fails`` makes it refuse, ``skips`` leaves numbers out."""

    def __init__(self, skips: int = 0) -> None:
        self.next = 1
        self.calls = 0
        self.fails = False
        self.skips = skips

    async def __call__(self, count: int) -> int:
        """The first of ``count`` numbers."""
        self.calls += 1
        await trio.lowlevel.checkpoint()
        if self.fails:
            raise BookUnavailable("no")
        first = self.next
        self.next += count + self.skips
        return first


async def test_each_number_once() -> None:
    """Tasks side by side get numbers that nobody else gets, over several blocks."""
    taken: list[int] = []

    async def take(numbers: Numbers) -> None:
        for _ in range(BLOCK // 4):
            taken.append(await numbers.take())
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as background:
        numbers = Numbers(Blocks(skips=50), background)
        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(take, numbers)
    assert 3 * BLOCK == len(taken) == len(set(taken))


async def test_block_is_fetched_ahead() -> None:
    """The next block is there before the present one runs out; one fetch at a time."""
    blocks = Blocks()
    async with trio.open_nursery() as background:
        numbers = Numbers(blocks, background)
        for _ in range(BLOCK - 1):
            await numbers.take()
    assert 2 == blocks.calls


async def test_books_that_refuse() -> None:
    """Numbers at hand are given although the books refuse more; then the error is the caller's."""
    blocks = Blocks()
    async with trio.open_nursery() as background:
        numbers = Numbers(blocks, background)
        await numbers.take()
        blocks.fails = True
        for _ in range(BLOCK - 1):
            await numbers.take()
            await trio.lowlevel.checkpoint()
        with pytest.raises(BookUnavailable):
            await numbers.take()
        blocks.fails = False
        assert BLOCK + 1 == await numbers.take()


def test_rrn_and_stan() -> None:
    """RRNs are 12 digits with the day in front; bank STANs run from 1 to 999999 and never are 0."""
    assert "632512345678" == rrn_of(912345678, "6325")
    assert {"000001", "999999"} == {bank_stan_of(999_999), bank_stan_of(999_998)}
