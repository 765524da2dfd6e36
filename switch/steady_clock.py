"""The switch's own time, which follows the wall clock but not where that jumps.

Every record, schedule, age and date of the switch is by this clock. A step of less than a minute is
followed at once. A jump is held: time goes on as the monotonic clock counts, until the wall clock
has stood by the jump for a while. Then it is followed; and since nobody can say any more how old is
what was stored before, its age begins anew (:meth:`SteadyClock.age_ms`), so that nothing is given
up or decided for a time that nobody has lived through.

Across a restart the books vouch for the clock (:class:`Past`). One that says little more than when
the switch was last seen goes on. One that is far ahead may be right, since a switch may be off for
long: it is believed for records, not for ages, and for a while followed at once where it turns
back. One that is behind, at the start or then, is held like a jump. Any thread may read it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from acquirer.ledger.store.instances import Past
from acquirer.payments.kernel.calendar import MonotonicClock, WallClock

NOTED_MS = 2_000
FOLLOWED_MS = 60_000
STANDS_MS = 300_000
# A switch may have been off for so long, or a jump ahead be so large, without a doubt about ages.
PLAUSIBLE_MS = 600_000
LONG_AGO_MS = 1


@dataclass(slots=True)
class _Jump:
    """What a wall clock says that is not followed, and since when (monotonic) it does."""

    offset_ms: int
    since_ms: int


@dataclass(frozen=True, slots=True)
class _Vouched:
    """The clock that the books have last seen, as if the switch had not been off since."""

    offset_ms: int
    steady_since_ms: int


class SteadyClock:
    """Milliseconds since 1970 UTC, and how long ago a stored time was.

    Args:
        wall: milliseconds since 1970 UTC, which may jump.
        monotonic: seconds, from anywhere; callable on any thread.

    Attributes:
        steps: how often the wall clock has stepped by more than two seconds.
        held_ms: how far the wall clock is ahead of this one; 0 where it is followed.
    """

    def __init__(self, wall: WallClock, monotonic: MonotonicClock) -> None:
        self.steps = 0
        self.held_ms = 0
        self._wall = wall
        self._monotonic = monotonic
        self._lock = threading.Lock()
        wall_ms, counted_ms = wall(), self._counted_ms()
        self._offset_ms = wall_ms - counted_ms
        self._jump: _Jump | None = None
        self._vouched = _Vouched(self._offset_ms, LONG_AGO_MS)
        self._trusted_from_ms = counted_ms
        self._steady_since_ms = LONG_AGO_MS
        self._turned_ms = self._left_ms = self._latest_ms = wall_ms
        self._seen_at_ms = 0

    def resume(self, past: Past) -> int:
        """Go on from what the books know of this switch's clock before its start.

        Returns:
            How far the wall clock is ahead of when the switch was last seen, in milliseconds;
            0 where it never was.
        """
        self._latest_ms = max(self._latest_ms, past.latest_at_ms)
        if not past.latest_at_ms:
            return 0
        wall_ms, counted_ms = self._wall(), self._counted_ms()
        gap_ms = wall_ms - past.seen_at_ms
        self._seen_at_ms = self._left_ms = past.seen_at_ms
        self._vouched = _Vouched(past.seen_at_ms - counted_ms, past.steady_since_ms)
        if gap_ms <= PLAUSIBLE_MS:
            self._turned_ms = max(wall_ms, past.seen_at_ms)
            self._steady_since_ms = past.steady_since_ms
        else:
            self._turned_ms = self._steady_since_ms = wall_ms
            self._trusted_from_ms = counted_ms + STANDS_MS
        self._offset_ms = self._turned_ms - counted_ms
        return gap_ms

    def now_ms(self) -> int:
        """What time it is."""
        with self._lock:
            wall_ms, counted_ms = self._wall(), self._counted_ms()
            offset_ms = wall_ms - counted_ms
            step_ms = offset_ms - self._offset_ms
            if abs(step_ms) <= FOLLOWED_MS:
                self.steps += abs(step_ms) > NOTED_MS
                self._jump = None
                self._offset_ms = offset_ms
            else:
                self._jumped(offset_ms, counted_ms)
            now_ms = counted_ms + self._offset_ms
            self.held_ms = wall_ms - now_ms
            self._latest_ms = max(self._latest_ms, now_ms)
            if counted_ms >= self._trusted_from_ms:
                self._seen_at_ms = now_ms
            return now_ms

    def age_ms(self, at_ms: int) -> int:
        """How long ago a stored time was, at least.

        What was stored before the clock last jumped is as old as the time since. So is a time
        ahead of now that this clock has once shown; another process's has no age yet.
        """
        now_ms = self.now_ms()
        if at_ms <= now_ms:
            return now_ms - max(at_ms, self._steady_since_ms)
        was_shown = now_ms + PLAUSIBLE_MS < at_ms <= self._latest_ms
        return now_ms - self._turned_ms if was_shown else 0

    def since_ms(self, window_ms: int) -> int:
        """The earliest stored time that may lie within the last so many milliseconds."""
        now_ms = self.now_ms()
        steady_ms = now_ms - self._steady_since_ms
        if steady_ms >= window_ms:
            return now_ms - window_ms
        return min(now_ms - window_ms, self._left_ms - (window_ms - steady_ms))

    def steady_ms(self) -> int:
        """For how long stored times are what they seem."""
        return self.now_ms() - self._steady_since_ms

    def past(self, open_date: str) -> Past:
        """What the books keep for the next start.

        Args:
            open_date: the business date that is open.
        """
        self.now_ms()
        steady_since_ms = self._steady_since_ms
        if self._counted_ms() < self._trusted_from_ms:
            steady_since_ms = self._vouched.steady_since_ms
        return Past(self._seen_at_ms, steady_since_ms, self._latest_ms, open_date)

    def _counted_ms(self) -> int:
        return round(self._monotonic() * 1000)

    def _jumped(self, offset_ms: int, counted_ms: int) -> None:
        """Hold a jump, or follow it once it has stood."""
        jump = self._jump
        if jump is None or abs(offset_ms - jump.offset_ms) > FOLLOWED_MS:
            self.steps += 1
            jump = self._jump = _Jump(offset_ms, counted_ms)
        jump.offset_ms = offset_ms
        if counted_ms < self._trusted_from_ms:
            self._turn_back(offset_ms, counted_ms)
        elif counted_ms - jump.since_ms >= STANDS_MS:
            self._follow(offset_ms, counted_ms)

    def _turn_back(self, offset_ms: int, counted_ms: int) -> None:
        """Follow a jump after a start far ahead: to what the books vouch for, where it is that."""
        vouched = self._vouched
        if offset_ms > vouched.offset_ms + PLAUSIBLE_MS:
            self._follow(offset_ms, counted_ms)
            self._trusted_from_ms = counted_ms + STANDS_MS
            return
        jump = self._jump
        self._follow(max(offset_ms, vouched.offset_ms), counted_ms)
        self._steady_since_ms = vouched.steady_since_ms
        self._trusted_from_ms = counted_ms
        if offset_ms < self._offset_ms - FOLLOWED_MS:
            # It has turned back too far: the rest is a jump like any other.
            self._jump = jump

    def _follow(self, offset_ms: int, counted_ms: int) -> None:
        if not 0 <= offset_ms - self._offset_ms <= PLAUSIBLE_MS:
            self._left_ms = counted_ms + self._offset_ms
            self._turned_ms = self._steady_since_ms = counted_ms + offset_ms
        self._jump = None
        self._offset_ms = offset_ms
