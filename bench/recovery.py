"""How long a switch takes to recover on a journal of a million rows after a crash under load.

Fills fresh books with settled sales and, at the end, some whose owner is gone; then opens them as
a restarted switch does and undoes the orphans. ``python -m acquirer.bench.recovery [--url URL]
[--rows N] [--orphans N]`` prints one JSON object; without a URL it uses a SQLite file in a
temporary folder.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import trio

from acquirer.ledger.book import open_book
from acquirer.ledger.journal.entries import (
    CardRecord,
    Entry,
    Role,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.replies import Reply
from acquirer.ledger.store import statements as sql
from acquirer.ledger.store.database import Database, Session
from acquirer.ledger.store.migrate import migrate
from acquirer.ledger.store.rows import entry_row
from acquirer.payments.kernel.calendar import Calendar
from acquirer.switch.workers.recovery import recover

CHUNK = 5_000
INSTANCE = "switch-1"
CREATED_AT_MS = 1_767_312_000_000


def sale(number: int) -> Entry:
    """A settled sale of an earlier incarnation."""
    return Entry(
        id=number,
        rrn=f"{number:012d}",
        role=Role.ORIGINAL,
        kind=Kind.SALE,
        mti="0200",
        processing_code="000000",
        transaction_type="22",
        terminal_id=f"{number % 512:08d}",
        merchant_id="898110053310001",
        batch=f"{number // 100_000:06d}",
        stan=f"{number % 1_000_000:06d}",
        amount_minor=1_000,
        currency_code="156",
        fingerprint=number.to_bytes(16, "big"),
        state=State.REVERSED,
        owner=f"{INSTANCE}#0.0",
        lease_until_ms=CREATED_AT_MS + 60_000,
        created_at_ms=CREATED_AT_MS + number,
        business_date="2026-01-02",
        card=CardRecord("622588******0007", number.to_bytes(16, "big"), bytes(44)),
        bank="demo",
        bank_stan=f"{number % 1_000_000:06d}",
        transmission_at="0102030405",
        response_code="00",
        reply=Reply(
            local_time="030405",
            local_date="0102",
            settlement_date="0102",
            rrn=f"{number:012d}",
        ),
    )


def fill(url: str, rows: int, orphans: int) -> None:
    """Write the journal."""
    session = Session(Database(url))
    migrate(session)
    for first in range(1, rows + 1, CHUNK):
        entries = [sale(number) for number in range(first, min(first + CHUNK, rows + 1))]
        if first + CHUNK > rows:
            entries[-orphans:] = [replace(e, state=State.SENT) for e in entries[-orphans:]]
        session.begin()
        session.run_rows(sql.INSERT_ENTRIES, [entry_row(entry) for entry in entries])
        session.commit()
    session.close()


async def restart(url: str, rows: int) -> dict[str, Any]:
    """Open the books and undo what was under way."""
    started = time.perf_counter()
    async with open_book(url, INSTANCE, clock_ms=lambda: CREATED_AT_MS + 2 * rows) as book:
        opened = time.perf_counter()
        numbers = iter(range(rows + 1, 10 * rows))

        async def take() -> int:
            return next(numbers)

        context: Any = SimpleNamespace(
            book=book,
            wall_ms=lambda: CREATED_AT_MS + 2 * rows,
            calendar=Calendar("Asia/Shanghai"),
            numbers=SimpleNamespace(take=take),
            saf_queued=lambda: None,
        )
        undone = await recover(context)
        ended = time.perf_counter()
        again = await recover(context)
        looked = time.perf_counter()
    return {
        "rows": rows,
        "undone": undone,
        "left": again,
        "open_s": round(opened - started, 3),
        "recover_s": round(ended - opened, 3),
        "look_again_s": round(looked - ended, 4),
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--orphans", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = options.url or f"sqlite:///{Path(folder) / 'books.sqlite3'}"
        fill(url, options.rows, options.orphans)
        print(json.dumps(trio.run(restart, url, options.rows)))


if __name__ == "__main__":
    main()
