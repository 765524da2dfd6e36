"""When to try again: a pure schedule, shared by links, the reversal queue and the outbox.

It knows no clock and draws no numbers: attempt and randomness come as arguments.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Pauses that grow by a factor up to a cap.

    Attributes:
        first_s: the pause after the first failed attempt, in seconds.
        cap_s: the longest pause before jitter.
        factor: what each pause is times the one before.
        jitter: the largest share of a pause that is taken off at random, 0 to 1, so that
            many that failed together do not come back together.
        attempts_max: attempts after which to give up; 0 means never.
    """

    first_s: float = 1.0
    cap_s: float = 300.0
    factor: float = 2.0
    jitter: float = 0.2
    attempts_max: int = 0

    def pause_s(self, failed: int, random: float) -> float:
        """Seconds to wait after an attempt that failed.

        Args:
            failed: attempts that failed so far, from 1.
            random: a number from 0 (inclusive) to 1.

        >>> schedule = RetrySchedule(first_s=1.0, cap_s=30.0, jitter=0.0)
        >>> [schedule.pause_s(n, 0.5) for n in (1, 2, 3, 6, 5000)]
        [1.0, 2.0, 4.0, 30.0, 30.0]
        """
        pause_s = self.first_s
        for _ in range(failed - 1):
            pause_s *= self.factor
            if pause_s >= self.cap_s:
                break
        return min(pause_s, self.cap_s) * (1.0 - self.jitter * random)

    def gives_up(self, failed: int) -> bool:
        """Whether ``failed`` attempts are the most that may be made."""
        return 0 < self.attempts_max <= failed
