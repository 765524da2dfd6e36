"""Store and forward: attempts, repeats, dead letters, several processes, late approvals."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, cast

import pytest
import structlog
import trio
import trio.testing
from origins import a_business

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.message import Message
from acquirer.codecs.pan import Pan
from acquirer.ledger.accounts.verify import verify
from acquirer.ledger.book import Book, open_book
from acquirer.ledger.journal.details import WriteOff
from acquirer.ledger.journal.entries import (
    CardRecord,
    Entry,
    Role,
    SafItem,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.replies import Reply
from acquirer.ledger.journal.steps import (
    InsertEntry,
    QueueSaf,
    UpdateEntry,
)
from acquirer.ledger.reports.books import trial_balance
from acquirer.ledger.reports.journal import Wanted, journal_lines
from acquirer.ledger.reports.saf import saf_lines
from acquirer.ledger.store.database import Database
from acquirer.payments.kernel.calendar import Calendar
from acquirer.payments.kernel.errors import CardUnreadable
from acquirer.routing.banks.messages import BankRequest
from acquirer.routing.outcomes import NoReply, NotSent, Replied
from acquirer.routing.settings import BankSettings
from acquirer.switch.operators.operations import Refused
from acquirer.switch.operators.saf import retry_saf, write_off_saf
from acquirer.switch.settings import SafSettings
from acquirer.switch.workers.late_replies import LateReplies, record_late
from acquirer.switch.workers.saf import SafWorker

pytestmark = pytest.mark.anyio

BANK = BankSettings(name="demo", address="h:1", acquirer_id="00085500", zpk="U")


@dataclass
class ScriptedBanks:
    """Gives outcomes in turn, the last one for ever; keeps what it was sent."""

    outcomes: list[Any]
    sent: list[BankRequest] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)

    def is_up(self, bank: str) -> bool:
        """Always."""
        return True

    async def request(
        self, bank: str, request: BankRequest, deadline: float, *, attempt: int = 0
    ) -> Any:
        """The next outcome; others run meanwhile."""
        self.sent.append(request)
        self.attempts.append(attempt)
        await trio.lowlevel.checkpoint()
        return self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]


def replied(code: str) -> Replied:
    """A bank's answer."""
    return Replied(Message("0410", {39: code}))


@dataclass
class Desk:
    """One process's worker and ports."""

    book: Book
    banks: ScriptedBanks
    settings: SafSettings
    now_ms: int = 1_000_000
    queued: int = 0

    def __post_init__(self) -> None:
        self._numbers = 900
        clock = SimpleNamespace(
            now_ms=lambda: self.now_ms, age_ms=lambda at_ms: self.now_ms - at_ms
        )
        context = SimpleNamespace(
            book=self.book,
            banks=self.banks,
            clock=clock,
            ports=SimpleNamespace(
                book=self.book,
                bank_settings={"demo": BANK},
                business=a_business,
                vault=SimpleNamespace(open=lambda _: Pan("6225880000000007")),
                clock=clock,
                monotonic=trio.current_time,
                calendar=Calendar("Asia/Shanghai"),
                numbers=SimpleNamespace(take=self._take),
                saf_queued=self._queued,
            ),
        )
        self.context = cast(Any, context)
        self.worker = SafWorker(self.context, "demo", lambda: 0.0, self.settings)

    def _queued(self) -> None:
        self.queued += 1

    async def _take(self) -> int:
        self._numbers += 1
        return self._numbers

    async def send(self, times: int = 1) -> None:
        """Let it send what is due, each time a good while later."""
        for _ in range(times):
            await self.worker.send_due()
            self.now_ms += 100_000


@asynccontextmanager
async def desk_of(
    url: str,
    *outcomes: Any,
    instance: str = "switch-1",
    driver: Literal["inline", "thread"] = "inline",
    **settings: Any,
) -> AsyncIterator[Desk]:
    """A desk over books, on the trio thread where nothing else is said."""
    async with open_book(url, instance, clock_ms=lambda: 0, driver=driver) as book:
        yield Desk(book, ScriptedBanks(list(outcomes)), SafSettings(**settings))


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Books of the test's own."""
    return f"sqlite:///{tmp_path / 'switch.sqlite3'}"


def sale(number: int, **changes: Any) -> Entry:
    """A sale that has timed out."""
    fields: dict[str, Any] = {
        "id": number,
        "rrn": f"{number:012d}",
        "role": Role.ORIGINAL,
        "kind": "sale",
        "mti": "0200",
        "processing_code": "000000",
        "transaction_type": "22",
        "terminal_id": "10000001",
        "merchant_id": "M1",
        "batch": "000001",
        "stan": f"{number:06d}",
        "amount_minor": 1250,
        "currency_code": "156",
        "fingerprint": b"",
        "state": State.TIMED_OUT,
        "owner": "x#1.0",
        "lease_until_ms": 0,
        "created_at_ms": 0,
        "business_date": "2026-11-21",
        "card": CardRecord("622588******0007", bytes(16), bytes(44)),
        "bank": "demo",
        "bank_stan": f"{number:06d}",
        "transmission_at": "1121000000",
        "reply": Reply(local_time="080000", local_date="1121"),
    }
    values = fields | changes
    return Entry(**{**values, "kind": Kind(values["kind"])})


async def owe(book: Book, number: int, message: str = "reversal", **changes: Any) -> None:
    """Queue a message about a fresh entry; its id is a hundred more."""
    id = number + 100
    item = SafItem(
        id, "demo", BankMessage(message), number, "98", 1_000_000, 0, 0, f"{id:06d}", "1121000001"
    )
    await book.commit(InsertEntry(sale(number, **changes)), QueueSaf(item))


async def state_of(book: Book, number: int) -> Any:
    """The state of an entry."""
    entry = await book.entry(number)
    return entry and entry.state


async def test_an_answer_ends_the_item_and_the_undoing(url: str) -> None:
    """One message, no repeat; the entry is reversed."""
    async with desk_of(url, replied("00")) as desk:
        await owe(desk.book, 1)
        await desk.send(3)
        assert [("reversal", False)] == [(m.kind, m.repeat) for m in desk.banks.sent]
        assert State.REVERSED is await state_of(desk.book, 1)
        assert [] == await desk.book.saf_pending()


@pytest.mark.parametrize(
    ("code", "is_undone"), [("00", True), ("25", True), ("94", True), ("12", False), ("57", False)]
)
async def test_a_void_that_the_bank_does_not_undo_keeps_its_claim(
    url: str, code: str, is_undone: bool
) -> None:
    """The bank may hold the payment voided: given back again, the card would get it twice."""
    async with desk_of(url, replied(code)) as desk:
        await desk.book.commit(InsertEntry(sale(1, state=State.APPROVED, claimed_by=2)))
        await owe(desk.book, 2, kind="order_cancellation", original_id=1)
        await desk.send(2)
        payment = await desk.book.entry(1)
        assert payment is not None
        assert is_undone == (payment.claimed_by is None)
        ended = State.REVERSED if is_undone else State.TIMED_OUT
        assert ended is await state_of(desk.book, 2)
        assert int(not is_undone) == desk.worker.counters.refused
        assert isinstance(await retry_saf(desk.context, 102), Refused) is is_undone


@pytest.mark.parametrize(
    "code", ["05", "12", "40", "51", "57", "58", "63", "95", "ZZ", "\xe9\xe9", "\x1b["]
)
@pytest.mark.parametrize("state", [State.REVERSING, State.TIMED_OUT])
async def test_a_refused_reversal_undoes_nothing(url: str, state: State, code: str) -> None:
    """The bank may hold the payment: the entry stays, and an operator sees what is owed and why."""
    async with desk_of(url, replied(code), replied("00")) as desk:
        await owe(desk.book, 1, state=state)
        await desk.send(3)
        assert state is await state_of(desk.book, 1)
        assert (1, 1) == (len(desk.banks.sent), desk.worker.counters.refused)
        assert 1 == (await desk.book.gauges()).depths["demo"].dead
        with Database(url).read_only_engine().connect() as connection:
            (line,) = saf_lines(connection)
        reason = f"the bank refused it: response code {ascii(code)[1:-1]}"
        assert (True, reason, state.value) == (line.is_dead, line.dead_reason, line.state)
        await retry_saf(desk.context, 101)
        await desk.send()
        assert State.REVERSED is await state_of(desk.book, 1)


@pytest.mark.parametrize("code", ["30", "68", "77", "90", "91", "96", "97", "98", "A0", "A7", ""])
async def test_what_a_bank_says_of_the_link_lets_a_reversal_come_again(url: str, code: str) -> None:
    """With pauses that grow, until the bank has dealt with it."""
    async with desk_of(url, replied(code), replied(code), replied("00")) as desk:
        await owe(desk.book, 1)
        await desk.worker.send_due()
        (waiting,) = await desk.book.saf_pending()
        assert waiting.next_at_ms > desk.now_ms
        assert State.TIMED_OUT is await state_of(desk.book, 1)
        await desk.send(3)
        assert State.REVERSED is await state_of(desk.book, 1)
        assert (3, 0) == (len(desk.banks.sent), desk.worker.counters.refused)


async def test_repeats_say_so_and_take_other_links(url: str) -> None:
    """The same message under its first STAN, as a repeat from the second try on."""
    async with desk_of(url, NoReply(), replied("96"), replied("00")) as desk:
        await owe(desk.book, 1)
        await desk.send(3)
        assert [False, True, True] == [m.repeat for m in desk.banks.sent]
        assert 1 == len({(m.stan, m.transmission_at) for m in desk.banks.sent})
        assert [0, 1, 2] == desk.banks.attempts
        assert (3, 1, 2) == (
            desk.worker.counters.sent,
            desk.worker.counters.answered,
            desk.worker.counters.unanswered,
        )


async def test_what_did_not_leave_is_no_attempt(url: str) -> None:
    """It still goes out as the first one later."""
    async with desk_of(url, NotSent("link down"), replied("00")) as desk:
        await owe(desk.book, 1)
        await desk.send(2)
        assert [False, False] == [m.repeat for m in desk.banks.sent]


async def test_a_crash_after_sending_leaves_a_repeat_due(url: str) -> None:
    """The attempt was stored before it left."""

    class Crash(Exception):
        pass

    class Crashing(ScriptedBanks):
        async def request(self, *_: Any, **__: Any) -> Any:
            raise Crash

    async with open_book(url, "switch-1", clock_ms=lambda: 0, driver="inline") as book:
        desk = Desk(book, Crashing([]), SafSettings())
        await owe(book, 1)
        with pytest.RaisesGroup(Crash):
            await desk.send()
    async with desk_of(url, replied("00")) as desk:
        await desk.send()
        assert [True] == [m.repeat for m in desk.banks.sent]


async def test_many_attempts_or_great_age_make_a_dead_letter(url: str) -> None:
    """It is left alone then, and counted as expired; what is behind it goes on."""
    async with desk_of(url, NoReply(), replied("91"), attempts_max=3) as desk:
        await owe(desk.book, 1)
        await desk.send(5)
        assert (3, 1) == (len(desk.banks.sent), desk.worker.counters.expired)
        assert State.TIMED_OUT is await state_of(desk.book, 1)
        with Database(url).read_only_engine().connect() as connection:
            (line,) = saf_lines(connection)
        assert "tried 3 times, at last: response code 91" == line.dead_reason
    async with desk_of(url, NoReply(), age_max_s=150.0, age_attempts_min=2) as desk:
        await owe(desk.book, 2)
        await desk.send(5)
        assert (3, 1) == (len(desk.banks.sent), desk.worker.counters.expired)
        assert {"demo": (0, 2), "": (0, 0)} == {
            name: (depth.waiting, depth.dead)
            for name, depth in (await desk.book.gauges()).depths.items()
        }


async def test_an_item_that_no_message_can_be_made_of_fails_alone(url: str) -> None:
    """A card that does not open, an original that is gone or rots, a kind that is none."""
    async with desk_of(url, replied("00")) as desk:

        def open_card(card: CardRecord) -> Pan:
            if card.pan_cipher != bytes(44):
                raise CardUnreadable("card 622588******0007 does not open")
            return Pan("6225880000000007")

        desk.context.ports.vault.open = open_card
        altered = CardRecord("622588******0007", bytes(16), bytes(43) + b"\1")
        await owe(desk.book, 1, card=altered)
        await owe(desk.book, 2)
        await owe(desk.book, 3, card=None)
        await owe(desk.book, 4)
        await owe(desk.book, 5)
        await owe(desk.book, 6)
        with sqlite3.connect(url.removeprefix("sqlite:///")) as books:
            books.execute("UPDATE journal SET reply = '{' WHERE id = 2")
            books.execute("DELETE FROM journal WHERE id = 5")
            books.execute("UPDATE saf SET kind = 'advice' WHERE id = 103")
            books.execute("UPDATE saf SET kind = 'revers' || x'e1' || 'l' WHERE id = 104")
        await desk.send(3)
        assert ["000106"] == [message.stan for message in desk.banks.sent]
        assert State.REVERSED is await state_of(desk.book, 6)
        assert (4, 0) == (desk.worker.counters.unusable, len(await desk.book.saf_pending()))
    with Database(url).read_only_engine().connect() as connection:
        reasons = {line.id: line.dead_reason for line in saf_lines(connection)}
    assert "card 622588******0007 does not open" == reasons[101]
    assert reasons[102].startswith("entry 2 of the journal cannot be read")
    assert "its entry, or the card of it, is not in the journal" == reasons[103]
    assert "not a valid BankMessage" in reasons[104]


async def test_values_that_do_not_fit_a_banks_format_fail_alone(url: str) -> None:
    """They would not fit tomorrow either, so they do not wait at the head of the queue."""
    async with desk_of(url, NotSent("format"), replied("00"), at_once=1) as desk:
        await owe(desk.book, 1)
        await owe(desk.book, 2)
        await desk.send(2)
        assert [State.TIMED_OUT, State.REVERSED] == [await state_of(desk.book, n) for n in (1, 2)]
        assert isinstance(await retry_saf(desk.context, 101), dict)


async def test_a_dead_letter_that_is_retried_keeps_its_age(url: str) -> None:
    """Since when a bank is owed something is not what an operator changes."""
    async with desk_of(url, NoReply(), replied("00"), attempts_max=1) as desk:
        await owe(desk.book, 1)
        (owed,) = await desk.book.saf_pending()
        await desk.send()
        desk.now_ms += 3_600_000
        await retry_saf(desk.context, 101)
        (again,) = await desk.book.saf_pending()
        assert owed.created_at_ms == again.created_at_ms
        assert desk.now_ms == again.next_at_ms


async def test_what_was_written_off_says_so(url: str) -> None:
    """In the journal: not that it was undone, but who has decided that, and why."""
    async with desk_of(url, replied("12"), replied("00"), at_once=1) as desk:
        await owe(desk.book, 1)
        await owe(desk.book, 2)
        await desk.send(2)
        with structlog.testing.capture_logs() as logged:
            done = await write_off_saf(desk.context, 101, "w.chen", "bank confirms by letter")
        assert isinstance(done, dict)
        assert State.REVERSED is await state_of(desk.book, 1)
        with Database(url).read_only_engine().connect() as connection:
            lines = {line.id: line for line in journal_lines(connection)}
            found = journal_lines(connection, wanted=Wanted(state="written_off"))
            assert [1] == [line.id for line in found]
            found = journal_lines(connection, wanted=Wanted(state="reversed"))
            assert [2] == [line.id for line in found]
    assert ("written_off", "reversed") == (lines[1].state, lines[2].state)
    (own,) = (line for line in lines.values() if line.kind == "saf_write_off")
    assert ("w.chen", "bank confirms by letter", 1) == (own.by, own.reason, own.original_id)
    (event,) = (one for one in logged if one["event"] == "saf_written_off")
    assert ("w.chen", "bank confirms by letter", 101) == (
        event["by"],
        event["reason"],
        event["item"],
    )


async def test_an_operator_retries_a_dead_letter(url: str) -> None:
    """It goes out again as a repeat, and may be answered."""
    async with desk_of(url, NoReply(), replied("00"), attempts_max=1) as desk:
        await owe(desk.book, 1)
        await desk.send()
        assert isinstance(await retry_saf(desk.context, 102), Refused)
        assert {"id": 101, "retried": True} == await retry_saf(desk.context, 101)
        assert isinstance(await retry_saf(desk.context, 101), Refused)
        await desk.send()
        assert ([False, True], 1) == ([m.repeat for m in desk.banks.sent], desk.queued)
        assert State.REVERSED is await state_of(desk.book, 1)


@pytest.mark.parametrize(
    ("kind", "original", "accounts"),
    [
        ("reversal", "sale", {"assets:scheme:demo": 1250, "liabilities:suspense": -1250}),
        ("reversal", "void", {"expense:loss": 1250, "assets:scheme:demo": -1250}),
        ("advice", "balance", {"expense:loss": 1250, "assets:scheme:demo": -1250}),
        ("reversal", "preauth", {}),
        ("reversal", "preauth_void", {}),
    ],
)
async def test_a_write_off_is_a_posting_with_a_name_and_a_reason(
    url: str, kind: str, original: str, accounts: dict[str, int]
) -> None:
    """Once; the journal has who and why, the ledger what it costs, and the books agree.

    What was only held costs nothing.
    """
    async with desk_of(url, NoReply(), attempts_max=1) as desk:
        state = State.TIMED_OUT if kind == "reversal" else State.APPROVED
        await owe(desk.book, 1, kind, kind=original, state=state)
        assert isinstance(await write_off_saf(desk.context, 101, "w.chen", "too early"), Refused)
        await desk.send()
        assert isinstance(await write_off_saf(desk.context, 101, "w.chen", " "), Refused)
        done = await write_off_saf(desk.context, 101, "w.chen", "letter of 12 May")
        assert isinstance(done, dict)
        assert isinstance(await write_off_saf(desk.context, 101, "w.chen", "again"), Refused)
        entry = await desk.book.entry_by_rrn(done["rrn"])
        assert entry is not None
        assert (WriteOff("w.chen", "letter of 12 May"), 1) == (entry.detail, entry.original_id)
        undone = State.REVERSED if kind == "reversal" else State.APPROVED
        assert undone is await state_of(desk.book, 1)
    with Database(url).read_only_engine().connect() as connection:
        lines = trial_balance(connection).lines
        assert accounts == {line.account: line.debit_minor - line.credit_minor for line in lines}
        assert [] == list(saf_lines(connection))
        verify(connection)


async def test_an_advice_is_no_reversal(url: str) -> None:
    """It names no original, and is a dead letter at once where the bank refuses it."""
    async with desk_of(url, replied("00"), replied("51")) as desk:
        await owe(desk.book, 1, "advice", state=State.APPROVED)
        await desk.send()
        assert [("advice", None)] == [(m.kind, m.original) for m in desk.banks.sent]
        assert State.APPROVED is await state_of(desk.book, 1)
        await owe(desk.book, 2, "advice", state=State.APPROVED)
        await desk.send(3)
        assert (2, 1) == (len(desk.banks.sent), desk.worker.counters.refused)
    with Database(url).read_only_engine().connect() as connection:
        assert [(102, True)] == [
            (line.id, line.is_dead) for line in saf_lines(connection, dead_only=True)
        ]


async def test_a_refund_names_the_payment_that_it_gives_back(url: str) -> None:
    """By DE90 and approval code, for its own amount; refused, it is a dead letter."""
    async with desk_of(url, NoReply(), replied("12")) as desk:
        await desk.book.commit(
            InsertEntry(sale(1, state=State.SENT)),
            UpdateEntry(1, (State.SENT,), state=State.APPROVED, approval_code="A00001"),
        )
        refund = {"kind": "refund", "original_id": 1, "amount_minor": 250}
        await owe(desk.book, 2, "refund", state=State.APPROVED, processing_code="200000", **refund)
        await desk.send(3)
        assert [("refund", 250, "A00001", False), ("refund", 250, "A00001", True)] == [
            (m.kind, m.amount_minor, m.approval_code, m.repeat) for m in desk.banks.sent
        ]
        assert {"000001"} == {m.original.stan for m in desk.banks.sent if m.original}
        assert 1 == desk.worker.counters.refused


async def test_a_bank_learns_of_one_original_in_order(url: str) -> None:
    """Its reversal waits for its advice; others need not wait for either."""
    async with desk_of(url, NoReply(), replied("00")) as desk:
        await owe(desk.book, 1, "advice", state=State.APPROVED)
        await desk.book.commit(
            QueueSaf(
                SafItem(150, "demo", BankMessage.REVERSAL, 1, "06", 0, 0, 0, "000150", "1121000002")
            )
        )
        await desk.send(3)
        assert ["advice", "advice", "reversal"] == [m.kind for m in desk.banks.sent]


async def test_a_window_at_the_head(url: str) -> None:
    """What is behind the oldest few waits for them."""
    async with desk_of(url, NoReply(), window=2) as desk:
        for number in (1, 2, 3):
            await owe(desk.book, number)
        await desk.worker.send_due()
        await desk.worker.send_due()
        assert ["000101", "000102"] == sorted(m.stan for m in desk.banks.sent)


async def test_two_processes_share_a_queue(postgresql_url: str) -> None:
    """Each item is sent by one of them, once, however their claims interleave."""
    async with (
        desk_of(postgresql_url, replied("00"), instance="one", driver="thread") as one,
        desk_of(postgresql_url, replied("00"), instance="two", driver="thread") as two,
    ):
        for number in range(1, 61):
            await owe(one.book, number)

        async def empty(desk: Desk) -> None:
            while await desk.worker.send_due():
                pass

        async with trio.open_nursery() as nursery:
            for desk in (one, two, one, two):
                nursery.start_soon(empty, desk)
        sent = [message.stan for desk in (one, two) for message in desk.banks.sent]
        assert sorted(sent) == [f"{number + 100:06d}" for number in range(1, 61)]
        assert min(len(one.banks.sent), len(two.banks.sent)) > 0
        assert [] == await two.book.saf_pending()


def late(number: int, code: str = "00", **changes: str) -> Message:
    """A reply to an entry's request."""
    fields = {11: f"{number:06d}", 37: f"{number:012d}", 38: "A12345", 39: code}
    return Message("0210", fields | {int(k[2:]): v for k, v in changes.items()})


async def test_a_late_approval_shows_beside_its_reversal(url: str) -> None:
    """Code and approval code are kept; the state is not touched."""
    async with desk_of(url, replied("00")) as desk:
        await owe(desk.book, 1)
        assert await record_late(desk.book, "demo", late(1))
        entry = await desk.book.entry(1)
        assert entry is not None
        assert (State.TIMED_OUT, "00", "A12345") == (
            entry.state,
            entry.late_response_code,
            entry.approval_code,
        )
        await desk.send()
        assert ["A12345"] == [m.approval_code for m in desk.banks.sent]


async def test_a_reply_of_something_else_changes_nothing(url: str) -> None:
    """Another STAN, another bank, a doubled approval, an answer to a reversal, a request."""
    async with desk_of(url, replied("00")) as desk:
        await owe(desk.book, 1)
        assert not await record_late(desk.book, "demo", late(1, de11="000009"))
        assert not await record_late(desk.book, "other", late(1))
        assert not await record_late(desk.book, "demo", Message("0410", late(1).fields))
        assert not await record_late(desk.book, "demo", Message("0200", late(1).fields))
        await desk.book.commit(InsertEntry(sale(2, state=State.SENT)))
        await desk.book.commit(UpdateEntry(2, (State.SENT,), state=State.APPROVED))
        assert not await record_late(desk.book, "demo", late(2))


async def test_late_replies_are_taken_at_once_and_written_in_time(
    url: str, capsys: Callable[[], Any]
) -> None:
    """Too many at once are logged only; none is waited for."""
    counted: list[int] = []
    async with desk_of(url, replied("00")) as desk, trio.open_nursery() as nursery:
        await owe(desk.book, 1)
        replies = LateReplies(lambda: counted.append(1))
        for number in [1, *range(2, 400)]:
            replies.note("demo", late(number))
        nursery.start_soon(replies.run, desk.book)
        await trio.testing.wait_all_tasks_blocked()
        entry = await desk.book.entry(1)
        assert entry is not None
        assert ("00", 399) == (entry.late_response_code, len(counted))
        nursery.cancel_scope.cancel()
