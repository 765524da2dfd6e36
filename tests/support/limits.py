"""A safety net against hanging: far longer than anything takes, so that only faults reach it."""

import time
from collections.abc import Callable

HANG_S = 300.0


def comes(happened: Callable[[], object]) -> bool:
    """Whether something that another process brings about comes to be so."""
    until = time.monotonic() + HANG_S
    while not happened():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
