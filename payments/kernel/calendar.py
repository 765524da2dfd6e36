"""Time as the switch uses it: monotonic seconds for deadlines, wall milliseconds for records.

Injected everywhere, so that a test or the simulator decides what time it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

MonotonicClock = Callable[[], float]
WallClock = Callable[[], int]
DAY_MS = 86_400_000


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


def time_zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name, such as ``Asia/Shanghai``; its summer time included.

    Raises:
        ValueError: this machine knows no such zone.
    """
    try:
        return ZoneInfo(name)
    # What is missing is a KeyError; a folder or what is no zone file is one of the others.
    except (KeyError, ValueError, OSError):
        reason = (
            f"no time zone {name!r}; write an IANA name such as Asia/Shanghai or Europe/Berlin"
            " (they come with the system's package tzdata)"
        )
        raise ValueError(reason) from None


class Calendar:
    """Turns wall-clock milliseconds into stamps; keeps the last second's result.

    Args:
        zone: the terminals' time zone, by its IANA name.

    Raises:
        ValueError: this machine knows no such zone.
    """

    def __init__(self, zone: str) -> None:
        self._zone = time_zone(zone)
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
