"""A bound on log lines that strangers can cause: some a second, the rest as a count. Pure.

Metrics count all of them; the log shows examples.
"""

from __future__ import annotations

PER_S = 10


class LogLimit:
    """At most so many lines a second.

    Args:
        per_s: lines.
    """

    def __init__(self, per_s: int = PER_S) -> None:
        self._per_s = per_s
        self._second = 0.0
        self._shown = 0
        self._left_out = 0

    def take(self, now: float) -> int | None:
        """Whether a line may be written now.

        Args:
            now: monotonic seconds.

        Returns:
            How many were left out before it, or None where it is to be left out, too.

        >>> limit = LogLimit(per_s=1)
        >>> limit.take(1.0), limit.take(1.2), limit.take(1.9), limit.take(2.0)
        (0, None, None, 2)
        """
        if now - self._second >= 1.0:
            self._second, self._shown = now, 0
        if self._shown >= self._per_s:
            self._left_out += 1
            return None
        self._shown += 1
        left_out, self._left_out = self._left_out, 0
        return left_out
