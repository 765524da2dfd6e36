"""Programs that this one starts: how they are called, and that they end with their parent.

A parent that starts children hands each a pipe whose other end only the parent holds. When the
parent is gone, however it went, the pipe ends and the child ends at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence

PARENT_PIPE = "ACQUIRER_PARENT_PIPE"


def program(*arguments: str) -> Sequence[str]:
    """The command line that runs this same program with other arguments."""
    return (sys.executable, "-m", "acquirer", *arguments)


def die_with_parent() -> None:
    """End this process when the parent that started it has gone; no-op without such a parent."""
    descriptor = os.environ.pop(PARENT_PIPE, "")
    if not descriptor.isdigit():
        return

    def wait() -> None:
        while os.read(int(descriptor), 1):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="parent-watch", daemon=True).start()
