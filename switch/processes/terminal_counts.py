"""What each terminal has under way in all workers: counts in memory that they share.

Each worker has a region that only it writes, and reads those of the others: no lock, no message.
It notes its own request first and counts then, so that of two workers that count at once at least
one sees both, and a limit is never passed. A region is a table of small buckets; where one is full,
what does not fit counts in its own worker only.
"""

from __future__ import annotations

import mmap
import os
import struct
from zlib import crc32

from acquirer.switch.terminals.at_once import AtOnce

BUCKETS = 4096
WAYS = 4
_ENTRY = struct.Struct("<8sI")
_BUCKET = struct.Struct("<" + "8sI" * WAYS)
REGION_BYTES = BUCKETS * _BUCKET.size


def make(workers: int) -> int:
    """Memory for so many workers, as an open file that child processes inherit by number."""
    file = os.memfd_create("acquirer-terminals")
    os.ftruncate(file, workers * REGION_BYTES)
    return file


def clear(file: int, slot: int) -> None:
    """Forget what a worker that is gone had under way."""
    os.pwrite(file, bytes(REGION_BYTES), (slot - 1) * REGION_BYTES)


class TerminalCounts(AtOnce):
    """The counts as one worker sees them.

    Args:
        file: of :func:`make`; may be closed afterwards.
        slot: this worker's, from 1.
    """

    def __init__(self, file: int, slot: int) -> None:
        super().__init__()
        self._memory = mmap.mmap(file, 0)
        others = range(len(self._memory) // REGION_BYTES)
        self._mine = (slot - 1) * REGION_BYTES
        self._others = [at * REGION_BYTES for at in others if at != slot - 1]

    def enter(self, terminal_id: str) -> int:
        """One more is under way here; how many there were before it, here and elsewhere."""
        before = super().enter(terminal_id)
        name, bucket = _place(terminal_id)
        self._note(name, bucket, before + 1)
        for region in self._others:
            found = _BUCKET.unpack_from(self._memory, region + bucket)
            if name in found:
                before += found[found.index(name) + 1]
        return before

    def leave(self, terminal_id: str) -> None:
        """One less is."""
        super().leave(terminal_id)
        name, bucket = _place(terminal_id)
        self._note(name, bucket, self.here(terminal_id))

    def _note(self, name: bytes, bucket: int, count: int) -> None:
        found = _BUCKET.unpack_from(self._memory, self._mine + bucket)
        if name in found:
            way = found.index(name) // 2
        elif 0 in found:
            way = found.index(0) // 2
        else:
            return
        at = self._mine + bucket + way * _ENTRY.size
        # The name first: others pass over what has no count.
        self._memory[at : at + 8] = name
        struct.pack_into("<I", self._memory, at + 8, count)


def _place(terminal_id: str) -> tuple[bytes, int]:
    name = terminal_id.encode("latin-1", "replace")[:8].ljust(8)
    return name, crc32(name) % BUCKETS * _BUCKET.size
