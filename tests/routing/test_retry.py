"""The retry schedule."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from acquirer.routing.retry import RetrySchedule


def test_pauses_double_up_to_the_cap() -> None:
    """Without jitter the pauses are exact."""
    schedule = RetrySchedule(first_s=0.5, cap_s=30.0, jitter=0.0)
    assert [schedule.pause_s(failed, 0.9) for failed in range(1, 9)] == [
        0.5,
        1.0,
        2.0,
        4.0,
        8.0,
        16.0,
        30.0,
        30.0,
    ]


@given(failed=st.integers(1, 10**9), random=st.floats(0, 1, exclude_max=True))
def test_jitter_only_shortens(failed: int, random: float) -> None:
    """A pause lies between its jittered floor and the cap, however often it failed."""
    schedule = RetrySchedule(first_s=1.0, cap_s=60.0, jitter=0.25)
    assert 0.75 <= schedule.pause_s(failed, random) <= 60.0


def test_it_gives_up_after_the_last_attempt() -> None:
    """Zero means never."""
    assert [RetrySchedule(attempts_max=3).gives_up(failed) for failed in (1, 2, 3, 4)] == [
        False,
        False,
        True,
        True,
    ]
    assert not RetrySchedule().gives_up(10**6)
