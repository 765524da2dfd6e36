"""Stamps: terminal time and UTC, business date, the day in an RRN."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from acquirer.payments.kernel.calendar import Calendar, Stamp


def ms(*at: int) -> int:
    """Milliseconds of a UTC time."""
    return int(datetime(*at, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type, misc]


def test_stamp() -> None:
    """Local fields are in the terminals' zone, DE7 is in UTC."""
    expected = Stamp("033456", "0605", "0604193456", "2026-06-05", "6156")
    assert expected == Calendar("Asia/Shanghai").stamp(ms(2026, 6, 4, 19, 34, 56) + 789)


@pytest.mark.parametrize(
    ("zone", "date", "day"),
    [("Asia/Shanghai", "2027-01-01", "7001"), ("Atlantic/Azores", "2026-12-31", "6365")],
)
def test_turn_of_the_year(zone: str, date: str, day: str) -> None:
    """The business date and the RRN's day turn at local midnight."""
    stamp = Calendar(zone).stamp(ms(2026, 12, 31, 20, 0, 0))
    assert (date, day) == (stamp.business_date, stamp.rrn_day)


def test_time_that_goes_back() -> None:
    """A clock that is set back gives the stamps of the time that it shows."""
    calendar = Calendar("UTC")
    later = calendar.stamp(ms(2026, 6, 4, 0, 0, 1))
    assert "000000" == calendar.stamp(ms(2026, 6, 4, 0, 0, 0)).local_time
    assert later == calendar.stamp(ms(2026, 6, 4, 0, 0, 1))


# 2026: from UTC+1 to UTC+2 on 29 March, 01:00 UTC, and back on 25 October, 01:00 UTC.
SUMMER = {
    "before it begins": ((3, 29, 0, 59, 59), "015959", "0329"),
    "as it begins": ((3, 29, 1, 0, 0), "030000", "0329"),
    "the end of the day of 23 hours": ((3, 29, 21, 59, 59), "235959", "0329"),
    "the day after": ((3, 29, 22, 0, 0), "000000", "0330"),
    "before it ends": ((10, 25, 0, 59, 59), "025959", "1025"),
    "the hour that comes twice": ((10, 25, 1, 0, 0), "020000", "1025"),
    "the day of 25 hours begins": ((10, 24, 22, 0, 0), "000000", "1025"),
    "and ends": ((10, 25, 22, 59, 59), "235959", "1025"),
    "the day after that": ((10, 25, 23, 0, 0), "000000", "1026"),
}


@pytest.mark.parametrize(("utc", "time", "date"), SUMMER.values(), ids=SUMMER)
def test_summer_time(utc: tuple[int, ...], time: str, date: str) -> None:
    """Where clocks change, the business date still turns with local midnight."""
    stamp = Calendar("Europe/Berlin").stamp(ms(2026, *utc))
    assert (time, date) == (stamp.local_time, stamp.local_date)
    assert f"2026-{date[:2]}-{date[2:]}" == stamp.business_date


NO_ZONES = (
    "Asia/Peking",
    "",
    "+08:00",
    "../zoneinfo/UTC",
    "/etc/localtime",
    "Asia",
    "UTC\0",
    "亚洲",
)


@pytest.mark.parametrize("name", NO_ZONES)
def test_no_such_zone(name: str) -> None:
    """What is no zone is refused with names that are."""
    with pytest.raises(ValueError, match="Asia/Shanghai"):
        Calendar(name)
