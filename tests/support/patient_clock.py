"""A clock for tests that waits for a busy program, so that no load makes a good answer late.

Time-outs of the tests' estates are short. Were they measured in real time, a machine with other
things to do would answer good requests too late. :class:`PatientClock` counts only the time in
which the event loop waited and nothing happened; while a thread of the program has something to do
it hardly goes on. It is never faster than real time, so what waits for another process waits as
long as ever.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from types import FrameType

import trio

from acquirer.ledger.store.drivers import ThreadDriver

SLICE_S = 0.01
WORKING_PACE = 0.02
"""Not 0, as a thread may wait for a lock of the database that a test holds for a while."""

_TASKS = Path("/proc/self/task")
_WAITING_FOR_WORK = {ThreadDriver._serve_group.__code__}
# Threads of the standard library, of trio and of pytest-xdist that have nothing to do.
_IDLE_FILES = ("/threading.py", "/trio/_core/_thread_cache.py", "/execnet/gateway_base.py")


class PatientClock(trio.abc.Clock, trio.abc.Instrument):
    """Give it to ``trio.run`` both as its clock and as an instrument.

    Every wait of the loop is at most a slice. A slice counts if it ended with nothing to do. So
    ``wait_all_tasks_blocked`` with a cushion never returns: sleep instead.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._waits_since: float | None = None

    def start_clock(self) -> None:
        """A loop begins; the clock goes on from where it stood."""
        self._waits_since = None

    def current_time(self) -> float:
        """Seconds that count so far."""
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """How long the loop is to wait: a slice at most, after which it asks again."""
        if self._waits_since is not None:
            waited_s = time.perf_counter() - self._waits_since
            pace = WORKING_PACE if any_thread_works() else 1.0
            self._now += min(waited_s, SLICE_S) * pace
        return min(deadline - self._now, SLICE_S)

    def before_io_wait(self, timeout: float) -> None:
        """The loop is about to wait."""
        self._waits_since = time.perf_counter()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Something happened, so the wait before it does not count."""
        self._waits_since = None


def any_thread_works() -> bool:
    """Whether another thread is on the processor, wants it, waits for a disk or for a database."""
    own = threading.get_ident(), threading.get_native_id()
    frames = (frame for ident, frame in sys._current_frames().items() if ident != own[0])
    return any(map(_works, frames)) or any(
        _state(task) in "RD" for task in _TASKS.glob("*") if task.name != str(own[1])
    )


def _works(frame: FrameType) -> bool:
    """Whether a thread's innermost frame is none in which threads wait for something to do.

    Frames behind it are not looked at: they are another thread's, which goes on meanwhile.
    """
    code = frame.f_code
    return code not in _WAITING_FOR_WORK and not code.co_filename.endswith(_IDLE_FILES)


def _state(task: Path) -> str:
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"  # it ended just now
