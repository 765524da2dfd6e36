"""The switch's own time: steps are followed, jumps are held, ages are what was lived through."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquirer.ledger.store.instances import Past
from acquirer.switch.steady_clock import PLAUSIBLE_MS, STANDS_MS, SteadyClock

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
MORNING_MS = 1_795_000_000_000
JUMPS = [-400 * DAY_MS, -DAY_MS, -2 * MINUTE_MS, 2 * MINUTE_MS, 13 * HOUR_MS, 400 * DAY_MS]


class World:
    """A wall clock that is off, and time that passes."""

    def __init__(self, past: Past | None = None, off_ms: int = 0) -> None:
        self.true_ms = MORNING_MS
        self.off_ms = off_ms
        self.start(past or Past())

    def start(self, past: Past) -> None:
        """Start the switch, again perhaps."""
        self.clock = SteadyClock(
            lambda: self.true_ms + self.off_ms, lambda: (self.true_ms - MORNING_MS) / 1000
        )
        self.clock.resume(past)

    def passes(self, ms: int) -> int:
        """Let time pass; what the clock says then, as far from the true time."""
        for _ in range(100):
            self.true_ms += ms // 100
            self.clock.now_ms()
        return self.clock.now_ms() - self.true_ms


def vouched(seen_ms_ago: int = 1_000, steady_ms_ago: int = 30 * DAY_MS) -> Past:
    """Books that saw the switch a moment ago."""
    seen_at_ms = MORNING_MS - seen_ms_ago
    return Past(seen_at_ms, MORNING_MS - steady_ms_ago, seen_at_ms, "2026-11-18")


@pytest.mark.parametrize("step_ms", [-59_000, -500, 500, 59_000])
def test_a_step_is_followed_at_once(step_ms: int) -> None:
    """It is told of where it is large, and no age is doubted."""
    world = World(vouched())
    world.passes(HOUR_MS)
    world.off_ms = step_ms
    assert (step_ms, 0) == (world.passes(1_000), world.clock.held_ms)
    assert int(abs(step_ms) > 2_000) == world.clock.steps
    assert world.clock.steady_ms() > 30 * DAY_MS


@pytest.mark.parametrize("jump_ms", JUMPS)
def test_a_jump_that_passes_never_was(jump_ms: int) -> None:
    """Time goes on; the clock says how far off the wall clock is; nothing ages."""
    world = World(vouched())
    payment_ms = world.clock.now_ms()
    world.off_ms = jump_ms
    assert 0 == world.passes(STANDS_MS - 1_000)
    assert (jump_ms, 1) == (world.clock.held_ms, world.clock.steps)
    assert STANDS_MS - 1_000 == world.clock.age_ms(payment_ms)
    world.off_ms = 0
    assert 0 == world.passes(DAY_MS)
    assert (0, 1) == (world.clock.held_ms, world.clock.steps)
    assert world.clock.steady_ms() > 30 * DAY_MS


@pytest.mark.parametrize("jump_ms", [*JUMPS, PLAUSIBLE_MS + MINUTE_MS])
def test_a_jump_that_stands_is_followed(jump_ms: int) -> None:
    """The clock has been put right; what was stored before is no older than that."""
    world = World(vouched())
    payment_ms = world.clock.now_ms()
    world.off_ms = jump_ms
    assert jump_ms == world.passes(STANDS_MS + 4_000)
    world.passes(HOUR_MS)
    age_ms = world.clock.age_ms(payment_ms)
    if 0 < jump_ms <= PLAUSIBLE_MS:
        assert HOUR_MS + STANDS_MS + 4_000 + jump_ms == age_ms
    else:
        assert HOUR_MS <= age_ms <= HOUR_MS + 4_000
    assert world.clock.age_ms(world.clock.now_ms() - 1_000) == 1_000


def test_what_was_stored_on_a_wrong_time_ages_too() -> None:
    """A time that this clock has shown, months ahead of now, is as old as the way back."""
    world = World(vouched())
    world.off_ms = 400 * DAY_MS
    world.passes(STANDS_MS * 2)
    payment_ms = world.clock.now_ms()
    world.off_ms = 0
    world.passes(STANDS_MS * 2)
    before_ms = world.clock.age_ms(payment_ms)
    world.passes(HOUR_MS)
    assert before_ms + HOUR_MS == world.clock.age_ms(payment_ms)
    assert before_ms <= STANDS_MS


def test_a_time_of_another_process_ahead_of_ours_has_no_age() -> None:
    """This clock has never shown it."""
    world = World(vouched())
    assert 0 == world.clock.age_ms(MORNING_MS + DAY_MS)


def test_a_restart_goes_on() -> None:
    """Ages are those of before."""
    world = World(vouched(seen_ms_ago=5 * MINUTE_MS))
    assert 7 * HOUR_MS == world.clock.age_ms(MORNING_MS - 7 * HOUR_MS)
    assert 0 == world.passes(HOUR_MS)


@pytest.mark.parametrize("off_ms", [13 * HOUR_MS, 400 * DAY_MS])
def test_a_restart_far_ahead_is_believed_but_for_ages(off_ms: int) -> None:
    """Nothing is old yet; where the clock turns back it is followed at once, and all is as it was.

    But for what was stored meanwhile: that is as old as the way back.
    """
    world = World(vouched(), off_ms=off_ms)
    assert off_ms == world.passes(1_000)
    assert 1_000 == world.clock.age_ms(MORNING_MS - HOUR_MS)
    assert MORNING_MS - 1_000 == world.clock.past("").seen_at_ms
    stored_ms = world.clock.now_ms()
    world.off_ms = 0
    assert 0 == world.passes(10_000)
    assert HOUR_MS + 11_000 == world.clock.age_ms(MORNING_MS - HOUR_MS)
    assert world.clock.age_ms(stored_ms) <= 10_000
    world.off_ms = off_ms
    assert 0 == world.passes(10_000)


def test_a_start_far_ahead_that_turns_back_too_far() -> None:
    """The books have seen a later time than that: it goes on from there, and the rest is held."""
    world = World(vouched(), off_ms=DAY_MS)
    world.passes(1_000)
    world.off_ms = -DAY_MS
    assert -1_000 == world.passes(1_000)
    assert 1_000 - DAY_MS == world.clock.held_ms
    world.off_ms = 0
    assert 0 == world.passes(1_000)
    assert HOUR_MS + 3_000 == world.clock.age_ms(MORNING_MS - HOUR_MS)


def test_a_restart_far_ahead_that_is_right() -> None:
    """A switch that was off for a year: after a while its clock is as good as any."""
    world = World(Past(MORNING_MS - 365 * DAY_MS, MORNING_MS - 700 * DAY_MS, MORNING_MS, ""))
    world.passes(STANDS_MS + 1_000)
    assert world.true_ms == world.clock.past("").seen_at_ms
    world.off_ms = DAY_MS
    assert 0 == world.passes(STANDS_MS - 1_000)


@pytest.mark.parametrize("off_ms", [-400 * DAY_MS, -HOUR_MS])
def test_a_restart_far_behind_is_held(off_ms: int) -> None:
    """A dead battery: time goes on from where the switch was last seen, until it is put right."""
    world = World(vouched(), off_ms=off_ms)
    assert -1_000 == world.passes(MINUTE_MS)
    assert off_ms + 1_000 == world.clock.held_ms
    world.off_ms = 0
    assert 0 == world.passes(MINUTE_MS)
    assert world.clock.steady_ms() > 30 * DAY_MS


def test_a_restart_after_a_start_on_a_wrong_time() -> None:
    """The books still know the clock of before; what was stored between has no age yet."""
    world = World(vouched(), off_ms=400 * DAY_MS)
    world.passes(1_000)
    stored_ms, past = world.clock.now_ms(), world.clock.past("2027-12-23")
    world.off_ms = 0
    world.start(past)
    assert 0 == world.passes(1_000)
    assert HOUR_MS + 2_000 == world.clock.age_ms(MORNING_MS - HOUR_MS)
    assert 1_000 == world.clock.age_ms(stored_ms)


def test_the_first_start_of_all() -> None:
    """Nothing is known, so nothing is doubted: a jump is held."""
    world = World()
    payment_ms = world.clock.now_ms()
    world.off_ms = 13 * HOUR_MS
    assert 0 == world.passes(MINUTE_MS)
    assert MINUTE_MS == world.clock.age_ms(payment_ms)
    assert world.true_ms == world.clock.past("").seen_at_ms


def test_a_window_holds_what_may_be_within_it() -> None:
    """After a jump ahead, also what was stored in the same while before it."""
    world = World(vouched())
    assert MORNING_MS - DAY_MS == world.clock.since_ms(DAY_MS)
    stored_ms = world.clock.now_ms()
    world.off_ms = 400 * DAY_MS
    world.passes(HOUR_MS)
    assert world.clock.since_ms(DAY_MS) < stored_ms - 20 * HOUR_MS
    world.passes(DAY_MS)
    assert world.clock.now_ms() - DAY_MS == world.clock.since_ms(DAY_MS)


_steps = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 90_000, -90_000, 13 * HOUR_MS, -DAY_MS, 400 * DAY_MS]),
        st.sampled_from([1_000, MINUTE_MS, 2 * STANDS_MS, 3 * HOUR_MS]),
        st.booleans(),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(_steps)
def test_ages_are_lived_through_and_come(steps: list[tuple[int, int, bool]]) -> None:
    """Whatever the wall clock says, and however often the switch is started again."""
    world = World(vouched())
    stored: list[tuple[int, int]] = []
    for off_ms, pause_ms, restarts in steps:
        stored.append((world.clock.now_ms(), world.true_ms))
        world.off_ms = off_ms
        if restarts:
            world.start(world.clock.past(""))
        world.passes(pause_ms)
        for at_ms, since_ms in stored:
            lived_ms = world.true_ms - since_ms
            assert world.clock.age_ms(at_ms) <= lived_ms + len(steps) * PLAUSIBLE_MS
    world.off_ms = 0
    world.passes(2 * STANDS_MS)
    assert world.clock.now_ms() == world.true_ms
    world.passes(3 * DAY_MS)
    assert all(world.clock.age_ms(at_ms) >= 2 * DAY_MS for at_ms, _ in stored)
