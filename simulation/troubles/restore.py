"""Books that are brought back from an older copy, perhaps more than once on one day.

What happened since the copy is forgotten, and is for reconciliation to say; it is left out where
the books are compared. Nothing that was forgotten may come back under another's numbers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from acquirer.ledger.store.database import Database
from acquirer.simulation.troubles.base import Trouble
from acquirer.switch.restored import make_fit

if TYPE_CHECKING:
    from acquirer.simulation.world import World

KIND = "restore"
TIMES = ("1", "1", "2")
_ENTRIES = (
    "SELECT id, rrn, terminal_id, batch, stan, order_no, original_id, state, response_code,"
    " claimed_by FROM journal"
)
_ORDERS = "SELECT order_no, merchant_id, status, paying_id, payment_id, changes FROM orders"
_NOTICES = "SELECT order_no, merchant_id, id, delivered_at_ms IS NULL FROM outbox"


class Restore(Trouble):
    """The books of such a day."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._copy = world.file.with_name("copy.sqlite3")

    async def run(self) -> None:
        """Copy the books; some time later they are lost, and the copy takes their place."""
        faults = self.world.faults
        for _ in range(int(faults.choice(KIND, TIMES))):
            await trio.sleep(faults.between(KIND, 1.0, 10.0))
            self._take_copy()
            await trio.sleep(faults.between(KIND, 2.0, 12.0))
            faults.note(KIND)
            with trio.CancelScope(shield=True):
                await self._bring_back()

    def _take_copy(self) -> None:
        with (
            closing(sqlite3.connect(self.world.file)) as books,
            closing(sqlite3.connect(self._copy)) as copy,
        ):
            books.backup(copy)
        self.world.trace.note("operator", "copies the books")

    async def _bring_back(self) -> None:
        world = self.world
        for switch in world.switches:
            await switch.hold()
        with (
            closing(sqlite3.connect(world.file)) as books,
            closing(sqlite3.connect(self._copy)) as copy,
        ):
            self._forget(books, copy)
        for file in _files(world.file):
            file.unlink(missing_ok=True)
        with (
            closing(sqlite3.connect(world.file)) as books,
            closing(sqlite3.connect(self._copy)) as copy,
        ):
            copy.backup(books)
        make_fit(Database(f"sqlite:///{world.file}"), world.true_ms())
        world.auditor.reopen()
        world.trace.note("operator", "brings the copy back")
        for switch in world.switches:
            switch.release()

    def _forget(self, books: sqlite3.Connection, copy: sqlite3.Connection) -> None:
        """Note what the copy does not know."""
        lost = self.world.auditor.lost
        lost.happened = True
        rrns = {row[0]: str(row[1]) for row in books.execute(_ENTRIES)}
        for row in _changed(books, copy, _ENTRIES):
            lost.rrns.add(str(row[1]))
            lost.names.add((str(row[2]), str(row[3]), str(row[4])))
            lost.families.add(_family(row[5]))
            if row[6] in rrns:
                lost.rrns.add(rrns[row[6]])
        for query in (_ORDERS, _NOTICES):
            for row in _changed(books, copy, query):
                lost.families.add(_family(row[0]))


def _files(file: Path) -> list[Path]:
    return [file.with_name(file.name + end) for end in ("", "-wal", "-shm")]


def _changed(
    books: sqlite3.Connection, copy: sqlite3.Connection, query: str
) -> Iterator[tuple[object, ...]]:
    """Rows of the books that the copy does not have like that."""
    known = set(copy.execute(query))
    yield from (row for row in books.execute(query) if row not in known)


def _family(order_no: object) -> str:
    return str(order_no).partition("/")[0]
