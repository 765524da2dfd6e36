"""Processor time of a process from /proc, and a loop that says how fast this machine is just now.

What else runs on a machine changes how much processor time the same work takes. So a fixed loop
runs beside each measurement, and figures of two measurements are compared by what it took.
What the files of /proc hold is told by proc(5).
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

_TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")
_LOOP_TURNS = 20_000
_LOOP_EVERY_S = 0.25


class ThreadTime(msgspec.Struct, frozen=True):
    """Processor time of one thread in microseconds."""

    user_us: float
    system_us: float

    @property
    def all_us(self) -> float:
        """Both together."""
        return self.user_us + self.system_us


def family(process: int) -> list[int]:
    """A process and all that it and its children have started."""
    found = [process]
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in children.read_text().split():
            found += family(int(child))
    return found


def thread_times(process: int) -> dict[int, ThreadTime]:
    """What each thread of a process and of its children has used so far, by its number."""
    times: dict[int, ThreadTime] = {}
    for one in family(process):
        for stat in Path(f"/proc/{one}/task").glob("*/stat"):
            fields = stat.read_text().rpartition(")")[2].split()
            user, system = int(fields[11]), int(fields[12])
            times[int(stat.parent.name)] = ThreadTime(user * _TICK_US, system * _TICK_US)
    return times


def used_between(
    before: dict[int, ThreadTime], after: dict[int, ThreadTime]
) -> dict[int, ThreadTime]:
    """What threads used from one look to the next, without those that used nothing."""
    nothing = ThreadTime(0.0, 0.0)
    used = {
        thread: ThreadTime(
            now.user_us - before.get(thread, nothing).user_us,
            now.system_us - before.get(thread, nothing).system_us,
        )
        for thread, now in after.items()
    }
    return {thread: time for thread, time in used.items() if time.all_us}


def resident_kib(process: int) -> int:
    """Memory that a process and its children have in use."""
    statuses = [Path(f"/proc/{one}/status").read_text() for one in family(process)]
    return sum(int(status.partition("VmRSS:")[2].split()[0]) for status in statuses)


def calibrate(is_over: Callable[[float], bool]) -> float:
    """Run the loop again and again until something is over.

    Args:
        is_over: waits so many seconds at most.

    Returns:
        The median of the loop's processor time, in microseconds.
    """
    took = [_loop_us()]
    while not is_over(_LOOP_EVERY_S):
        took.append(_loop_us())
    return round(statistics.median(took), 1)


def _loop_us() -> float:
    began = time.thread_time_ns()
    number, seen = 1, {}
    for turn in range(_LOOP_TURNS):
        number = (number * 1_103_515_245 + 12_345) & 0x7FFF_FFFF
        seen[number & 0xFF] = str(turn)
    return (time.thread_time_ns() - began) / 1000
