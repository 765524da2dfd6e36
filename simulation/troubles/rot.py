"""Rows that rot: a bit flips in the card of an entry about which a bank is owed a message.

The bank goes away for that, so that something is owed. What has rotted is a dead letter, and holds
back nothing else; when the day heals the row is as it was, and the operator retries it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import trio

from acquirer.simulation.troubles.base import Trouble

if TYPE_CHECKING:
    from acquirer.simulation.world import World

KIND = "rot"
AWAY_MIN_S, AWAY_MAX_S = 1.0, 5.0


class Rot(Trouble):
    """The books of such a day."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._sound: dict[int, bytes] = {}
        self._rotten: set[str] = set()

    async def run(self) -> None:
        """Now and then, while the bank is away, flip bits in what it is owed."""
        faults = self.world.faults
        while True:
            await trio.sleep(faults.between(KIND, 1.0, 8.0))
            async with trio.open_nursery() as nursery:
                seconds = faults.between(KIND, AWAY_MIN_S, AWAY_MAX_S)
                nursery.start_soon(self.world.network.away, "bank", seconds)
                await trio.sleep(seconds * 0.9)
                self._flip()

    async def mend(self) -> None:
        """Put the rows back as they were."""
        with self._books() as books:
            for id, cipher in self._sound.items():
                books.execute("UPDATE journal SET pan_cipher = ? WHERE id = ?", (cipher, id))
        await trio.lowlevel.checkpoint()

    def excuses(self, kind: str, rrn: str) -> bool:
        """Whether this row has rotted."""
        return rrn in self._rotten

    def _flip(self) -> None:
        faults = self.world.faults
        owed = self.world.auditor.rows(
            "SELECT DISTINCT j.id, j.rrn, j.pan_cipher FROM saf s JOIN journal j"
            " ON j.id = s.original_id WHERE s.finished_at_ms IS NULL AND s.dead_at_ms IS NULL"
            " AND j.pan_cipher IS NOT NULL ORDER BY j.id"
        )
        with self._books() as books:
            for id, rrn, cipher in owed:
                if rrn in self._rotten or not faults.strikes(KIND):
                    continue
                assert isinstance(id, int)
                assert isinstance(cipher, bytes)
                rotten = bytearray(cipher)
                rotten[int(faults.between(KIND, 0, len(cipher)))] ^= 1
                books.execute("UPDATE journal SET pan_cipher = ? WHERE id = ?", (rotten, id))
                self._sound[id] = cipher
                self._rotten.add(str(rrn))
                self.world.trace.note("disk", f"a bit flips in the card of rrn={rrn}")

    def _books(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self.world.file, isolation_level=None))
