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
    assert expected == Calendar(480).stamp(ms(2026, 6, 4, 19, 34, 56) + 789)


@pytest.mark.parametrize(
    ("offset", "date", "day"), [(480, "2027-01-01", "7001"), (-60, "2026-12-31", "6365")]
)
def test_turn_of_the_year(offset: int, date: str, day: str) -> None:
    """The business date and the RRN's day turn at local midnight."""
    stamp = Calendar(offset).stamp(ms(2026, 12, 31, 20, 0, 0))
    assert (date, day) == (stamp.business_date, stamp.rrn_day)


def test_time_that_goes_back() -> None:
    """A clock that is set back gives the stamps of the time that it shows."""
    calendar = Calendar(0)
    later = calendar.stamp(ms(2026, 6, 4, 0, 0, 1))
    assert "000000" == calendar.stamp(ms(2026, 6, 4, 0, 0, 0)).local_time
    assert later == calendar.stamp(ms(2026, 6, 4, 0, 0, 1))
