"""The rows of the bank's books: stored, found, and what an account has. No rules."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from acquirer.hosts_sim.bank.entries import Entry, OriginalKey, Result

BY_KEY = (
    "transmission_at = ? AND stan = ? AND terminal_id = ? AND acquirer_id = ? AND mti_class = ?"
)
_FIND = (
    "SELECT id, kind, token, amount_minor, state, response_code, approval_code, balance_minor,"
    " original_id, undone_by, business_date, masked FROM transactions WHERE "
)
_INSERT = (
    "INSERT INTO transactions (kind, mti, mti_class, stan, transmission_at, acquirer_id,"
    " terminal_id, merchant_id, rrn, token, masked, amount_minor, currency_code, state,"
    " response_code, approval_code, balance_minor, original_id, business_date, created_at)"
    " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)
# What may come from another terminal than its original.
_FROM_ANYWHERE = frozenset({"refund", "completion", "void", "tip"})
_MOVE = "UPDATE accounts SET balance_minor = balance_minor + ? WHERE token = ?"


# Kinds of payments, as SQL and as names.
PAID = ("sale", "advice", "completion")
PAID_SQL = "('sale', 'advice', 'completion')"


class Row(NamedTuple):
    """A stored transaction as the rules of this module look at it."""

    id: int
    kind: str
    token: str
    amount_minor: int
    state: str
    response_code: str
    approval_code: str
    balance_minor: int | None
    original_id: int | None
    undone_by: int | None
    business_date: str
    masked: str


class Rows:
    """The tables of one bank's books.

    Resource handling: the connection belongs to the caller, who closes it.

    Args:
        db: from ``schema.open_for_writing``.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        row = db.execute("SELECT open_date FROM business_dates").fetchone()
        self._open_date: str = row[0] if row else ""

    def _move(self, token: str, amount_minor: int) -> None:
        """An account has so much more."""
        self._db.execute(_MOVE, (amount_minor, token))

    def _put_state(self, id: int, state: str) -> None:
        self._db.execute("UPDATE transactions SET state = ? WHERE id = ?", (state, id))

    def _note_void(self, id: int, state: str) -> None:
        """A transaction is undone by the void that was stored last."""
        self._db.execute(
            "UPDATE transactions SET state = ?, undone_by = last_insert_rowid() WHERE id = ?",
            (state, id),
        )

    def _by_id(self, id: int | None) -> Row | None:
        row = self._db.execute(_FIND + "id = ?", (id,)).fetchone()
        return Row(*row) if row else None

    def _store(
        self,
        entry: Entry,
        response_code: str,
        *,
        balance_minor: int | None = None,
        original_id: int | None = None,
        state: str = "approved",
    ) -> Result:
        approved = response_code in ("00", "10")
        key = entry.key
        (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM transactions").fetchone()
        approval_code = entry.told_approval or f"{(last + 1) % 1_000_000:06d}" if approved else ""
        self._db.execute(
            _INSERT,
            (
                entry.kind,
                entry.mti,
                key.mti_class,
                key.stan,
                key.transmission_at,
                key.acquirer_id,
                key.terminal_id,
                entry.merchant_id,
                entry.rrn,
                entry.token,
                entry.masked,
                entry.amount_minor,
                entry.currency_code,
                state if approved else "declined",
                response_code,
                approval_code,
                balance_minor,
                original_id,
                self._date(entry),
                entry.at,
            ),
        )
        granted_minor = entry.approved_minor if approved else 0
        return Result(response_code, approval_code, balance_minor, granted_minor=granted_minor)

    def _find(self, key: OriginalKey) -> Row | None:
        row = self._db.execute(_FIND + BY_KEY, key_values(key)).fetchone()
        return Row(*row) if row else None

    def _original(self, entry: Entry) -> Row | None:
        """By DE90; a void's or refund's original by its RRN and card too.

        A refund or a completion may come from another terminal than its original, so that the
        card stands for it.
        """
        key = entry.original
        found = self._find(key) if key else None
        if found is None and key is not None and entry.kind in _FROM_ANYWHERE:
            row = self._db.execute(
                _FIND + "transmission_at = ? AND stan = ? AND acquirer_id = ? AND token = ?",
                (key.transmission_at, key.stan, key.acquirer_id, entry.token),
            ).fetchone()
            found = Row(*row) if row else None
        if found is not None or entry.kind == "inquiry" or not entry.rrn:
            return found
        row = self._db.execute(
            _FIND + "rrn = ? AND token = ? AND kind IN " + PAID_SQL + " ORDER BY id DESC",
            (entry.rrn, entry.token),
        ).fetchone()
        return Row(*row) if row else None

    def _tipped(self, original: Row) -> int:
        (tip_minor,) = self._db.execute(
            "SELECT coalesce(sum(amount_minor), 0) FROM transactions"
            " WHERE original_id = ? AND kind = 'tip' AND state = 'approved'",
            (original.id,),
        ).fetchone()
        return int(tip_minor)

    def _refunded(self, original: Row) -> int:
        (refunded_minor,) = self._db.execute(
            "SELECT coalesce(sum(amount_minor), 0) FROM transactions"
            " WHERE original_id = ? AND kind = 'refund' AND state = 'approved'",
            (original.id,),
        ).fetchone()
        return int(refunded_minor)

    def _date(self, entry: Entry) -> str:
        return max(self._open_date, entry.business_day)

    def _was_reversed_early(self, key: OriginalKey) -> bool:
        row = self._db.execute(
            f"SELECT 1 FROM reversals WHERE {BY_KEY}", key_values(key)
        ).fetchone()
        return row is not None


def key_values(key: OriginalKey) -> tuple[str, str, str, str, str]:
    """The parameters of :data:`BY_KEY`."""
    return key.transmission_at, key.stan, key.terminal_id, key.acquirer_id, key.mti_class
