"""A safety net against hanging, which only faults reach; and how often races are run."""

import os
import time
from collections.abc import Callable

HANG_S = 300.0
"""Far longer than anything takes."""
ROUNDS = int(os.environ.get("RACE_ROUNDS", "5"))
"""How often each race is run; ``make races`` says 200."""
AT_ONCE = min(200, 4 * ROUNDS)
"""How many payments come side by side."""


def comes(happened: Callable[[], object]) -> bool:
    """Whether something that another process brings about comes to be so."""
    until = time.monotonic() + HANG_S
    while not happened():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
