"""What happened, in order: a running hash of everything, and lines for people where asked for.

The hash covers every byte that travelled and every commit, so that two runs of a seed can be
compared byte for byte. Lines show masked data only.
"""

from __future__ import annotations

import hashlib
import struct
from collections import Counter

import trio

LINES_MAX = 200_000


class Trace:
    """The trace of one run.

    Attributes:
        lines: readable events, empty where they were not asked for.
        is_kept: whether lines are kept.
        logged: how often the switch logged each event; alarms by their names, too.
    """

    def __init__(self, *, keep: bool) -> None:
        self.is_kept = keep
        self.lines: list[str] = []
        self.logged: Counter[str] = Counter()
        self._hash = hashlib.blake2b(digest_size=16)

    def note(self, who: str, what: str) -> None:
        """An event in words."""
        now = trio.current_time()
        self.bytes(who.encode(), what.encode())
        if self.is_kept and len(self.lines) < LINES_MAX:
            self.lines.append(f"{now:10.4f}  {who:<10} {what}")

    def bytes(self, *parts: bytes) -> None:
        """Bytes that travelled or were written."""
        update = self._hash.update
        update(struct.pack(">d", trio.current_time()))
        for part in parts:
            update(part)

    @property
    def digest(self) -> str:
        """Hexadecimal hash of the run so far."""
        return self._hash.hexdigest()
