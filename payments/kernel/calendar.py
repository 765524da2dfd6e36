"""Time as the switch uses it: monotonic seconds for deadlines, wall milliseconds for records.

Injected everywhere, so that a test or the simulator decides what time it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

MonotonicClock = Callable[[], float]
WallClock = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Stamp:
    """One instant as messages write it.

    Attributes:
        local_time: DE12, hhmmss in the terminals' time zone.
        local_date: DE13, MMDD in the terminals' time zone.
        transmission_at: DE7, MMDDhhmmss in UTC (ISO 8583:1987, DE7).
        business_date: YYYY-MM-DD in the terminals' time zone.
        rrn_day: last digit of the year and day of the year, four digits.
    """

    local_time: str
    local_date: str
    transmission_at: str
    business_date: str
    rrn_day: str


class Calendar:
    """Turns wall-clock milliseconds into stamps; keeps the last second's result."""

    def __init__(self, utc_offset_minutes: int) -> None:
        self._zone = timezone(timedelta(minutes=utc_offset_minutes))
        self._second = -1
        self._stamp = Stamp("", "", "", "", "")

    def stamp(self, now_ms: int) -> Stamp:
        """The stamp of a wall-clock time in milliseconds since 1970 UTC."""
        second = now_ms // 1000
        if second != self._second:
            utc = datetime.fromtimestamp(second, UTC)
            local = utc.astimezone(self._zone)
            self._stamp = Stamp(
                local.strftime("%H%M%S"),
                local.strftime("%m%d"),
                utc.strftime("%m%d%H%M%S"),
                local.strftime("%Y-%m-%d"),
                f"{local.year % 10}{local.timetuple().tm_yday:03d}",
            )
            self._second = second
        return self._stamp
