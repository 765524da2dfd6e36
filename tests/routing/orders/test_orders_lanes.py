"""Lanes: a receiver that keeps failing must not hold back the others."""

from acquirer.routing.orders.lanes import LANES_MAX, Lanes
from acquirer.routing.retry import RetrySchedule


def lanes() -> Lanes:
    """Pauses of 1, 2, 4 and at most 8 seconds; a probe may take 5."""
    return Lanes(RetrySchedule(first_s=1.0, cap_s=8.0, jitter=0.0), 5_000)


def test_two_failures_close_nothing() -> None:
    """A single bad event among good ones does not stop a lane."""
    subject = lanes()
    for _ in range(2):
        subject.failed("a", 0, 0.5)
    assert subject.put_off_until_ms("a", 0) is None


def test_after_three_failures_one_probe_at_a_time_goes_out() -> None:
    """Events wait until the pause is over; then one is the probe and the others wait for it."""
    subject = lanes()
    for _ in range(3):
        subject.failed("a", 0, 0.5)
    assert subject.put_off_until_ms("a", 0) == 1_000
    assert subject.put_off_until_ms("b", 0) is None
    assert subject.put_off_until_ms("a", 1_000) is None
    assert subject.put_off_until_ms("a", 1_001) == 6_000
    subject.failed("a", 1_500, 0.5)
    assert subject.put_off_until_ms("a", 1_500) == 3_500


def test_a_success_opens_the_lane() -> None:
    """From then on everything goes out again."""
    subject = lanes()
    for _ in range(9):
        subject.failed("a", 0, 0.5)
    subject.succeeded("a")
    assert subject.put_off_until_ms("a", 0) is None


def test_pauses_stop_growing() -> None:
    """However long a receiver is away, it is asked again within the cap."""
    subject = lanes()
    for _ in range(500):
        subject.failed("a", 0, 0.5)
    assert subject.put_off_until_ms("a", 0) == 8_000


def test_the_number_of_lanes_is_bounded() -> None:
    """The lane that has been failing longest is forgotten first."""
    subject = lanes()
    for number in range(LANES_MAX + 1):
        for _ in range(3):
            subject.failed(str(number), 0, 0.5)
    assert subject.put_off_until_ms("0", 0) is None
    assert subject.put_off_until_ms("1", 0) == 1_000
