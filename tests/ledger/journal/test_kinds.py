"""The table of kinds says of each what the books and the banks need to know."""

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.journal.kinds import (
    KINDS,
    PAYMENTS,
    POSTING,
    REVERSIBLE,
    TAKINGS,
    UNDOING,
    Kind,
    Undo,
)


def test_each_kind_has_a_row_with_a_title_of_its_own() -> None:
    """Nobody meets a kind that the table does not know, nor two that read alike."""
    titles = [KINDS[kind].title for kind in Kind]
    assert len(titles) == len(set(titles)) == len(KINDS)


def test_what_a_bank_undoes_it_was_asked() -> None:
    """Only what its bank was asked can be reversed there; what undoes can be undone itself."""
    asked = {kind for kind, row in KINDS.items() if row.bank_message is not None}
    assert asked >= REVERSIBLE >= UNDOING


def test_payments_post_what_they_are_for_and_can_be_undone() -> None:
    """A payment's transfers come to its amount; a bank takes each back, or it is an advice."""
    assert PAYMENTS <= POSTING
    advices = (BankMessage.ADVICE, BankMessage.COMPLETION)
    told = PAYMENTS - REVERSIBLE
    assert {KINDS[kind].bank_message for kind in told} <= set(advices)
    assert told == {kind for kind in PAYMENTS if KINDS[kind].undo is Undo.NONE}


def test_takings_are_payments_and_refunds() -> None:
    """A void turns its payment's own postings back, and is no row of its own in a day's sums."""
    assert {*PAYMENTS, Kind.REFUND} <= TAKINGS
    assert not TAKINGS & {*UNDOING, Kind.REVERSAL, Kind.SAF_WRITE_OFF}
