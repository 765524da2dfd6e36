"""The group engine: each unit succeeds or fails alone, whatever else is in its group."""

import itertools
from collections.abc import Callable

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.accounts.transfer_steps import (
    OpenAccount,
    Post,
    Posting,
    PostReversed,
)
from acquirer.ledger.errors import UnitRefused
from acquirer.ledger.journal.entries import (
    CourierRow,
    Entry,
    Event,
    OrderRow,
    SafItem,
    State,
    TerminalRow,
)
from acquirer.ledger.journal.replies import NO_REPLY
from acquirer.ledger.journal.steps import (
    Failed,
    FinishSaf,
    InsertEntry,
    PutCourier,
    PutOrder,
    PutTerminal,
    QueueEvent,
    QueueSaf,
    Step,
    UpdateEntry,
    UpdateOrder,
)
from acquirer.ledger.store.database import Session
from acquirer.ledger.store.reads import account_sums, entry, order
from acquirer.ledger.store.writer import Query, Writer

MakeEntry = Callable[..., Entry]
RECEIVABLE, PAYABLE = "assets:scheme:demo", "liabilities:merchant:M1"
FUNDS = "liabilities:customer-funds:acme:1"

SALE = (Posting(RECEIVABLE, PAYABLE, 9_880, "sale"), Posting(RECEIVABLE, "income:mdr", 120, "mdr"))


def post(event_id: int, postings: tuple[Posting, ...] = SALE) -> Post:
    """Transfers under one event."""
    return Post(event_id, "156", "2026-01-02", postings)


def approve(number: int) -> UpdateEntry:
    """The compare-and-set of a second commit."""
    return UpdateEntry(number, (State.SENT,), state=State.APPROVED, response_code="00")


def saf_item(number: int, original_id: int) -> SafItem:
    """A reversal that is due at once."""
    return SafItem(number, "demo", BankMessage.REVERSAL, original_id, "98", 0, 0)


def notice(id: str) -> QueueEvent:
    """A notice about order O1."""
    return QueueEvent(Event(id, "M1", "O1", "order.paid", "{}", 0, 0))


def stored(session: Session, number: int) -> Entry:
    """An entry, which must be there."""
    found = entry(session, number)
    assert found is not None
    return found


def everything(session: Session) -> dict[str, list[object]]:
    """All rows of all tables that a unit can write."""
    tables = ("journal", "transfers", "accounts", "orders", "terminals", "couriers", "saf")
    found = {}
    for table in (*tables, "outbox", "chains"):
        session.cursor.execute(f"SELECT * FROM {table} ORDER BY 1, 2")
        found[table] = session.cursor.fetchall()
    return found


def test_a_group_of_sales(writer: Writer, session: Session, make_entry: MakeEntry) -> None:
    """Both commits of many sales at once; the busy account gets one sum."""
    numbers = range(1, 41)
    assert writer.commit([(InsertEntry(make_entry(n)),) for n in numbers]) == [None] * 40
    assert writer.commit([(approve(n), post(n)) for n in numbers]) == [None] * 40
    assert account_sums(session, RECEIVABLE, "156") == (400_000, 0, 0, 0)
    assert account_sums(session, PAYABLE, "156") == (0, 395_200, 0, 0)
    assert all(stored(session, n).state is State.APPROVED for n in numbers)


def test_an_entry_comes_back_as_it_went(
    writer: Writer, session: Session, make_entry: MakeEntry
) -> None:
    """All fields, the reply's numbers and the card included."""
    whole = make_entry(1, order_no="O1", courier_id="C1", original_id=7, claimed_by=8)
    without = make_entry(2, card=None, reply=NO_REPLY)
    writer.commit([(InsertEntry(whole),), (InsertEntry(without),)])
    assert (entry(session, 1), entry(session, 2)) == (whole, without)


def test_the_same_stan_in_one_group_and_in_the_next(
    writer: Writer, session: Session, make_entry: MakeEntry
) -> None:
    """Of three requests with one STAN the first wins; the others are told, and hurt nobody."""
    twins = [(InsertEntry(make_entry(n, stan="000001")),) for n in (1, 2)]
    third = InsertEntry(make_entry(3, stan="000001"))
    lost = Failed(twins[1][0])
    assert writer.commit([*twins, (InsertEntry(make_entry(9)),)]) == [None, lost, None]
    assert writer.commit([(third,)]) == [Failed(third)]
    assert (entry(session, 2), entry(session, 3)) == (None, None)


FAILING: dict[str, tuple[Step, ...]] = {
    "state": (UpdateEntry(1, (State.DECLINED,), response_code="05"),),
    "owner": (UpdateEntry(1, (State.SENT,), owner="other#1.0", response_code="05"),),
    "claim": (UpdateEntry(1, (State.SENT,), check_claim=True, expected_claim=5),),
    "missing entry": (UpdateEntry(77, (State.SENT,), response_code="05"),),
    "order": (UpdateOrder("M1", "O1", ("01", None, None), ("02", None, None)),),
    "paying": (UpdateOrder("M1", "O1", ("00", 5, None), ("02", None, None)),),
    "missing order": (UpdateOrder("M1", "O9", ("00", None, None), ("02", None, None)),),
    "terminal is new": (PutTerminal(TerminalRow("T1", "000009"), 0),),
    "terminal version": (PutTerminal(TerminalRow("T1", "000009"), 4),),
    "missing terminal": (PutTerminal(TerminalRow("T9", "000009"), 1),),
    "courier": (PutCourier(CourierRow("C2"), CourierRow("C2", "T1", 1)),),
    "locked courier": (PutCourier(CourierRow("C2"), CourierRow("C2", "T1", 2, True)),),
    "courier is new": (PutCourier(CourierRow("C2", "T9"), CourierRow("C2")),),
    "saf": (QueueSaf(saf_item(12, 1)),),
    "reversed": (PostReversed(1, 90, "2026-01-02"),),
    "reversal against a limit": (PostReversed(2, 90, "2026-01-02"),),
    "limit": (post(50, (Posting(FUNDS, PAYABLE, 101, "spend"),)),),
    "another limit": (OpenAccount(PAYABLE, "156"),),
}


def test_a_failed_condition_leaves_nothing_of_its_unit(
    writer: Writer, session: Session, make_entry: MakeEntry
) -> None:
    """The steps before and after it are undone, alone and in a group with others."""
    load = Posting("assets:bank:main", FUNDS, 100, "load")
    prepared: tuple[Step, ...] = (
        InsertEntry(make_entry(1)),
        InsertEntry(make_entry(2)),
        OpenAccount(FUNDS, "156"),
        post(1),
        post(2, (load, *SALE)),
        PostReversed(1, 80, "2026-01-02"),
        PutOrder(OrderRow("M1", "O1", "00", 100, "156", "1", "", 0)),
        PutTerminal(TerminalRow("T1", "000001", key_version=3)),
        PutCourier(CourierRow("C2", "T1", 2), CourierRow("C2")),
        QueueSaf(saf_item(11, 1)),
    )
    assert writer.commit([prepared]) == [None]
    spend = (Posting(FUNDS, PAYABLE, 1, "spend"),)
    assert writer.commit([(InsertEntry(make_entry(4)), post(4, spend))]) == [None]
    harmless: tuple[Step, ...] = (
        InsertEntry(make_entry(3)),
        post(3, (Posting("assets:bank:new", PAYABLE, 5, "new"),)),
        PutOrder(OrderRow("M1", "O2", "00", 100, "156", "1", "", 0)),
        PutCourier(CourierRow("C1"), CourierRow("C1")),
        PutTerminal(TerminalRow("T2", "000001")),
        QueueSaf(saf_item(13, 2)),
        FinishSaf(11, "00", 5),
        notice("e1"),
    )
    for number, (name, failing) in enumerate(FAILING.items(), start=100):
        before = everything(session)
        steps = (*harmless, *failing, notice("e2"))
        assert writer.commit([steps]) == [Failed(failing[0])], name
        assert writer.commit([failing]) == [Failed(failing[0])], name
        assert before == everything(session), name
        sale = (InsertEntry(make_entry(number)), post(number))
        mixed = [sale, (*failing, *harmless), (notice(f"e{number}"),)]
        assert writer.commit(mixed) == [None, Failed(failing[0]), None], name
        assert entry(session, number) is not None
        assert entry(session, 3) is None


def test_a_poisoned_unit_hurts_nobody_else(
    writer: Writer, session: Session, make_entry: MakeEntry
) -> None:
    """Units that the database or the program refuses fail with an error, the rest commits."""
    writer.commit([(InsertEntry(make_entry(1)),)])
    poisoned: list[tuple[Step, ...]] = [
        (InsertEntry(make_entry(2, rrn=f"{1:012d}")),),
        (post(3, (Posting(RECEIVABLE, PAYABLE, 0, "zero"),)),),
        (post(3, (Posting(PAYABLE, PAYABLE, 5, "one account"),)),),
        (post(3, (Posting("nowhere", PAYABLE, 5, "no root"),)),),
        (InsertEntry(make_entry(4, amount_minor=2**63)),),
        (InsertEntry(make_entry(4, merchant_id=None)),),
    ]
    good: list[tuple[Step, ...]] = [(InsertEntry(make_entry(n)), post(n)) for n in range(10, 16)]
    group = [unit for pair in zip(poisoned, good, strict=True) for unit in pair]
    results = writer.commit(group)
    assert [isinstance(result, UnitRefused) for result in results] == [True, False] * 6
    assert results[1::2] == [None] * 6
    assert account_sums(session, RECEIVABLE, "156") == (60_000, 0, 0, 0)


def test_results_do_not_depend_on_the_grouping(
    writer: Writer, session: Session, make_entry: MakeEntry
) -> None:
    """Two changes of one entry in one group: one wins, as if they had come one by one."""
    writer.commit([(InsertEntry(make_entry(n)),) for n in (1, 2)])
    decline = UpdateEntry(1, (State.SENT,), state=State.DECLINED, response_code="51")
    results = writer.commit([(approve(1), post(1)), (decline,), (approve(2), post(2))])
    assert results == [None, Failed(decline), None]
    assert stored(session, 1).response_code == "00"


def test_reversal_of_a_reversal_gives_the_effect_back(
    writer: Writer, session: Session, make_entry: MakeEntry
) -> None:
    """A void, its reversal, and a second void: never twice in one direction."""
    writer.commit([(InsertEntry(make_entry(1)), post(1))])
    date = "2026-01-02"
    steps = [(1, 2, True), (1, 3, False), (2, 4, True), (2, 5, False), (1, 6, True)]
    sums = []
    for event_id, by_event_id, holds in steps:
        step = PostReversed(event_id, by_event_id, date)
        assert writer.commit([(step,)]) == [None if holds else Failed(step)]
        debits, credits, *_ = account_sums(session, RECEIVABLE, "156")
        sums.append(debits - credits)
    assert sums == [0, 0, 10_000, 10_000, 0]


def test_two_reversals_in_one_group(
    writer: Writer, session: Session, make_entry: MakeEntry
) -> None:
    """The second sees the first, though neither is committed."""
    writer.commit([(InsertEntry(make_entry(1)), post(1))])
    twice: list[tuple[Step, ...]] = [(PostReversed(1, by, "2026-01-02"),) for by in (2, 3)]
    assert writer.commit(twice) == [None, Failed(twice[1][0])]
    assert account_sums(session, PAYABLE, "156") == (9_880, 9_880, 0, 0)


def test_an_event_without_transfers_can_be_reversed(writer: Writer) -> None:
    """A declined sale has nothing to give back, and that is no failure."""
    assert writer.commit([(PostReversed(1, 2, "2026-01-02"),)]) == [None]


def test_orders_keep_what_was_paid(writer: Writer, session: Session) -> None:
    """A fresh answer of the order system changes an unpaid order whole, a paid one in words."""
    steps: list[Step] = [
        PutOrder(OrderRow("M1", "O1", "00", 100, "156", "1", "a", 1)),
        PutOrder(OrderRow("M1", "O1", "00", 200, "156", "12", "b", 2)),
        UpdateOrder("M1", "O1", ("00", None, None), ("00", 7, None)),
        PutOrder(OrderRow("M1", "O1", "06", 300, "156", "123", "c", 3, changes=1)),
        UpdateOrder("M1", "O1", ("00", 7, None), ("01", None, 7)),
        PutOrder(OrderRow("M1", "O1", "00", 400, "156", "1", "d", 4, changes=2)),
    ]
    for step in steps:
        assert writer.commit([(step,)]) == [None]
    assert order(session, "M1", "O1") == OrderRow(
        "M1", "O1", "01", 200, "156", "1", "d", 4, None, 7, 2
    )


def test_an_answer_from_before_a_change_is_not_kept(writer: Writer, session: Session) -> None:
    """An order that was paid and given up while the order system was asked stays as it is."""
    steps: list[Step] = [
        PutOrder(OrderRow("M1", "O1", "00", 100, "156", "1", "a", 1)),
        UpdateOrder("M1", "O1", ("00", None, None), ("01", None, 7)),
        UpdateOrder("M1", "O1", ("01", None, 7), ("04", None, None)),
    ]
    for step in steps:
        assert writer.commit([(step,)]) == [None]
    cancelled = order(session, "M1", "O1")
    for changes in (0, 1):
        late = OrderRow("M1", "O1", "01", 100, "156", "1", "late", 2, changes=changes)
        pay = UpdateOrder("M1", "O1", ("01", None, None), ("00", 9, None))
        assert writer.commit([(PutOrder(late), pay)]) == [Failed(pay)]
        assert order(session, "M1", "O1") == cancelled


def test_reads_see_the_state_before_their_group(writer: Writer, make_entry: MakeEntry) -> None:
    """A read in a group is answered even if the group cannot be written."""
    read = Query(lambda session: entry(session, 1))
    assert writer.commit([read, (InsertEntry(make_entry(1)),)]) == [None, None]
    assert writer.commit([read]) == [make_entry(1)]


def test_claims_are_compared_and_cleared(
    writer: Writer, session: Session, make_entry: MakeEntry
) -> None:
    """A void claims its sale, nobody else can, and giving it back clears the claim."""
    writer.commit([(InsertEntry(make_entry(1)),)])
    sent = (State.SENT,)
    claim = UpdateEntry(1, sent, check_claim=True, set_claim=True, claimed_by=5)
    release = UpdateEntry(1, sent, check_claim=True, expected_claim=5, set_claim=True)
    results = [writer.commit([(step,)])[0] for step in (claim, claim, release, release, claim)]
    assert results == [None, Failed(claim), None, Failed(release), None]
    assert stored(session, 1).claimed_by == 5


def test_transfer_numbers_go_on_in_one_chain(
    writer: Writer, session: Session, make_entry: MakeEntry
) -> None:
    """Failed units and replayed groups leave no gap."""
    limited = post(1, (*SALE, Posting(FUNDS, PAYABLE, 1, "spend")))
    assert writer.commit([(OpenAccount(FUNDS, "156"),)]) == [None]
    for n in itertools.count(1):
        group: list[tuple[Step, ...]] = [
            (InsertEntry(make_entry(2 * n)), post(2 * n)),
            (limited,),
            (InsertEntry(make_entry(2 * n + 1)), post(2 * n + 1)),
        ]
        assert writer.commit(group) == [None, Failed(limited), None]
        if n == 3:
            break
    session.cursor.execute("SELECT chain_seq FROM transfers ORDER BY id")
    assert [row[0] for row in session.cursor.fetchall()] == list(range(1, 13))
