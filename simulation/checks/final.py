"""What must hold of a simulated day once all is healed, delivered and stopped: books and money."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from acquirer.ledger.accounts.verify import verify
from acquirer.ledger.errors import BooksDiffer
from acquirer.ledger.store.database import Database
from acquirer.simulation.checks.auditor import PAYMENTS, Auditor
from acquirer.simulation.checks.orders import orders_agree
from acquirer.terminals_sim import kinds
from acquirer.terminals_sim.state import TerminalState

_FINAL = frozenset(
    {
        "approved",
        "declined",
        "reversed",
        "voided",
        "refunded",
        "refused",
        "completed",
        "expired",
    }
)
_BANK_KINDS = "'sale', 'advice', 'completion'"
# Troubles by which a terminal may lose its keys.
EXPLAIN_KEYS = frozenset({"restore", "other_lmk"})
CASH = "assets:courier:"
# What is left of a payment with its tip, once its refunds are taken off.
# Whose journals tell apart what the books do not.
AT_TERMINALS = frozenset({*PAYMENTS, kinds.QR.name, kinds.MOTO.name})
_LEFT = (
    "amount_minor + (SELECT coalesce(sum(t.amount_minor), 0) FROM {0} t"
    " WHERE t.original_id = {0}.id AND t.kind = 'tip' AND t.state = 'approved')"
    " - (SELECT coalesce(sum(r.amount_minor), 0) FROM {0} r"
    " WHERE r.original_id = {0}.id AND r.kind = 'refund' AND r.state = 'approved')"
)


def final(
    auditor: Auditor,
    file: Path,
    bank: sqlite3.Connection,
    orders: sqlite3.Connection,
    terminals: Iterable[TerminalState],
    *,
    calm: bool,
    drawn: Collection[str],
) -> Iterator[str]:
    """Everything that must hold once all is healed, delivered and stopped.

    Args:
        calm: whether nothing has happened but troubles.
        drawn: the day's kinds of faults.
    """
    yield from _ledger(file)
    yield from _decided(auditor)
    if calm:
        yield from _answered(auditor)
        if EXPLAIN_KEYS.isdisjoint(drawn):
            yield from _keys(auditor)
    yield from _journal(auditor)
    states = list(terminals)
    switch = _standing(auditor)
    forgotten = _forgotten(auditor)
    yield from _differ("terminals", _at_terminals(states), "switch", switch, forgotten)
    yield from _unknown(states)
    by_card = {rrn: amount for rrn, (amount, is_card) in _with_bank(auditor).items() if is_card}
    at_bank = dict(
        bank.execute(
            "SELECT * FROM (SELECT rrn, " + _LEFT.format("transactions") + " AS left_minor"
            f" FROM transactions WHERE kind IN ({_BANK_KINDS}) AND state = 'approved')"
            " WHERE left_minor > 0"
        )
    )
    yield from _differ("bank", at_bank, "switch", by_card, forgotten)
    yield from _money(auditor, bank, by_card)
    yield from _holds(auditor, bank, states, forgotten)
    yield from orders_agree(auditor, orders, states)


def _ledger(file: Path) -> Iterator[str]:
    engine = Database(f"sqlite:///{file}").read_only_engine()
    try:
        with engine.connect() as connection, connection.begin():
            verify(connection)
    except BooksDiffer as error:
        yield f"ledger: {error}"
    finally:
        engine.dispose()


def _decided(auditor: Auditor) -> Iterator[str]:
    """No day lasts as long as the switch waits for a confirmation."""
    for order_no, kind in auditor.rows(
        "SELECT order_no, kind FROM journal WHERE mti = ''"
        " AND kind IN ('order_confirmation', 'reversal')"
    ):
        yield f"too early: the switch decided order {order_no} by itself ({kind})"


def _answered(auditor: Auditor) -> Iterator[str]:
    for rrn, kind in auditor.rows(
        "SELECT rrn, kind FROM journal WHERE response_code = '00' AND mti IN ('0100', '0200')"
        " AND kind <> 'order_share'"
    ):
        if rrn not in auditor.approvals:
            yield f"no answer: {kind} rrn={rrn} was approved, and its terminal never heard of it"


def _keys(auditor: Auditor) -> Iterator[str]:
    for code in ("77", "A0"):
        if count := auditor.codes[code]:
            yield f"keys: {count} messages of terminals with good keys were answered {code}"


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
    for type, id, attempts in auditor.untold():
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
        f" WHERE kind IN {PAYMENTS}"
        " AND state IN ('approved', 'refunded')"
        " AND (left_minor <> 0 OR amount_minor = 0)"
    )
    return {str(rrn): (int(str(amount)), bool(is_card)) for rrn, amount, is_card in rows}


def _at_terminals(states: list[TerminalState]) -> dict[str, int]:
    return {
        entry.rrn: entry.amount_minor
        for state in states
        for entry in state.journal
        if entry.kind in AT_TERMINALS and entry.state == "approved"
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


def _forgotten(auditor: Auditor) -> set[str]:
    """RRNs of what only some know, because the books have forgotten it."""
    lost = auditor.lost
    again = {
        str(rrn)
        for rrn, *name in auditor.rows("SELECT rrn, terminal_id, batch, stan FROM journal")
        if tuple(map(str, name)) in lost.names
    }
    return lost.rrns | again


def _differ(
    one: str, mine: dict[str, int], other: str, theirs: dict[str, int], forgotten: set[str]
) -> Iterator[str]:
    for rrn in sorted((mine.keys() | theirs.keys()) - forgotten):
        if mine.get(rrn) != theirs.get(rrn):
            yield (
                f"{one} and {other} differ: {rrn} is {mine.get(rrn, 'nothing')} at {one},"
                f" {theirs.get(rrn, 'nothing')} at {other}"
            )


def _money(auditor: Auditor, bank: sqlite3.Connection, by_card: dict[str, int]) -> Iterator[str]:
    """Balances, not rows: the ledger's receivable, the cards' accounts, the couriers' cash."""
    # A refund of a payment that the books do not know names none.
    [(blind,)] = auditor.rows(
        "SELECT coalesce(sum(amount_minor), 0) FROM journal"
        " WHERE kind = 'refund' AND state = 'approved' AND original_id IS NULL"
    )
    standing = sum(by_card.values()) - int(str(blind))
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
            "SELECT token, sum(CASE kind WHEN 'refund' THEN -amount_minor ELSE amount_minor END)"
            f" FROM transactions WHERE kind IN ({_BANK_KINDS}, 'tip', 'refund')"
            " AND state = 'approved' OR state = 'held' GROUP BY token"
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


def _holds(
    auditor: Auditor,
    bank: sqlite3.Connection,
    states: list[TerminalState],
    forgotten: set[str],
) -> Iterator[str]:
    """What is held is held everywhere; what has run out here the others still believe in."""
    rows = auditor.rows(
        "SELECT rrn, amount_minor, state FROM journal WHERE kind = 'preauth'"
        " AND state IN ('approved', 'expired')"
    )
    held = {str(rrn): int(str(amount)) for rrn, amount, _ in rows}
    at_bank = dict(bank.execute("SELECT rrn, amount_minor FROM transactions WHERE state = 'held'"))
    yield from _differ("bank's holds", at_bank, "switch", held, forgotten)
    at_terminals = {
        entry.rrn: entry.amount_minor
        for state in states
        for entry in state.journal
        if entry.kind == "preauth" and entry.state == "approved"
    }
    yield from _differ("terminals' holds", at_terminals, "switch", held, forgotten)


def _couriers(accounts: Mapping[str, int]) -> set[str]:
    return {name.removeprefix(CASH) for name in accounts if name.startswith(CASH)}
