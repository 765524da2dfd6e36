"""Looks at the switch's books while a day goes on, and holds what is said against them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import NamedTuple

import trio

from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.message import Message
from acquirer.codecs.tpdu import PosEnvelope
from acquirer.hosts_sim.bank.entries import Entry

PAYMENTS = (
    "sale",
    "offline_sale",
    "instalment",
    "completion",
    "completion_advice",
    "order_payment",
    "order_payment_group",
)
STANDS = frozenset(
    {"approved", "reversing", "reversed", "voided", "refunded", "completed", "expired"}
)
_ANSWERS = frozenset({"0110", "0210", "0230", "0410"})
_FRAME_HEADER_BYTES = 2
# An approval that was being sealed when a reversal came on another connection may still leave.
OVERLAP_S = 5.0


Name = tuple[str, str, str]


class DeadLetter(NamedTuple):
    """A message for a bank that the switch has given up.

    Attributes:
        kind: ``reversal``, ``advice`` or ``refund``.
        rrn: of the entry that it is about.
    """

    id: int
    kind: str
    rrn: str


@dataclass(slots=True)
class Lost:
    """What the books have forgotten, because they were brought back from a copy.

    Attributes:
        rrns: of entries that the copy has not, or has in another state.
        names: the same by terminal, batch and STAN.
        families: orders to which something of that happened, each with its parts.
        happened: whether books were brought back at all.
    """

    rrns: set[str] = field(default_factory=set)
    names: set[Name] = field(default_factory=set)
    families: set[str] = field(default_factory=set)
    happened: bool = False

    def has_order(self, order_no: object) -> bool:
        """Whether something that was forgotten had happened to an order or its family."""
        return str(order_no).partition("/")[0] in self.families


class Auditor:
    """Looks at the switch's database while the day goes on.

    Attributes:
        findings: what did not hold.
        codes: how often each response code answered a transaction.
        told: called with every message that goes to a terminal.
        approvals: RRNs of all that terminals were told is approved.
        lost: what the books have forgotten.
    """

    def __init__(self, file: Path) -> None:
        self.findings: list[str] = []
        self.codes: Counter[str] = Counter()
        self.told: list[Callable[[Message], None]] = []
        self.approvals: set[str] = set()
        self.lost = Lost()
        self._file = file
        self._bank_stans: dict[str, str] = {}
        self._dialect = load_dialect("cup_pos")
        self._refused: dict[Name, str] = {}
        self._reversed_at: dict[Name, float] = {}
        self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, isolation_level=None)
        connection.execute("PRAGMA query_only = ON")
        return connection

    def reopen(self) -> None:
        """Other books are in the place of those that were looked at; what they lost is known."""
        self._db.close()
        self._db = self._open()
        for names in (self._refused, self._reversed_at):
            for name in names.keys() & self.lost.names:
                del names[name]

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def rows(self, query: str, *parameters: object) -> list[tuple[object, ...]]:
        """Rows of the switch's database."""
        return self._db.execute(query, parameters).fetchall()

    # While the day goes on.

    def said(self, frame: bytes, *, to_copy: bool) -> None:
        """The switch sends this to a terminal: what it approves must be in the books by now.

        Args:
            to_copy: whether it answers a copy, which the terminal's next sign-on may overtake.
        """
        try:
            message = self._dialect.decode(PosEnvelope.split(frame[_FRAME_HEADER_BYTES:])[1])
        except RemoteFormatError as error:
            self.findings.append(f"reply that does not decode: {error}")
            return
        for tell in self.told:
            tell(message)
        name = (message.get(41), message.get(60)[2:8], message.get(11))
        if message.mti not in _ANSWERS:
            return
        self.codes[message.get(39)] += not to_copy
        if message.get(39) != "00":
            # A duplicate says nothing of the first; a terminal that took it for a refusal of that
            # differs from the switch at the end.
            if message.mti == "0210" and message.get(64) and message.get(39) != "94":
                self._refused[name] = message.get(39)
            return
        rrn = message.get(37)
        self.approvals.add(rrn)
        if message.mti == "0210" and name in self._refused:
            self.findings.append(
                f"approval after refusal: rrn={rrn} was answered {self._refused[name]} before"
            )
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
        """A bank is asked this: stored before it left, under a STAN that nothing else had."""
        if self._bank_stans.setdefault(entry.key.stan, entry.rrn) != entry.rrn:
            self.findings.append(
                f"bank STAN used twice: {entry.key.stan} by {entry.kind} rrn={entry.rrn}"
                f" and by rrn={self._bank_stans[entry.key.stan]}"
            )
        if entry.rrn in self.lost.rrns:
            return
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

    def dead_letters(self) -> list[DeadLetter]:
        """Messages that the switch has given up."""
        return [
            DeadLetter(*row)
            for row in self._db.execute(
                "SELECT saf.id, saf.kind, rrn FROM saf JOIN journal ON journal.id = saf.original_id"
                " WHERE dead_at_ms IS NOT NULL AND finished_at_ms IS NULL"
            )
        ]

    def untold(self) -> list[tuple[object, ...]]:
        """Type, id and attempts of each notice that its merchant has not taken.

        Where books were brought back, a merchant may know already, or know better, of an order that
        they have forgotten something of, and refuse it: people's to settle.
        """
        rows = self.rows(
            "SELECT type, id, attempts, order_no, dead_at_ms FROM outbox"
            " WHERE delivered_at_ms IS NULL"
        )
        return [
            (type, id, attempts)
            for type, id, attempts, order_no, dead_at_ms in rows
            if not ((attempts or dead_at_ms is not None) and self.lost.has_order(order_no))
        ]

    def debts(self) -> str:
        """What the switch still has to do, in words; empty where nothing.

        Dead letters for banks are an operator's.
        """
        counts = {
            "unsettled": "SELECT count(*) FROM journal WHERE state IN"
            " ('received', 'sent', 'timed_out', 'reversing') AND id NOT IN"
            " (SELECT original_id FROM saf WHERE dead_at_ms IS NOT NULL)",
            "SAF": "SELECT count(*) FROM saf WHERE finished_at_ms IS NULL AND dead_at_ms IS NULL",
        }
        left = {name: self._db.execute(query).fetchone()[0] for name, query in counts.items()}
        left["outbox"] = len(self.untold())
        return ", ".join(f"{count} {name}" for name, count in left.items() if count)
