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

from acquirer.hosts_sim.bank.authorisation import CardState, decide
from acquirer.hosts_sim.bank.cards import IssuedCard
from acquirer.hosts_sim.bank.codes import keep_code, spend_code
from acquirer.hosts_sim.bank.entries import CutOver, Entry, NewCode, Result, Unit
from acquirer.hosts_sim.bank.holds import COMPLETED, HELD, RELEASED, Holds
from acquirer.hosts_sim.bank.rows import BY_KEY, PAID, PAID_SQL, Row, key_values
from acquirer.hosts_sim.bank.settings import LimitSettings

_FAILED = Result("96")
IN_PART = "10"


class Books(Holds):
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
        super().__init__(db)
        self._limits = limits
        db.execute("BEGIN IMMEDIATE")
        db.executemany(
            "INSERT INTO accounts (token, masked, balance_minor) VALUES (?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            [(card.token, card.masked, card.opening_minor) for card in cards],
        )
        db.execute("COMMIT")

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
        if entry.approved_minor:
            entry = replace(entry, amount_minor=entry.approved_minor)
        if entry.kind == "void":
            return self._void(entry)
        if entry.kind == "refund":
            return self._refund(entry)
        if entry.kind == "completion":
            return self._complete(entry)
        if entry.kind == "tip":
            return self._tip(entry)
        if entry.kind == "script_result":
            return self._note_script(entry)
        if entry.kind == "advice" or (entry.forced and entry.kind != "balance"):
            return self._take(entry)
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
        return self._take(entry)

    def _take(self, entry: Entry) -> Result:
        if entry.kind == "preauth":
            return self._hold(entry)
        if entry.amount_minor <= 0:
            return self._store(entry, "13")
        self._move(entry.token, -entry.amount_minor)
        return self._store(entry, IN_PART if entry.approved_minor else "00")

    def _tip(self, entry: Entry) -> Result:
        """A sale has become so much more."""
        sale = self._original(entry)
        if sale is None:
            return self._store(entry, "25")
        if sale.kind not in PAID or sale.state != "approved":
            return self._store(entry, "12", original_id=sale.id)
        if entry.token != sale.token:
            return self._store(entry, "14", original_id=sale.id)
        self._move(entry.token, -entry.amount_minor)
        return self._store(entry, "00", original_id=sale.id)

    def _void(self, entry: Entry) -> Result:
        original = self._original(entry)
        if original is None:
            return self._store(entry, "25")
        if original.kind == "preauth":
            return self._release(entry, original)
        tip_minor = self._tipped(original)
        refusal = _void_refusal(original, entry, self._refunded(original), tip_minor)
        if not refusal and original.business_date < self._date(entry):
            # Cleared already: the money goes back by a refund.
            refusal = "12"
        if refusal:
            return self._store(entry, refusal, original_id=original.id)
        result = self._store(entry, "00", original_id=original.id)
        if original.state == "approved":
            self._note_void(original.id, "voided")
            self._db.execute(
                "UPDATE transactions SET state = 'voided', undone_by = last_insert_rowid()"
                " WHERE original_id = ? AND kind = 'tip' AND state = 'approved'",
                (original.id,),
            )
            self._move(original.token, original.amount_minor + tip_minor)
            self._turn(original.original_id, COMPLETED, HELD)
        return result

    def _refund(self, entry: Entry) -> Result:
        original = self._original(entry)
        if original is None and entry.original is None:
            # A merchant's own word for a payment that it does not name.
            self._move(entry.token, entry.amount_minor)
            return self._store(entry, "00")
        if original is None:
            return self._store(entry, "25")
        if original.kind not in PAID or original.state != "approved":
            return self._store(entry, "12", original_id=original.id)
        if entry.token not in ("", original.token):
            return self._store(entry, "14", original_id=original.id)
        entry = replace(entry, token=original.token, masked=original.masked)
        whole_minor = original.amount_minor + self._tipped(original)
        if not 0 < entry.amount_minor <= whole_minor - self._refunded(original):
            return self._store(entry, "61", original_id=original.id)
        self._move(original.token, entry.amount_minor)
        return self._store(entry, "00", original_id=original.id)

    def _note_script(self, entry: Entry) -> Result:
        """What a card says of a script; nothing moves."""
        original = self._original(entry)
        if original is None:
            return self._store(entry, "25")
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
        values = key_values(key)
        repeated = self._db.execute(
            f"UPDATE reversals SET attempts = attempts + 1 WHERE {BY_KEY} RETURNING response_code",
            values,
        ).fetchone()
        if repeated is not None:
            return Result(repeated[0])
        original = self._find(key)
        if original is not None and entry.amount_minor not in (0, original.amount_minor):
            # Of what was approved in part what was asked for may be named.
            is_asked = entry.amount_minor > original.amount_minor
            if not (original.response_code == IN_PART and is_asked):
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

    def _undo(self, original: Row) -> None:
        """Take a transaction back; one that has no effect (any more) only changes its name."""
        if original.kind == "preauth":
            self._undo_hold(original)
        if original.state not in ("approved", "voided"):
            return
        self._db.execute("UPDATE transactions SET state = 'reversed' WHERE id = ?", (original.id,))
        if original.state == "voided":
            return
        if original.kind in PAID:
            left_minor = original.amount_minor - self._refunded(original)
            self._db.execute(
                "UPDATE transactions SET state = 'reversed' WHERE original_id = ?"
                " AND kind = 'refund' AND state = 'approved'",
                (original.id,),
            )
            self._move(original.token, left_minor)
            self._turn(original.original_id, COMPLETED, HELD)
        elif original.kind == "refund":
            self._move(original.token, -original.amount_minor)
        elif original.kind == "void":
            self._restore(original)

    def _restore(self, void: Row) -> None:
        """What a void has undone stands again, if nothing else has happened to it."""
        undone = self._by_id(void.original_id)
        if undone is None or undone.undone_by != void.id:
            return
        if undone.kind == "preauth":
            self._turn(undone.id, RELEASED, HELD)
        elif undone.state == "voided":
            self._put_state(undone.id, "approved")
            self._db.execute(
                "UPDATE transactions SET state = 'approved'"
                " WHERE kind = 'tip' AND undone_by = ? AND state = 'voided'",
                (void.id,),
            )
            self._move(undone.token, -undone.amount_minor - self._tipped(undone))
            self._turn(undone.original_id, HELD, COMPLETED)

    # Limits and dates.

    def _spent(self, token: str, business_date: str) -> tuple[int, int]:
        spent_minor, count = self._db.execute(
            "SELECT coalesce(sum(amount_minor), 0), count(*) FROM transactions WHERE token = ?"
            " AND business_date = ? AND kind IN " + PAID_SQL + " AND state = 'approved'",
            (token, business_date),
        ).fetchone()
        return spent_minor, count

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


def _repeat(known: Row, entry: Entry) -> Result:
    token = entry.token or known.token
    granted_minor = known.amount_minor if known.response_code == IN_PART else 0
    asked_minor = entry.amount_minor if granted_minor else known.amount_minor
    if (known.kind, known.token, asked_minor) != (entry.kind, token, entry.amount_minor):
        return Result("94")
    return Result(
        known.response_code,
        known.approval_code,
        known.balance_minor,
        granted_minor=granted_minor,
    )


def _void_refusal(original: Row, entry: Entry, refunded_minor: int, tip_minor: int) -> str:
    if original.kind not in PAID or original.state == "declined" or refunded_minor:
        return "12"
    if entry.token and entry.token != original.token:
        return "14"
    return "" if entry.amount_minor in (0, original.amount_minor + tip_minor) else "64"
