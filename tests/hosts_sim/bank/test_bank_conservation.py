"""Whatever is sent, in any order and with any repeats: the bank's money adds up."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from acquirer.config.estate import load_estate
from acquirer.hosts_sim.bank import schema
from acquirer.hosts_sim.bank.books import Books
from acquirer.hosts_sim.bank.cards import CardFile
from acquirer.hosts_sim.bank.entries import Entry
from acquirer.hosts_sim.bank.host import CardTerms, entry_of
from acquirer.hosts_sim.bank.report import _BOOKED
from acquirer.hosts_sim.bank.settings import LimitSettings

ESTATE = load_estate()
CARDS = CardFile(ESTATE.banks[0], ESTATE.cards)
TERMS = CardTerms.of(ESTATE)
OPENING = sum(card.opening_minor for card in CARDS)

_STEP = st.tuples(
    st.sampled_from(["sale", "void", "refund", "reverse", "reverse undo", "repeat"]),
    st.integers(0, 1),
    st.sampled_from([1, 40_000, 100_000, 100_001]),
)


def _entries(messages: Any, steps: list[tuple[str, int, int]]) -> list[Entry]:
    sales = [messages.sale(n, 100_000, messages.card("alice")) for n in range(2)]
    undone = [messages.undo(sale, 100 + n, "0200") for n, sale in enumerate(sales)]
    made = []
    for at, (what, n, amount) in enumerate(steps):
        stan = 1000 + at
        made.append(
            {
                "sale": sales[n],
                "repeat": sales[n],
                "void": undone[n],
                "refund": messages.undo(sales[n], stan, "0220", de4=f"{amount:012d}"),
                "reverse": messages.undo(sales[n], stan, "0400"),
                "reverse undo": messages.undo(undone[n], stan, "0401", de3="200000"),
            }[what]
        )
    found = [
        entry_of(
            m, CARDS, [], forced="", currency_code="156", now=datetime(2026, 6, 4), terms=TERMS
        )
        for m in made
    ]
    return [entry for entry in found if isinstance(entry, Entry)]


def _books() -> tuple[sqlite3.Connection, Books]:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(schema._SCHEMA)
    return db, Books(db, CARDS, LimitSettings())


def _sums(db: sqlite3.Connection) -> tuple[int, int]:
    (held,) = db.execute("SELECT sum(balance_minor) FROM accounts").fetchone()
    (booked,) = db.execute(f"SELECT coalesce(sum({_BOOKED}), 0) FROM transactions t").fetchone()
    return held, booked


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(_STEP, max_size=25))
def test_accounts_and_transactions_agree(messages: Any, steps: list[tuple[str, int, int]]) -> None:
    """What the cards lost is what the transactions say; grouping makes no difference."""
    entries = _entries(messages, steps)
    one, books_one = _books()
    for entry in entries:
        books_one.commit([entry])
    held, booked = _sums(one)
    assert OPENING == held + booked
    together, books_together = _books()
    if entries:
        books_together.commit(entries)
    assert (held, booked) == _sums(together)
