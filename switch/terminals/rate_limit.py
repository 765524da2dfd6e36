"""How often a name may do something: so many times a minute, in bursts of as many. Pure.

Names are strangers' addresses, so that only so many are remembered; the one that was silent for
the longest is forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict

PER_MINUTE = 600
NAMES_MAX = 10_000


class RateLimit:
    """Budgets by name.

    Args:
        per_minute: of each name.
        names_max: that are remembered.
    """

    def __init__(self, per_minute: int = PER_MINUTE, names_max: int = NAMES_MAX) -> None:
        self._per_minute = per_minute
        self._names_max = names_max
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, now: float) -> bool:
        """Whether a name may do it once more now; an empty name always may.

        Args:
            now: monotonic seconds.

        >>> limit = RateLimit(per_minute=2)
        >>> [limit.take("a", now) for now in (0.0, 1.0, 2.0, 30.0)], limit.take("b", 2.0)
        ([True, True, False, True], True)
        """
        if not name:
            return True
        left, at = self._left.pop(name, (float(self._per_minute), now))
        left = min(left + (now - at) * self._per_minute / 60, self._per_minute)
        may = left >= 1
        self._left[name] = (left - may, now)
        if len(self._left) > self._names_max:
            self._left.popitem(last=False)
        return may
