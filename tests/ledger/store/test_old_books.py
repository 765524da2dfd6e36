"""Books that an earlier version has written open, verify and go on; no row and no cent changes.

``books_0008.json`` is a demo day of schema 0008: sales, voids, cash, hand-ins, several orders in
one swipe, an exception, cancellations.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from ledger_entries import NOW_MS
from sqlalchemy import Connection, create_engine, text

from acquirer.ledger.accounts.postings import FeeRate, card_sale
from acquirer.ledger.accounts.transfer_steps import Post
from acquirer.ledger.accounts.verify import verify
from acquirer.ledger.journal.details import GroupPayment, HandIn, OrderException, Share, WriteOff
from acquirer.ledger.journal.entries import (
    Entry,
    Role,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    InsertEntry,
)
from acquirer.ledger.store import migrate as migrate_module
from acquirer.ledger.store.database import Database, Session
from acquirer.ledger.store.migrate import migrate
from acquirer.ledger.store.reads import find_entry, terminals_all
from acquirer.ledger.store.writer import Writer

FILE = Path(__file__).parents[2] / "vectors" / "books_0008.json"
ORDER = (
    "accounts", "chains", "transfers", "journal", "orders", "couriers", "outbox", "saf",
    "terminals", "number_blocks",
)  # fmt: skip
BALANCES = "SELECT name, debits_posted, credits_posted FROM accounts ORDER BY name"
CHAIN = "SELECT chain_seq, chain_hash FROM transfers ORDER BY id"
MONEY = "SELECT id, rrn, amount_minor, state, order_no, original_id FROM journal ORDER BY id"
OLDER: tuple[tuple[int, str, str, str, dict[str, str]], ...] = (
    # A refund, and a write-off with the operator's name and reason, as 0008 kept them.
    (9_001, "order_cancellation", "original", "000901", {}),
    (9_002, "refund", "original", "000901/R", {}),
    (9_003, "saf_write_off", "original", "77", {"48": "li.wei", "63": "bank closed"}),
)


def _value(value: Any) -> Any:
    is_bytes = isinstance(value, str) and value.startswith("x'")
    return bytes.fromhex(value[2:]) if is_bytes else value


def _load(connection: Connection) -> None:
    books = json.loads(FILE.read_text("utf-8"))
    for table in ORDER:
        columns, rows = books[table]["columns"], books[table]["rows"]
        if not rows:
            continue
        marks = ", ".join(f":{name}" for name in columns)
        insert = text(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})")
        values = [dict(zip(columns, map(_value, row), strict=True)) for row in rows]
        if connection.dialect.name == "postgresql" and table == "accounts":
            values = [{**one, "no_negative": bool(one["no_negative"])} for one in values]
        if connection.dialect.name == "postgresql" and table in ("couriers", "terminals"):
            flag = "locked" if table == "couriers" else "signed_on"
            values = [{**one, flag: bool(one[flag])} for one in values]
        connection.execute(insert, values)
    first = dict(zip(books["journal"]["columns"], books["journal"]["rows"][0], strict=True))
    template = {name: _value(value) for name, value in first.items()}
    for id, kind, role, stan, reply in OLDER:
        row = template | {
            "id": id, "rrn": f"{id:012d}", "kind": kind, "role": role, "stan": stan,
            "state": "declined", "reply": json.dumps({"37": "x"} | reply),
        }  # fmt: skip
        marks = ", ".join(f":{name}" for name in row)
        connection.execute(text(f"INSERT INTO journal ({', '.join(row)}) VALUES ({marks})"), [row])
    if connection.dialect.name == "postgresql":
        for table in ("accounts", "chains"):
            connection.execute(
                text(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"
                )
            )


@pytest.fixture(params=["sqlite", "postgresql"])
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Books of schema 0008 with a day in them."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'old.sqlite3'}"
    else:
        url = request.getfixturevalue("empty_postgresql_url")
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    config = Config()
    folder = Path(migrate_module.__file__).with_name("migrations")
    config.set_main_option("script_location", str(folder))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0008")
        _load(connection)
    engine.dispose()
    return url


def _rows(url: str, query: str) -> list[tuple[Any, ...]]:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        rows = [
            tuple(bytes(v) if isinstance(v, memoryview) else v for v in row)
            for row in connection.execute(text(query))
        ]
    engine.dispose()
    return rows


def test_books_of_an_earlier_version_open_verify_and_go_on(
    old_url: str, make_entry: Callable[..., Entry]
) -> None:
    """Every row, chain and balance is kept, and the next sale follows in its own chain."""
    before = [_rows(old_url, query) for query in (BALANCES, CHAIN, MONEY)]
    writer = Writer(Database(old_url), "next", lambda: NOW_MS, migrate)
    writer.connect()
    assert before == [_rows(old_url, query) for query in (BALANCES, CHAIN, MONEY)]
    entry = make_entry(900_000, state=State.APPROVED)
    postings = card_sale(10_000, FeeRate(60), bank="demo", merchant_id="M1")
    post = Post(entry.id, "156", entry.business_date, postings)
    assert writer.commit([(InsertEntry(entry), post)]) == [None]
    writer.close()
    engine = Database(old_url).read_only_engine()
    with engine.connect() as connection:
        assert verify(connection).transfers == len(before[1]) + len(postings)
    engine.dispose()


def test_keys_that_wait_go_on_waiting(old_url: str) -> None:
    """What terminals were handed before is good still, the newest first; the rest have none."""
    engine = create_engine(old_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE terminals SET next_tpk = 'U2,U1', next_tak = 'U4,U3', next_tdk = ',U5'"
                " WHERE terminal_id = '10000003'"
            )
        )
    engine.dispose()
    session = Session(Database(old_url))
    migrate(session)
    rows = {row.terminal_id: row for row in terminals_all(session)}
    session.close()
    assert [("U2", "U4", ""), ("U1", "U3", "U5")] == [
        (keys.tpk, keys.tak, keys.tdk) for keys in rows["10000003"].waiting
    ]
    assert {(), rows["10000003"].waiting} == {row.waiting for row in rows.values()}
    assert 2 == rows["10000003"].key_version


def test_facts_move_to_where_they_belong(old_url: str) -> None:
    """Shares and refunds are told by their role, groups by their kind, facts are details."""
    session = Session(Database(old_url))
    migrate(session)
    rows = {
        row[0]: row[1:]
        for row in _rows(
            old_url, "SELECT id, terminal_id, batch, stan, role, kind FROM journal ORDER BY id"
        )
    }
    entries = [
        entry
        for terminal_id, batch, stan, role, _ in rows.values()
        if (entry := find_entry(session, terminal_id, batch, stan, Role(role))) is not None
    ]
    session.close()
    by_kind: dict[Kind, list[Entry]] = {}
    for entry in entries:
        by_kind.setdefault(entry.kind, []).append(entry)
    assert [entry.detail for entry in by_kind[Kind.COURIER_HAND_IN]] == [
        HandIn(12_249, "north"),
        HandIn(4_690, "market"),
    ]
    assert [entry.detail for entry in by_kind[Kind.ORDER_EXCEPTION]] == [OrderException("06")]
    assert [entry.detail for entry in by_kind[Kind.SAF_WRITE_OFF]] == [
        WriteOff("li.wei", "bank closed")
    ]
    [group] = by_kind[Kind.ORDER_GROUP]
    shares = by_kind[Kind.ORDER_SHARE]
    assert group.detail == GroupPayment(tuple(share.order_no for share in shares))
    assert [(s.stan, s.role, s.detail, s.original_id) for s in shares] == [
        (group.stan, Role.SHARE_1, Share(1), group.id),
        (group.stan, Role.SHARE_2, Share(2), group.id),
    ]
    assert [(e.stan, e.role) for e in by_kind[Kind.REFUND]] == [("000901", Role.REFUND)]
    assert not any("/" in entry.stan for entry in entries)
