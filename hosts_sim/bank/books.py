"""The bank's books: what each message does to accounts and transactions. Synchronous.

``commit`` takes a group of entries and writes them in one database transaction; every entry
decides for itself. Where the group fails, each is tried alone, and one that cannot be written is
answered 96 without effect. A repeat gets the stored answer; money moves once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import NamedTuple

from acquirer.hosts_sim.bank.authorisation import CardState, decide
from acquirer.hosts_sim.bank.cards import IssuedCard
from acquirer.hosts_sim.bank.codes import keep_code, spend_code
from acquirer.hosts_sim.bank.entries import CutOver, Entry, NewCode, OriginalKey, Result, Unit
from acquirer.hosts_sim.bank.settings import LimitSettings

_BY_KEY = (
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
_MOVE = "UPDATE accounts SET balance_minor = balance_minor + ? WHERE token = ?"
_FAILED = Result("96")


class _Row(NamedTuple):
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


class Books:
    """One bank's books.

    Resource handling: the connection belongs to the caller, who closes it.

    Args:
        db: from ``schema.open_for_writing``.
        cards: accounts to open where they do not exist yet.
        limits: per card.
    """

    def __init__(
        self, db: sqlite3.Connection, cards: Iterable[IssuedCard], limits: LimitSettings
    ) -> None:
        self._db = db
        self._limits = limits
        db.execute("BEGIN IMMEDIATE")
        db.executemany(
            "INSERT INTO accounts (token, masked, balance_minor) VALUES (?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            [(card.token, card.masked, card.opening_minor) for card in cards],
        )
        db.execute("COMMIT")
        row = db.execute("SELECT open_date FROM business_dates").fetchone()
        self._open_date: str = row[0] if row else ""

    def commit(self, units: Sequence[Unit]) -> list[Result]:
        """Write a group; the results stand in the order of the units.

        After this returns, what it says is on disk.
        """
        try:
            return self._write(units)
        except sqlite3.Error:
            if len(units) == 1:
                return [_FAILED]
        results: list[Result] = []
        for unit in units:
            try:
                results += self._write([unit])
            except sqlite3.Error:
                results.append(_FAILED)
        return results

    def _write(self, units: Sequence[Unit]) -> list[Result]:
        open_date = self._open_date
        try:
            self._db.execute("BEGIN IMMEDIATE")
            results = [self._done(unit) for unit in units]
            self._db.execute("COMMIT")
        except sqlite3.Error:
            self._open_date = open_date
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return results

    def _done(self, unit: Unit) -> Result:
        if isinstance(unit, NewCode):
            return keep_code(self._db, unit)
        return self._apply(unit) if isinstance(unit, Entry) else self._cut_over(unit)

    def _apply(self, entry: Entry) -> Result:
        if entry.kind in ("reversal", "inquiry") and entry.forced not in ("", "00"):
            return Result(entry.forced)
        if entry.kind == "reversal":
            return self._reverse(entry)
        if entry.kind == "inquiry":
            return self._inquire(entry)
        known = self._find(entry.key)
        if known is not None:
            return _repeat(known, entry)
        if self._was_reversed_early(entry.key):
            return self._store(entry, "94")
        if entry.refusal or entry.forced not in ("", "00"):
            return self._store(entry, entry.refusal or entry.forced)
        if entry.code:
            shown = spend_code(self._db, entry)
            if isinstance(shown, str):
                return self._store(entry, shown)
            entry = shown
        if entry.kind == "void":
            return self._void(entry)
        if entry.kind == "refund":
            return self._refund(entry)
        if entry.kind == "advice" or (entry.kind == "sale" and entry.forced):
            return self._debit(entry)
        return self._authorise(entry)

    # Transactions.

    def _authorise(self, entry: Entry) -> Result:
        balance_minor, failures, pin_date = self._db.execute(
            "SELECT balance_minor, pin_failures, pin_date FROM accounts WHERE token = ?",
            (entry.token,),
        ).fetchone()
        today = self._date(entry)
        failures = failures if pin_date == today else 0
        spent = self._spent(entry.token, today) if self._limits != LimitSettings() else (0, 0)
        decision = decide(entry, CardState(balance_minor, failures, *spent), self._limits)
        if decision.pin_failures != failures:
            self._db.execute(
                "UPDATE accounts SET pin_failures = ?, pin_date = ? WHERE token = ?",
                (decision.pin_failures, today, entry.token),
            )
        if decision.response_code != "00":
            return self._store(entry, decision.response_code)
        if entry.kind == "balance":
            return self._store(entry, "00", balance_minor=balance_minor)
        return self._debit(entry)

    def _debit(self, entry: Entry) -> Result:
        if entry.amount_minor <= 0:
            return self._store(entry, "13")
        self._db.execute(_MOVE, (-entry.amount_minor, entry.token))
        return self._store(entry, "00")

    def _void(self, entry: Entry) -> Result:
        original = self._original(entry)
        if original is None:
            return self._store(entry, "25")
        refusal = _void_refusal(original, entry, self._refunded(original))
        if not refusal and original.business_date < self._date(entry):
            # Cleared already: the money goes back by a refund.
            refusal = "12"
        if refusal:
            return self._store(entry, refusal, original_id=original.id)
        result = self._store(entry, "00", original_id=original.id)
        if original.state == "approved":
            void_id = self._db.execute("SELECT last_insert_rowid()").fetchone()[0]
            self._db.execute(_MOVE, (original.amount_minor, original.token))
            self._db.execute(
                "UPDATE transactions SET state = 'voided', undone_by = ? WHERE id = ?",
                (void_id, original.id),
            )
        return result

    def _refund(self, entry: Entry) -> Result:
        original = self._original(entry)
        if original is None and entry.original is None:
            # A merchant's own word for a payment that it does not name.
            self._db.execute(_MOVE, (entry.amount_minor, entry.token))
            return self._store(entry, "00")
        if original is None:
            return self._store(entry, "25")
        if original.kind not in ("sale", "advice") or original.state != "approved":
            return self._store(entry, "12", original_id=original.id)
        if entry.token not in ("", original.token):
            return self._store(entry, "14", original_id=original.id)
        entry = replace(entry, token=original.token, masked=original.masked)
        if not 0 < entry.amount_minor <= original.amount_minor - self._refunded(original):
            return self._store(entry, "61", original_id=original.id)
        self._db.execute(_MOVE, (entry.amount_minor, original.token))
        return self._store(entry, "00", original_id=original.id)

    def _inquire(self, entry: Entry) -> Result:
        original = self._original(entry)
        if original is None:
            return Result("25")
        return Result(
            "00",
            original_code=original.response_code,
            original_approval=original.approval_code,
        )

    # Reversals.

    def _reverse(self, entry: Entry) -> Result:
        key = entry.original
        if key is None:
            return Result("30")
        values = _key_values(key)
        repeated = self._db.execute(
            f"UPDATE reversals SET attempts = attempts + 1 WHERE {_BY_KEY} RETURNING response_code",
            values,
        ).fetchone()
        if repeated is not None:
            return Result(repeated[0])
        original = self._find(key)
        if original is not None and entry.amount_minor not in (0, original.amount_minor):
            return Result("64")
        if original is not None:
            self._undo(original)
        code = "25" if original is None else "00"
        self._db.execute(
            "INSERT INTO reversals (transmission_at, stan, terminal_id, acquirer_id, mti_class,"
            " transaction_id, rrn, amount_minor, reason, response_code, business_date, created_at)"
            " VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                *values,
                original.id if original else None,
                entry.rrn,
                entry.amount_minor,
                entry.reason,
                code,
                self._date(entry),
                entry.at,
            ),
        )
        return Result(code)

    def _undo(self, original: _Row) -> None:
        """Take a transaction back; one that has no effect (any more) only changes its name."""
        if original.state not in ("approved", "voided"):
            return
        self._db.execute("UPDATE transactions SET state = 'reversed' WHERE id = ?", (original.id,))
        if original.state == "voided":
            return
        if original.kind in ("sale", "advice"):
            left_minor = original.amount_minor - self._refunded(original)
            self._db.execute(
                "UPDATE transactions SET state = 'reversed' WHERE original_id = ?"
                " AND kind = 'refund' AND state = 'approved'",
                (original.id,),
            )
            self._db.execute(_MOVE, (left_minor, original.token))
        elif original.kind == "refund":
            self._db.execute(_MOVE, (-original.amount_minor, original.token))
        elif original.kind == "void":
            restored = self._db.execute(
                "UPDATE transactions SET state = 'approved', undone_by = NULL"
                " WHERE undone_by = ? AND state = 'voided' RETURNING token, amount_minor",
                (original.id,),
            ).fetchone()
            if restored is not None:
                self._db.execute(_MOVE, (-restored[1], restored[0]))

    def _was_reversed_early(self, key: OriginalKey) -> bool:
        found = self._db.execute(f"SELECT 1 FROM reversals WHERE {_BY_KEY}", _key_values(key))
        return found.fetchone() is not None

    # Rows.

    def _store(
        self,
        entry: Entry,
        response_code: str,
        *,
        balance_minor: int | None = None,
        original_id: int | None = None,
    ) -> Result:
        approved = response_code == "00"
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
                "approved" if approved else "declined",
                response_code,
                approval_code,
                balance_minor,
                original_id,
                self._date(entry),
                entry.at,
            ),
        )
        return Result(response_code, approval_code, balance_minor)

    def _find(self, key: OriginalKey) -> _Row | None:
        row = self._db.execute(_FIND + _BY_KEY, _key_values(key)).fetchone()
        return _Row(*row) if row else None

    def _original(self, entry: Entry) -> _Row | None:
        """By DE90; a void's or refund's original by its RRN and card too.

        A refund may come from another terminal than its payment, so that the card stands for it.
        """
        key = entry.original
        found = self._find(key) if key else None
        if found is None and key is not None and entry.kind == "refund":
            row = self._db.execute(
                _FIND + "transmission_at = ? AND stan = ? AND acquirer_id = ? AND token = ?",
                (key.transmission_at, key.stan, key.acquirer_id, entry.token),
            ).fetchone()
            found = _Row(*row) if row else None
        if found is not None or entry.kind == "inquiry" or not entry.rrn:
            return found
        row = self._db.execute(
            _FIND + "rrn = ? AND token = ? AND kind IN ('sale', 'advice') ORDER BY id DESC",
            (entry.rrn, entry.token),
        ).fetchone()
        return _Row(*row) if row else None

    def _refunded(self, original: _Row) -> int:
        (refunded_minor,) = self._db.execute(
            "SELECT coalesce(sum(amount_minor), 0) FROM transactions"
            " WHERE original_id = ? AND kind = 'refund' AND state = 'approved'",
            (original.id,),
        ).fetchone()
        return int(refunded_minor)

    def _spent(self, token: str, business_date: str) -> tuple[int, int]:
        spent_minor, count = self._db.execute(
            "SELECT coalesce(sum(amount_minor), 0), count(*) FROM transactions WHERE token = ?"
            " AND business_date = ? AND kind IN ('sale', 'advice') AND state = 'approved'",
            (token, business_date),
        ).fetchone()
        return spent_minor, count

    def _date(self, entry: Entry) -> str:
        return max(self._open_date, entry.business_day)

    def _cut_over(self, unit: CutOver) -> Result:
        """Open the next business date; at most one day ahead of the calendar."""
        following = date.fromisoformat(unit.business_day) + timedelta(days=1)
        self._open_date = following.isoformat()
        self._db.execute(
            "INSERT INTO business_dates (id, open_date) VALUES (1, ?)"
            " ON CONFLICT (id) DO UPDATE SET open_date = excluded.open_date",
            (self._open_date,),
        )
        return Result("00")


def _key_values(key: OriginalKey) -> tuple[str, str, str, str, str]:
    return key.transmission_at, key.stan, key.terminal_id, key.acquirer_id, key.mti_class


def _repeat(known: _Row, entry: Entry) -> Result:
    token = entry.token or known.token
    if (known.kind, known.token, known.amount_minor) != (entry.kind, token, entry.amount_minor):
        return Result("94")
    return Result(known.response_code, known.approval_code, known.balance_minor)


def _void_refusal(original: _Row, entry: Entry, refunded_minor: int) -> str:
    if original.kind not in ("sale", "advice") or original.state == "declined" or refunded_minor:
        return "12"
    if entry.token and entry.token != original.token:
        return "14"
    return "" if entry.amount_minor in (0, original.amount_minor) else "64"
