"""Which receivers are failing, and until when their events had better wait. Pure.

One receiver that is down must not hold back the events of the others: after a few failures in a
row its lane closes, its events are put off without an attempt, and one probe at a time goes out.
"""

from __future__ import annotations

import msgspec

from acquirer.routing.retry import RetrySchedule

FAILURES_BEFORE_CLOSING = 3
LANES_MAX = 10_000


class _Lane(msgspec.Struct):
    failures: int = 0
    closed_until_ms: int = 0


class Lanes:
    """The state of every lane that has failed since its last success.

    Args:
        schedule: pauses of a closed lane.
        probe_ms: how long the others of a lane wait while its probe is out.
    """

    def __init__(self, schedule: RetrySchedule, probe_ms: int) -> None:
        self._schedule = schedule
        self._probe_ms = probe_ms
        self._lanes: dict[str, _Lane] = {}

    def put_off_until_ms(self, name: str, now_ms: int) -> int | None:
        """When to come back with this lane's next event, or None where it may go out now.

        None for a closed lane makes that event the probe: until it has ended, or ``probe_ms``
        has passed, the others are put off.
        """
        lane = self._lanes.get(name)
        if lane is None or lane.failures < FAILURES_BEFORE_CLOSING:
            return None
        if now_ms < lane.closed_until_ms:
            return lane.closed_until_ms
        lane.closed_until_ms = now_ms + self._probe_ms
        return None

    def succeeded(self, name: str) -> None:
        """The receiver took an event, or refused one for good: it is there."""
        self._lanes.pop(name, None)

    def failed(self, name: str, now_ms: int, random: float) -> None:
        """The receiver did not take an event; ``random`` is from 0 to 1."""
        lane = self._lanes.get(name)
        if lane is None:
            if len(self._lanes) >= LANES_MAX:
                del self._lanes[next(iter(self._lanes))]
            lane = self._lanes[name] = _Lane()
        lane.failures += 1
        beyond = lane.failures - FAILURES_BEFORE_CLOSING
        if beyond >= 0:
            pause_s = self._schedule.pause_s(beyond + 1, random)
            lane.closed_until_ms = now_ms + int(pause_s * 1000)
