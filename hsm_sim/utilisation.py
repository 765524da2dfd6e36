"""How busy the module has been, as monitoring clients ask: seconds by load, commands by code.

Every second counts once, by the share of it that commands took. The numbers begin with the module's
process and can be begun anew. Source: docs/hsm.md, "Utilisation and health".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

BANDS = 10


class Calls(Protocol):
    """What is counted of a command."""

    calls: int


class Utilisation:
    """Counts of one module.

    Args:
        counts: by command code.
        wall: seconds since 1970.

    Attributes:
        wall: the same.
        begun_at: when the load and the commands were begun, seconds since 1970.
        health_begun_at: when refused accounts were.
        bands: seconds with a load below 10 %, below 20 % and so on.
        refused_accounts: requests for accounts with too many wrong PINs (39).
    """

    def __init__(self, counts: Mapping[str, Calls], wall: Callable[[], float]) -> None:
        self.wall = wall
        self._counts = counts
        self.begun_at = self.health_begun_at = wall()
        self.bands = [0] * BANDS
        self.refused_accounts = 0
        self._before: dict[str, int] = {}
        self._second = int(self.begun_at)
        self._busy_s = 0.0

    def took(self, seconds: float) -> None:
        """Count the time of a command that has just ended."""
        second = int(self.wall())
        if second != self._second:
            self._end_second(second)
        self._busy_s += seconds

    def load(self) -> list[int]:
        """The bands up to now."""
        self._end_second(int(self.wall()))
        return self.bands

    def commands(self) -> dict[str, int]:
        """How often each command was called, those that never were left out."""
        calls = {code: one.calls - self._before.get(code, 0) for code, one in self._counts.items()}
        return {code: number for code, number in sorted(calls.items()) if number}

    def begin_anew(self) -> None:
        """Forget load and commands."""
        self.begun_at = self.wall()
        self.bands = [0] * BANDS
        self._before = {code: one.calls for code, one in self._counts.items()}
        self._second, self._busy_s = int(self.begun_at), 0.0

    def begin_health_anew(self) -> None:
        """Forget what J8 counts."""
        self.health_begun_at, self.refused_accounts = self.wall(), 0

    def _end_second(self, second: int) -> None:
        passed = second - self._second
        if passed > 0:
            self.bands[min(int(self._busy_s * BANDS), BANDS - 1)] += 1
            self.bands[0] += passed - 1
        if passed:
            self._second, self._busy_s = second, 0.0
