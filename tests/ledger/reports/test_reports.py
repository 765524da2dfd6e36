"""Reports over the books, and how amounts are written."""

from collections.abc import Callable

import pytest

from acquirer.codecs.money import format_minor
from acquirer.ledger.accounts.transfer_steps import (
    Post,
    Posting,
    PostPending,
    PostReversed,
)
from acquirer.ledger.accounts.transfers import normal_side
from acquirer.ledger.errors import LedgerError
from acquirer.ledger.journal.entries import (
    Entry,
)
from acquirer.ledger.journal.steps import (
    InsertEntry,
)
from acquirer.ledger.reports.books import BalanceLine, statements, trial_balance
from acquirer.ledger.reports.journal import journal_lines
from acquirer.ledger.store.database import Database
from acquirer.ledger.store.writer import Writer

DATE = "2026-01-02"
RECEIVABLE, PAYABLE = "assets:scheme:demo", "liabilities:merchant:M1"


@pytest.fixture
def database(writer: Writer, url: str, make_entry: Callable[..., Entry]) -> Database:
    """Two sales, one given back, one pending."""
    postings = (Posting(RECEIVABLE, PAYABLE, 100, "sale"),)
    units = [(InsertEntry(make_entry(n)), Post(n, "156", DATE, postings)) for n in (1, 2)]
    pending = (InsertEntry(make_entry(3)), PostPending(3, "156", DATE, postings))
    assert writer.commit([*units, pending]) == [None] * 3
    assert writer.commit([(PostReversed(1, 9, DATE),)]) == [None]
    return Database(url)


def test_trial_balance(database: Database) -> None:
    """Each account stands on one side with its net; what is pending stands beside it."""
    with database.read_only_engine().connect() as connection:
        found = trial_balance(connection)
    assert found.balanced
    assert found.lines == (
        BalanceLine(RECEIVABLE, "156", 100, 0, 100, 0),
        BalanceLine(PAYABLE, "156", 0, 100, 0, 100),
    )


def test_statement(database: Database) -> None:
    """Every transfer of the account with its running balance on the normal side."""
    with database.read_only_engine().connect() as connection:
        (statement,) = statements(connection, PAYABLE)
        lines = list(statement.lines)
    assert (statement.normal_side, statement.credits_pending) == ("credit", 100)
    assert [
        (line.event_id, line.phase, line.debit_minor, line.credit_minor, line.balance_minor)
        for line in lines
    ] == [
        (1, "posted", 0, 100, 100),
        (2, "posted", 0, 100, 200),
        (3, "pending", 0, 100, 200),
        (9, "posted", 100, 0, 100),
    ]


def test_no_such_account(database: Database) -> None:
    """A mistyped name is an error, not an empty statement."""
    with (
        database.read_only_engine().connect() as connection,
        pytest.raises(LedgerError, match="no account"),
    ):
        statements(connection, "assets:nothing")


def test_journal_newest_first(database: Database) -> None:
    """At most as many as asked for."""
    with database.read_only_engine().connect() as connection:
        assert [line.id for line in journal_lines(connection)] == [3, 2, 1]
        (newest,) = journal_lines(connection, 1)
    assert (newest.rrn, newest.state, newest.card) == ("000000000003", "sent", "622588******0007")


def test_reports_cannot_write(database: Database) -> None:
    """Whatever a report did wrong, the database would refuse it."""
    with (
        database.read_only_engine().connect() as connection,
        pytest.raises(Exception, match=r"(?i)read.?only"),
    ):
        connection.exec_driver_sql("UPDATE accounts SET debits_posted = 0")


@pytest.mark.parametrize(
    ("amount_minor", "currency_code", "written"),
    [
        (0, "156", "0.00"),
        (-5, "156", "-0.05"),
        (123_456_789, "CNY", "1,234,567.89"),
        (1_234, "392", "1,234"),
        (1_234, "KWD", "1.234"),
        (1_234, "points:acme", "1,234"),
    ],
)
def test_amounts_have_their_currency_s_decimals(
    amount_minor: int, currency_code: str, written: str
) -> None:
    """ISO 4217's minor units, by number or letters."""
    assert format_minor(amount_minor, currency_code) == written


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("assets:courier:7", "debit"),
        ("expense:loss", "debit"),
        ("liabilities:payout", "credit"),
        ("income:mdr", "credit"),
        ("points:acme:issued", "debit"),
        ("points:acme:member:7", "credit"),
        ("points:acme:redeemed:M1", "credit"),
    ],
)
def test_the_side_follows_from_the_name(name: str, side: str) -> None:
    """The account tree's roots."""
    assert normal_side(name) == side


@pytest.mark.parametrize("name", ["assets", "assets:", "equity:x", "points:acme", ""])
def test_names_outside_the_tree_are_refused(name: str) -> None:
    """No account opens by a slip of the pen."""
    with pytest.raises(ValueError, match="account tree"):
        normal_side(name)
