"""The journal's state table: which change of a transaction's state is legal.

Data, and one look-up over it. Whoever builds an ``UpdateEntry`` that could make an illegal
change has a bug, and the book refuses the unit before it reaches the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from acquirer.ledger.journal.entries import (
    State,
)

CHANGES: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.RECEIVED: frozenset({State.SENT, State.APPROVED, State.DECLINED, State.REFUSED}),
        State.SENT: frozenset(
            {State.APPROVED, State.DECLINED, State.REFUSED, State.TIMED_OUT, State.REVERSING}
        ),
        State.TIMED_OUT: frozenset({State.REVERSING, State.REVERSED}),
        # Straight to reversed where no bank knows of it: cash, nothing to pay.
        # Refunded, it keeps its effect: the refund is an entry of its own.
        # Completed or expired, a pre-authorisation holds nothing any more.
        State.APPROVED: frozenset(
            {
                State.REVERSING,
                State.REVERSED,
                State.VOIDED,
                State.REFUNDED,
                State.COMPLETED,
                State.EXPIRED,
            }
        ),
        State.REVERSING: frozenset({State.REVERSED}),
        # A void that was itself undone gives the original its effect back, unless the original
        # was reversed too.
        State.VOIDED: frozenset({State.APPROVED, State.REVERSED}),
        # Open again once its completion is undone; and where the undo of that is undone, too, it
        # may have expired meanwhile. At its bank that may be held which has expired here.
        State.COMPLETED: frozenset({State.APPROVED}),
        State.EXPIRED: frozenset({State.COMPLETED, State.REVERSING}),
        State.REFUNDED: frozenset(),
        State.DECLINED: frozenset(),
        State.REFUSED: frozenset(),
        State.REVERSED: frozenset(),
    }
)

FINAL = frozenset(state for state, successors in CHANGES.items() if not successors)

# The same table as pairs, staying where one is included: one look-up on the hot path.
_LEGAL = frozenset(
    [(before, after) for before, successors in CHANGES.items() for after in successors]
    + [(state, state) for state in State]
)


def change_is_legal(expected: Iterable[State], new: State) -> bool:
    """Whether each of the states that an entry may be in may become ``new``.

    Staying in a state is legal: other fields of the entry may change.

    >>> change_is_legal((State.SENT, State.RECEIVED), State.APPROVED)
    True
    >>> change_is_legal((State.SENT, State.DECLINED), State.APPROVED)
    False
    """
    return all((before, new) in _LEGAL for before in expected)
