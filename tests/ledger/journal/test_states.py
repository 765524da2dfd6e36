"""The journal's state table."""

from acquirer.ledger.journal.entries import (
    State,
)
from acquirer.ledger.journal.states import CHANGES, FINAL, change_is_legal


def test_every_state_has_a_row() -> None:
    """A state without a row would make every change of it legal or crash."""
    assert set(State) == set(CHANGES)


def test_final_states_stay() -> None:
    """Declined, refused, refunded and reversed are the ends."""
    assert {State.DECLINED, State.REFUSED, State.REFUNDED, State.REVERSED} == FINAL
    assert not any(change_is_legal((end,), new) for end in FINAL for new in State if new != end)


def test_a_change_must_be_legal_from_each_expected_state() -> None:
    """One illegal source makes the whole compare-and-set illegal."""
    assert change_is_legal((State.SENT, State.RECEIVED), State.APPROVED)
    assert not change_is_legal((State.SENT, State.TIMED_OUT), State.APPROVED)


def test_an_undone_void_gives_the_sale_back() -> None:
    """A voided sale may become approved again, and nothing else may."""
    assert {State.VOIDED, State.COMPLETED, State.APPROVED, State.SENT, State.RECEIVED} == {
        state for state in State if change_is_legal((state,), State.APPROVED)
    }
