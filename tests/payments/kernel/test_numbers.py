"""Numbers: never twice, fetched ahead, and no error of the books is swallowed."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from acquirer.ledger.errors import BookUnavailable
from acquirer.payments.kernel.numbers import (
    BLOCK,
    DAY_MS,
    STANS,
    Numbers,
    bank_stan_of,
    rrn_of,
    skip_after_restore,
)

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


async def test_all_who_wait_for_a_block_go_on_in_one_turn() -> None:
    """Of many who find none left nobody waits for the others, each for a turn of his own."""
    blocks = Blocks()
    taken: list[int] = []

    async def take(numbers: Numbers) -> None:
        taken.append(await numbers.take())

    async with trio.open_nursery() as background:
        numbers = Numbers(blocks, background)
        async with trio.open_nursery() as nursery:
            for _ in range(BLOCK // 2):
                nursery.start_soon(take, numbers)
            while not taken:
                await trio.lowlevel.checkpoint()
            # One turn for whoever fetched it, who may have run after this; one for all others.
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            assert BLOCK // 2 == len(taken) == len(set(taken))
    assert 1 == blocks.calls


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


def overlap(one: range, other: range) -> bool:
    """Whether two runs of numbers have a bank STAN in common."""
    if not one or not other:
        return False
    ahead = (other.start - one.start) % STANS
    return ahead < len(one) or STANS - ahead < len(other)


@given(st.data())
def test_after_a_restore_no_stan_of_that_day_is_used_again(data: st.DataObject) -> None:
    """Whatever the lost books used since the copy, and however often it comes back that day."""
    first = data.draw(st.integers(1, 10**12), label="next number of the copy")
    copied_ms = data.draw(st.integers(0, 40 * DAY_MS), label="age of the copy")
    midnight_ms = 20_000 * DAY_MS
    times = sorted(
        data.draw(st.lists(st.integers(0, DAY_MS - 1), min_size=1, max_size=5, unique=True))
    )
    left = STANS - 600_000
    before = data.draw(st.integers(0, left), label="used that day before the copy")
    lost = data.draw(st.integers(0, 400_000), label="used that day after it")
    runs = [range(first - before, first), range(first, first + lost)]
    left -= before
    for at_ms, next_ms in zip(times, [*times[1:], None], strict=True):
        now_ms = midnight_ms + at_ms
        start = first + skip_after_restore(midnight_ms - copied_ms, now_ms)
        at_most = left if next_ms is None else min(left, 200_000 * (next_ms - at_ms) // DAY_MS)
        used = data.draw(st.integers(0, max(at_most, 0)), label="used before the next restore")
        left -= used
        assert start > first + lost
        runs.append(range(start, start + used))
    for index, one in enumerate(runs):
        assert not any(overlap(one, other) for other in runs[index + 1 :])


def test_overlap_is_about_stans() -> None:
    """The oracle of the test above agrees with the STANs themselves."""
    for one, other in (
        (range(5, 9), range(9, 12)),
        (range(5, 9), range(8, 12)),
        (range(STANS - 2, STANS + 3), range(0, 2)),
        (range(STANS - 2, STANS + 3), range(3, 5)),
        (range(10 * STANS + 7, 10 * STANS + 9), range(8, 9)),
        (range(3, 3), range(3, 4)),
    ):
        shared = {bank_stan_of(n) for n in one} & {bank_stan_of(n) for n in other}
        assert bool(shared) == overlap(one, other) == overlap(other, one)


def test_a_copy_that_comes_back_on_a_later_day_uses_no_earlier_number_again() -> None:
    """Nor an RRN of the same day, whose last eight digits are the number's."""
    skips = [skip_after_restore(0, day * DAY_MS + 43_200_000) for day in range(9)]
    assert all(after - before > 9_000_000 for before, after in pairwise(skips))
    assert max(skips) < 10**8
    assert skip_after_restore(5 * DAY_MS, 0) == skip_after_restore(0, 0)
