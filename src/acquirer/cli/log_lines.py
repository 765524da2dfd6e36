"""Where log lines go: to a file, those of one turn of a trio program's loop in one write.

Each write hands the interpreter's lock to another thread, which costs a payment more than its line.
So what is only told is written before the loop waits; warnings and errors at once, with what was
told before them.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from contextlib import suppress
from typing import BinaryIO

import trio


class LogLines(trio.abc.Instrument):
    """Takes lines, from any thread; outside a program that it watches it writes each at once.

    Error handling: lines that the file does not take are lost, and stop nothing else.

    Attributes:
        file: where to.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._lines: deque[bytes] = deque()
        self._writing = threading.Lock()
        self._watched = 0

    def before_run(self) -> None:
        """The program begins."""
        self._watched = threading.get_ident()

    def before_io_wait(self, timeout: float) -> None:
        """One turn of its loop is over."""
        if self._lines:
            self._write()

    def after_run(self) -> None:
        """It has ended."""
        self._watched = 0
        self._write()

    def info(self, line: bytes) -> None:
        """Write a line before the loop waits."""
        self._lines.append(line)
        if self._watched != threading.get_ident():
            self._write()

    def warning(self, line: bytes) -> None:
        """Write a line now."""
        self._lines.append(line)
        self._write()

    debug = info
    error = critical = warning

    def _write(self) -> None:
        with self._writing, suppress(OSError):
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            if lines:
                self.file.write(b"\n".join([*lines, b""]))
                self.file.flush()


LOG_LINES = LogLines(sys.stderr.buffer)
