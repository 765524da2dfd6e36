"""The tables of the simulator's books (SQLite), and how to open them.

Card numbers stand as token and masked text only. ``transactions.state`` is ``approved``,
``declined``, ``reversed`` or ``voided``; of a pre-authorisation ``held``, ``completed``,
``released`` or ``declined``. ``undone_by`` is the void that undid a transaction. A reversal
of something unknown has no ``transaction_id``: it keeps the original out if it comes late.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from acquirer.hosts_sim.bank.errors import BooksError

FILE_NAME = "bank-sim.sqlite3"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (
    token TEXT PRIMARY KEY,
    masked TEXT NOT NULL,
    balance_minor INTEGER NOT NULL,
    pin_failures INTEGER NOT NULL DEFAULT 0,
    pin_date TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS transactions (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    mti TEXT NOT NULL,
    mti_class TEXT NOT NULL,
    stan TEXT NOT NULL,
    transmission_at TEXT NOT NULL,
    acquirer_id TEXT NOT NULL,
    terminal_id TEXT NOT NULL,
    merchant_id TEXT NOT NULL,
    rrn TEXT NOT NULL,
    token TEXT NOT NULL,
    masked TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    currency_code TEXT NOT NULL,
    state TEXT NOT NULL,
    response_code TEXT NOT NULL,
    approval_code TEXT NOT NULL,
    balance_minor INTEGER,
    original_id INTEGER REFERENCES transactions (id),
    undone_by INTEGER REFERENCES transactions (id),
    business_date TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (transmission_at, stan, terminal_id, acquirer_id, mti_class)
);
CREATE INDEX IF NOT EXISTS transactions_rrn ON transactions (rrn);
CREATE INDEX IF NOT EXISTS transactions_card ON transactions (token, business_date);
CREATE INDEX IF NOT EXISTS transactions_original ON transactions (original_id)
    WHERE original_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS reversals (
    id INTEGER PRIMARY KEY,
    mti_class TEXT NOT NULL,
    stan TEXT NOT NULL,
    transmission_at TEXT NOT NULL,
    acquirer_id TEXT NOT NULL,
    terminal_id TEXT NOT NULL,
    transaction_id INTEGER REFERENCES transactions (id),
    rrn TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    reason TEXT NOT NULL,
    response_code TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 1,
    business_date TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (transmission_at, stan, terminal_id, acquirer_id, mti_class)
);
CREATE TABLE IF NOT EXISTS codes (
    code TEXT PRIMARY KEY,
    token TEXT NOT NULL,
    masked TEXT NOT NULL,
    made_at TEXT NOT NULL,
    used_at TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS business_dates (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    open_date TEXT NOT NULL
);
"""


def open_for_writing(folder: str | Path) -> sqlite3.Connection:
    """Open the books, made where they do not exist; one writer at a time.

    Returns:
        A connection in manual transaction mode, WAL with full synchronisation, that may move to
        another thread. The caller closes it.

    Raises:
        BooksError: the folder or the file cannot be used.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(
            Path(folder) / FILE_NAME, timeout=5.0, isolation_level=None, check_same_thread=False
        )
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.executescript(_SCHEMA)
    except (OSError, sqlite3.Error) as error:
        raise BooksError(
            f"{folder}: the bank simulator's books cannot be opened: {error}"
        ) from None
    return db


def open_for_reading(folder: str | Path) -> sqlite3.Connection:
    """Open the books to look at them, also while they are written.

    Raises:
        BooksError: there are none in this folder.
    """
    path = Path(folder) / FILE_NAME
    if not path.is_file():
        raise BooksError(f"{folder}: no {FILE_NAME} here; has `acquirer bank-sim` run on it?")
    db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)
    db.row_factory = sqlite3.Row
    return db
