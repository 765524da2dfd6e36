"""What must hold of a simulated day: at each answer, at each message to a bank, and at the end.

Every check reads the books of the party that it is about, none asks the switch. A check that does
not hold gives a sentence; the first word group before the colon names the check.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from math import inf
from pathlib import Path

import trio

from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.tpdu import PosEnvelope
from acquirer.hosts_sim.bank.entries import Entry
from acquirer.ledger.accounts.verify import verify
from acquirer.ledger.errors import BooksDiffer
from acquirer.ledger.store.database import Database
from acquirer.terminals_sim.state import TerminalState

PAYMENTS = ("sale", "order_payment")
STANDS = frozenset({"approved", "reversing", "reversed", "voided", "refunded"})
_ANSWERS = frozenset({"0210", "0230", "0410"})
_FRAME_HEADER_BYTES = 2
# An approval that was being sealed when a reversal came on another connection may still leave.
OVERLAP_S = 5.0
_FINAL = frozenset({"approved", "declined", "reversed", "voided", "refunded", "refused"})
CASH = "assets:courier:"
# What an order's status may be where a terminal holds its payment at a stage.
STAGES = {
    "paid": ("01", "02", "03"),
    "confirmed": ("02", "03"),
    "signed": ("03",),
    "cancelled": ("04",),
}
# What is left of a payment once its refunds are taken off.
_LEFT = (
    "amount_minor - (SELECT coalesce(sum(r.amount_minor), 0) FROM {0} r"
    " WHERE r.original_id = {0}.id AND r.kind = 'refund' AND r.state = 'approved')"
)


class Auditor:
    """Looks at the switch's database while the day goes on.

    Attributes:
        findings: what did not hold.
    """

    def __init__(self, file: Path) -> None:
        self.findings: list[str] = []
        self._dialect = load_dialect("cup_pos")
        self._reversed_at: dict[tuple[str, str, str], float] = {}
        self._db = sqlite3.connect(file, isolation_level=None)
        self._db.execute("PRAGMA query_only = ON")

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def rows(self, query: str, *parameters: object) -> list[tuple[object, ...]]:
        """Rows of the switch's database."""
        return self._db.execute(query, parameters).fetchall()

    # While the day goes on.

    def said(self, frame: bytes) -> None:
        """The switch sends this to a terminal: what it approves must be in the books by now."""
        try:
            message = self._dialect.decode(PosEnvelope.split(frame[_FRAME_HEADER_BYTES:])[1])
        except RemoteFormatError as error:
            self.findings.append(f"reply that does not decode: {error}")
            return
        if message.mti not in _ANSWERS or message.get(39) != "00":
            return
        rrn = message.get(37)
        name = (message.get(41), message.get(60)[2:8], message.get(11))
        if message.mti == "0410":
            self._reversed_at.setdefault(name, trio.current_time())
        elif trio.current_time() > self._reversed_at.get(name, inf) + OVERLAP_S:
            self.findings.append(f"approval after reversal: {message.mti} rrn={rrn}")
        found = self._db.execute(
            "SELECT id, kind, state, amount_minor, response_code FROM journal WHERE rrn = ?",
            (rrn,),
        ).fetchone()
        if found is None:
            self.findings.append(f"approval without books: {message.mti} rrn={rrn} has no entry")
            return
        id, kind, state, amount_minor, code = found
        if state not in STANDS or code != "00":
            self.findings.append(
                f"approval without books: {kind} rrn={rrn} was approved, its entry is {state}"
            )
        elif kind in PAYMENTS:
            (posted,) = self._db.execute(
                "SELECT coalesce(sum(amount_minor), 0) FROM transfers"
                " WHERE event_id = ? AND reverses_id IS NULL",
                (id,),
            ).fetchone()
            if posted != amount_minor:
                self.findings.append(
                    f"approval without books: {kind} rrn={rrn} is for {amount_minor},"
                    f" {posted} was posted"
                )

    def asked(self, entry: Entry) -> None:
        """A bank is asked this: it must have been stored before it left."""
        if entry.kind == "reversal":
            found = self._db.execute(
                "SELECT 1 FROM saf JOIN journal ON journal.id = saf.original_id WHERE rrn = ?",
                (entry.rrn,),
            ).fetchone()
        else:
            found = self._db.execute("SELECT 1 FROM journal WHERE rrn = ?", (entry.rrn,)).fetchone()
        if found is None:
            self.findings.append(
                f"sent before stored: {entry.kind} rrn={entry.rrn} is at the bank, not in the books"
            )

    def debts(self) -> str:
        """What the switch still has to do, in words; empty where nothing."""
        counts = {
            "unsettled": "SELECT count(*) FROM journal WHERE state IN"
            " ('received', 'sent', 'timed_out', 'reversing')",
            "SAF": "SELECT count(*) FROM saf WHERE finished_at_ms IS NULL AND dead_at_ms IS NULL",
            "outbox": "SELECT count(*) FROM outbox"
            " WHERE delivered_at_ms IS NULL AND dead_at_ms IS NULL",
        }
        left = {name: self._db.execute(query).fetchone()[0] for name, query in counts.items()}
        return ", ".join(f"{count} {name}" for name, count in left.items() if count)


# --- at the end -------------------------------------------------------------------------------


def final(
    auditor: Auditor,
    file: Path,
    bank: sqlite3.Connection,
    orders: sqlite3.Connection,
    terminals: Iterable[TerminalState],
) -> Iterator[str]:
    """Everything that must hold once all is healed, delivered and stopped."""
    yield from _ledger(file)
    yield from _journal(auditor)
    states = list(terminals)
    switch = _standing(auditor)
    yield from _differ("terminals", _at_terminals(states), "switch", switch)
    yield from _unknown(states)
    by_card = {rrn: amount for rrn, (amount, is_card) in _with_bank(auditor).items() if is_card}
    at_bank = dict(
        bank.execute(
            "SELECT * FROM (SELECT rrn, " + _LEFT.format("transactions") + " AS left_minor"
            " FROM transactions WHERE kind = 'sale' AND state = 'approved') WHERE left_minor > 0"
        )
    )
    yield from _differ("bank", at_bank, "switch", by_card)
    yield from _money(auditor, bank, by_card)
    yield from _orders(auditor, orders)
    yield from _orders_at_terminals(auditor, states)


def _ledger(file: Path) -> Iterator[str]:
    engine = Database(f"sqlite:///{file}").read_only_engine()
    try:
        with engine.connect() as connection, connection.begin():
            verify(connection)
    except BooksDiffer as error:
        yield f"ledger: {error}"
    finally:
        engine.dispose()


def _journal(auditor: Auditor) -> Iterator[str]:
    for id, kind, state in auditor.rows("SELECT id, kind, state FROM journal"):
        if state not in _FINAL:
            yield f"journal: {kind} {id} is still {state}"
    for id, kind, by in auditor.rows(
        "SELECT id, kind, claimed_by FROM journal"
        " WHERE claimed_by IS NOT NULL AND state = 'approved'"
    ):
        yield f"journal: {kind} {id} is still claimed by {by}"
    for (id,) in auditor.rows("SELECT id FROM saf WHERE finished_at_ms IS NULL"):
        yield f"SAF: item {id} was not delivered"
    for id, type, attempts in auditor.rows(
        "SELECT id, type, attempts FROM outbox WHERE delivered_at_ms IS NULL"
    ):
        yield f"outbox: {type} {id} was not delivered after {attempts} attempts"
    for rrn, count in auditor.rows(
        "SELECT o.rrn, count(*) FROM saf s JOIN journal o ON o.id = s.original_id"
        " GROUP BY o.rrn HAVING count(*) > 1"
    ):
        yield f"SAF: {rrn} was reversed {count} times"


def _standing(auditor: Auditor) -> dict[str, int]:
    return {rrn: amount for rrn, (amount, _) in _with_bank(auditor).items()}


def _with_bank(auditor: Auditor) -> dict[str, tuple[int, bool]]:
    rows = auditor.rows(
        "SELECT rrn, " + _LEFT.format("journal") + " AS left_minor, bank <> '' FROM journal"
        " WHERE kind IN ('sale', 'order_payment', 'order_payment_group')"
        " AND state IN ('approved', 'refunded')"
        " AND (left_minor <> 0 OR amount_minor = 0)"
    )
    return {str(rrn): (int(str(amount)), bool(is_card)) for rrn, amount, is_card in rows}


def _at_terminals(states: list[TerminalState]) -> dict[str, int]:
    return {
        entry.rrn: entry.amount_minor
        for state in states
        for entry in state.journal
        if entry.kind in PAYMENTS and entry.state == "approved"
    }


def _unknown(states: list[TerminalState]) -> Iterator[str]:
    for state in states:
        if state.reversal is not None or state.advices:
            yield f"terminal {state.terminal_id}: could not deliver what it owes"
        for entry in state.journal:
            if entry.state == "unknown":
                yield (
                    f"terminal {state.terminal_id}: never learned what became of"
                    f" {entry.kind} stan={entry.stan}"
                )


def _differ(one: str, mine: dict[str, int], other: str, theirs: dict[str, int]) -> Iterator[str]:
    for rrn in sorted(mine.keys() | theirs.keys()):
        if mine.get(rrn) != theirs.get(rrn):
            yield (
                f"{one} and {other} differ: {rrn} is {mine.get(rrn, 'nothing')} at {one},"
                f" {theirs.get(rrn, 'nothing')} at {other}"
            )


def _money(auditor: Auditor, bank: sqlite3.Connection, by_card: dict[str, int]) -> Iterator[str]:
    """Balances, not rows: the ledger's receivable, the cards' accounts, the couriers' cash."""
    standing = sum(by_card.values())
    accounts = {
        str(name): int(str(debits)) - int(str(credits))
        for name, debits, credits in auditor.rows(
            "SELECT name, debits_posted, credits_posted FROM accounts"
        )
    }
    receivable = sum(net for name, net in accounts.items() if name.startswith("assets:scheme:"))
    if receivable != standing:
        yield f"money: the receivable is {receivable}, the card payments sum to {standing}"
    taken = {
        str(courier_id): int(str(sum_minor))
        for courier_id, sum_minor in auditor.rows(
            "SELECT courier_id, sum(amount_minor) FROM journal WHERE state = 'approved'"
            " AND kind = 'order_payment' AND processing_code = '900000' GROUP BY courier_id"
        )
    }
    for courier_id in sorted(taken.keys() | _couriers(accounts)):
        held, paid_in_cash = accounts.get(CASH + courier_id, 0), taken.get(courier_id, 0)
        if held != paid_in_cash:
            yield f"money: courier {courier_id} holds {held}, took {paid_in_cash} in cash"
    spent = dict(
        bank.execute(
            "SELECT token, sum(CASE kind WHEN 'sale' THEN amount_minor ELSE -amount_minor END)"
            " FROM transactions WHERE kind IN ('sale', 'refund') AND state = 'approved'"
            " GROUP BY token"
        )
    )
    for token, masked, balance, opening in bank.execute(
        "SELECT token, masked, balance_minor, opening_minor FROM accounts JOIN openings"
        " USING (token)"
    ):
        if balance != opening - spent.get(token, 0):
            yield (
                f"money: card {masked} has {balance}, which is not {opening} less its purchases"
                f" of {spent.get(token, 0)}"
            )


def _couriers(accounts: Mapping[str, int]) -> set[str]:
    return {name.removeprefix(CASH) for name in accounts if name.startswith(CASH)}


def _orders_at_terminals(auditor: Auditor, states: list[TerminalState]) -> Iterator[str]:
    """What a terminal holds as paid is paid by that payment, and at least as far along."""
    known = {
        (str(terminal_id), str(order_no)): (str(status), str(rrn))
        for terminal_id, order_no, status, rrn in auditor.rows(
            "SELECT p.terminal_id, o.order_no, o.status, coalesce(whole.rrn, p.rrn)"
            " FROM orders o JOIN journal p ON p.id = o.payment_id"
            " LEFT JOIN journal whole ON whole.id = p.original_id AND p.kind = 'order_share'"
        )
    }
    for state in states:
        for held in state.orders:
            wanted = STAGES.get(held.stage, ())
            found = known.get((state.terminal_id, held.order_no), ("unpaid", ""))
            if state.order(held.order_no) is not held or not wanted:
                continue
            if found[0] not in wanted or found[1] != held.rrn:
                yield (
                    f"order {held.order_no}: {held.stage} by {held.rrn} at terminal"
                    f" {state.terminal_id}, {found} at the switch"
                )


def _orders(auditor: Auditor, orders: sqlite3.Connection) -> Iterator[str]:
    """Each order in one legal state, and the order system says the same."""
    known = {
        (merchant_id, order_no): (status, rrn)
        for merchant_id, order_no, status, rrn in orders.execute(
            "SELECT merchant_id, order_no, status, rrn FROM orders"
        )
    }
    for merchant_id, order_no, status, paying, payment_rrn, payment_state in auditor.rows(
        "SELECT o.merchant_id, o.order_no, o.status, o.paying_id, p.rrn, p.state"
        " FROM orders o LEFT JOIN journal p ON p.id = o.payment_id"
    ):
        theirs = known[str(merchant_id), str(order_no)]
        where = f"order {order_no}"
        if paying is not None:
            yield f"{where}: still being paid by {paying}"
        wanted = ("voided", "refunded") if status == "04" else ("approved",)
        if payment_rrn is not None and payment_state not in wanted:
            yield f"{where}: {status}, but its payment {payment_rrn} is {payment_state}"
        if status == "04":
            # A part may have lapsed, which is said and not stored.
            if theirs[0] != "04" and (payment_rrn is not None or "/" not in str(order_no)):
                yield f"{where}: cancelled here, {theirs} at the order system"
            continue
        if payment_rrn is None:
            # The row repeats what the order system said last; it must not know of a payment.
            if theirs[1]:
                yield f"{where}: not paid here, paid by {theirs[1]} at the order system"
            continue
        if status not in ("01", "02", "03"):
            yield f"{where}: status {status} with payment {payment_rrn}"
        if theirs != (status, payment_rrn):
            yield f"{where}: {status} paid by {payment_rrn} here, {theirs} at the order system"
    yield from _parts(auditor, orders)
    for merchant_id, order_no, count in auditor.rows(
        "SELECT merchant_id, order_no, count(*) FROM journal WHERE state = 'approved'"
        " AND kind IN ('order_payment', 'order_share') AND order_no <> ''"
        " GROUP BY merchant_id, order_no HAVING count(*) > 1"
    ):
        yield f"order {order_no} of {merchant_id}: paid {count} times"


def _parts(auditor: Auditor, orders: sqlite3.Connection) -> Iterator[str]:
    """What an order and its parts have taken is its amount at most, all of it once signed for."""
    for merchant_id, order_no, taken in auditor.rows(
        "SELECT o.merchant_id, coalesce(nullif(o.part_of, ''), o.order_no) AS whole_no,"
        " sum(p.amount_minor) FROM orders o JOIN journal p ON p.id = o.payment_id"
        " WHERE p.state = 'approved' GROUP BY o.merchant_id, whole_no"
    ):
        (amount_minor,) = orders.execute(
            "SELECT amount_minor FROM orders WHERE merchant_id = ? AND order_no = ?",
            (merchant_id, order_no),
        ).fetchone()
        if int(str(taken)) > amount_minor:
            yield f"order {order_no} of {merchant_id}: {taken} taken of {amount_minor}"
    for merchant_id, order_no, taken in auditor.rows(
        "SELECT o.merchant_id, o.order_no, sum(coalesce(p.amount_minor, 0)) FROM orders o"
        " JOIN orders part ON part.merchant_id = o.merchant_id AND part.part_of = o.order_no"
        " LEFT JOIN journal p ON p.id = part.payment_id AND p.state = 'approved'"
        " WHERE o.status = '03' AND o.payment_id IS NULL GROUP BY o.merchant_id, o.order_no"
    ):
        (amount_minor,) = orders.execute(
            "SELECT amount_minor FROM orders WHERE merchant_id = ? AND order_no = ?",
            (merchant_id, order_no),
        ).fetchone()
        if int(str(taken)) != amount_minor:
            yield f"order {order_no}: signed for, and its parts have paid {taken}"
