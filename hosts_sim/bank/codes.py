"""Payment codes that a bank's customers show: good once, and for a minute. Synchronous.

Source: docs/interfaces/bank-link.md, "DE48".
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import datetime

from acquirer.hosts_sim.bank.entries import Entry, NewCode, Result

GOOD_S = 60
CODE_DIGITS = 19


def keep_code(db: sqlite3.Connection, unit: NewCode) -> Result:
    """Write down a code that a customer has been given."""
    db.execute(
        "INSERT INTO codes (code, token, masked, made_at) VALUES (?, ?, ?, ?)",
        (unit.code, unit.token, unit.masked, unit.at),
    )
    return Result("00")


def spend_code(db: sqlite3.Connection, entry: Entry) -> Entry | str:
    """The entry with the code's card, the code being used up; or the code that refuses it.

    Unknown or used is 14, too old 54.
    """
    row = db.execute(
        "UPDATE codes SET used_at = ? WHERE code = ? AND used_at IS NULL"
        " RETURNING token, masked, made_at",
        (entry.at, entry.code),
    ).fetchone()
    if row is None:
        return "14"
    token, masked, made_at = row
    age = datetime.fromisoformat(entry.at) - datetime.fromisoformat(made_at)
    if age.total_seconds() > GOOD_S:
        return "54"
    return replace(entry, token=token, masked=masked)
