"""How many payments a second the books take: the writer alone, in groups of 1, 8 and 32.

A payment is two units, as in the switch: a journal row, then its approval with two transfers.
``python -m acquirer.bench.ledger [--url URL] [--payments N]`` prints one JSON object;
without a URL it uses a SQLite file in a temporary folder. Only figures of one run can be compared.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import msgspec

from acquirer.ledger.accounts.postings import FeeRate, card_sale
from acquirer.ledger.accounts.transfer_steps import Post
from acquirer.ledger.journal.entries import (
    CardRecord,
    Entry,
    Role,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.replies import Reply
from acquirer.ledger.journal.steps import (
    InsertEntry,
    UpdateEntry,
)
from acquirer.ledger.store.database import Database, Session
from acquirer.ledger.store.migrate import migrate
from acquirer.ledger.store.writer import Unit, Writer

GROUPS = (1, 8, 32)
MERCHANTS = 20


def now_ms() -> int:
    """Wall clock, milliseconds."""
    return time.time_ns() // 1_000_000


def payment(number: int) -> tuple[Unit, Unit]:
    """The two units of one card sale."""
    merchant_id = f"8981234567890{number % MERCHANTS:02d}"
    created_at_ms = now_ms()
    entry = Entry(
        id=number,
        rrn=f"{number:012d}",
        role=Role.ORIGINAL,
        kind=Kind.SALE,
        mti="0200",
        processing_code="000000",
        transaction_type="22",
        terminal_id=f"{number % 64:08d}",
        merchant_id=merchant_id,
        batch="000001",
        stan=f"{number:06d}",
        amount_minor=10_000 + number % 5_000,
        currency_code="156",
        fingerprint=number.to_bytes(16, "big"),
        state=State.SENT,
        owner="bench#1.0",
        lease_until_ms=created_at_ms + 60_000,
        created_at_ms=created_at_ms,
        business_date="2025-01-02",
        card=CardRecord("622588******0007", bytes(16), bytes(44)),
        bank="demo",
        bank_stan=f"{number:06d}",
        transmission_at="0102030405",
        reply=Reply(
            local_time="030405",
            local_date="0102",
            settlement_date="0102",
            rrn=f"{number:012d}",
        ),
    )
    update = UpdateEntry(
        number,
        (State.SENT,),
        state=State.APPROVED,
        owner="bench#1.0",
        response_code="00",
        approval_code="123456",
        reply=msgspec.structs.replace(entry.reply, approval_code="123456"),
    )
    postings = card_sale(
        entry.amount_minor, FeeRate(basis_points=60), bank="demo", merchant_id=merchant_id
    )
    return (InsertEntry(entry),), (update, Post(number, "156", "2025-01-02", postings))


def measure(writer: Writer, first: int, payments: int, group: int) -> dict[str, float]:
    """Commit ``payments`` in groups; first all first units of a group, then all second ones."""
    made = [payment(number) for number in range(first, first + payments)]
    started, cpu = time.perf_counter(), time.thread_time()
    for start in range(0, payments, group):
        taken = made[start : start + group]
        for place in (0, 1):
            if any(writer.commit([units[place] for units in taken])):
                raise SystemExit("a payment was not committed")
    seconds = time.perf_counter() - started
    return {
        "group": group,
        "payments_per_s": round(payments / seconds),
        "cpu_us_per_payment": round((time.thread_time() - cpu) / payments * 1e6, 1),
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="")
    parser.add_argument("--payments", type=int, default=6_400)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(options.url or f"sqlite:///{Path(folder) / 'bench.sqlite3'}")
        writer = Writer(database, f"bench-{now_ms()}", now_ms, migrate)
        writer.connect()
        first = last_number(database) + 1
        results = []
        for group in GROUPS:
            payments = options.payments if group > 1 else options.payments // 8
            results.append(measure(writer, first, payments, group))
            first += payments
        writer.close()
    print(json.dumps({"database": database.kind, "results": results}))


def last_number(database: Database) -> int:
    """The highest journal id so far, so that a database can be measured again."""
    session = Session(database)
    session.cursor.execute("SELECT coalesce(max(id), 0) FROM journal")
    number = session.cursor.fetchone()[0]
    session.close()
    return int(number)


if __name__ == "__main__":
    main()
