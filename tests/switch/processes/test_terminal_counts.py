"""What terminals have under way in all workers."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from acquirer.switch.processes.terminal_counts import BUCKETS, WAYS, TerminalCounts, clear, make


@pytest.fixture
def file() -> Iterator[int]:
    """Memory for three workers."""
    made = make(3)
    yield made
    os.close(made)


def test_each_worker_counts_what_all_have(file: int) -> None:
    """Of one terminal, not of another; what ends is not counted any more."""
    one, other, third = (TerminalCounts(file, slot) for slot in (1, 2, 3))
    assert [0, 1, 2] == [counts.enter("10000001") for counts in (one, other, third)]
    assert 0 == one.enter("10000002")
    other.leave("10000001")
    third.leave("10000001")
    assert 1 == other.enter("10000001")


def test_what_a_dead_worker_had_is_forgotten(file: int) -> None:
    """The supervisor clears its region."""
    one, other = (TerminalCounts(file, slot) for slot in (1, 2))
    assert [0, 1] == [counts.enter("10000001") for counts in (one, other)]
    clear(file, 1)
    other.leave("10000001")
    assert 0 == other.enter("10000001")


def test_a_full_bucket_counts_too_little_and_never_too_much(file: int) -> None:
    """Of terminals in one bucket more than it holds are told apart in their own worker only."""
    one, other = (TerminalCounts(file, slot) for slot in (1, 2))
    many = [f"{number:08d}" for number in range(BUCKETS * WAYS)]
    assert {0} == {one.enter(terminal_id) for terminal_id in many}
    assert {1} == {one.enter(terminal_id) for terminal_id in many}
    seen = [other.enter(terminal_id) for terminal_id in many]
    assert set(seen) == {0, 2}
    assert seen.count(2) > seen.count(0)
