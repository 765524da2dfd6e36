"""Random ledger work against a model that is a dictionary of balances, on both databases."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from acquirer.ledger.accounts.transfer_steps import (
    OpenAccount,
    Post,
    Posting,
    PostPending,
    PostPendingResolve,
    PostReversed,
    Resolution,
)
from acquirer.ledger.accounts.verify import verify
from acquirer.ledger.journal.entries import (
    Entry,
    State,
)
from acquirer.ledger.journal.steps import (
    Failed,
    InsertEntry,
    Step,
)
from acquirer.ledger.store.database import Database
from acquirer.ledger.store.reads import account_sums
from acquirer.ledger.store.writer import Query, Writer

DATE = "2026-01-02"
LIMITED = ("liabilities:customer-funds:a", "assets:bank:a")
ACCOUNTS = (*LIMITED, "assets:scheme:a", "liabilities:merchant:a", "income:mdr", "expense:loss")
DEBIT_NORMAL = ("assets", "expense")

Sums = list[int]


@dataclass
class Model:
    """What the ledger should hold: balances, and how each event stands."""

    sums: dict[str, Sums] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0, 0]))
    posted: dict[int, list[Posting]] = field(default_factory=dict)
    reversed_by: dict[int, int] = field(default_factory=dict)
    pending: dict[int, list[Posting]] = field(default_factory=dict)

    def add(self, changes: list[tuple[str, Sums]]) -> bool:
        """Apply changes one by one, as far as limits allow; all or nothing."""
        before = {name: list(sums) for name, sums in self.sums.items()}
        for name, change in changes:
            sums = self.sums[name]
            for place, amount in enumerate(change):
                sums[place] += amount
            debits, credits, debits_pending, credits_pending = sums
            out, into = (
                (credits + credits_pending, debits)
                if name.startswith(DEBIT_NORMAL)
                else (debits + debits_pending, credits)
            )
            if name in LIMITED and out > into:
                self.sums.clear()
                self.sums.update(before)
                return False
        return True

    def post(self, postings: list[Posting], pending: bool) -> bool:
        """Transfers of a new event."""
        changes = []
        for posting in postings:
            amount = posting.amount_minor
            changes.append((posting.debit, [0, 0, amount, 0] if pending else [amount, 0, 0, 0]))
            changes.append((posting.credit, [0, 0, 0, amount] if pending else [0, amount, 0, 0]))
        return self.add(changes)

    def resolve(self, postings: list[Posting], amounts: list[int]) -> bool:
        """The second phase."""
        changes = []
        for posting, amount in zip(postings, amounts, strict=True):
            held = posting.amount_minor
            changes.append((posting.debit, [amount, 0, -held, 0]))
            changes.append((posting.credit, [0, amount, 0, -held]))
        return self.add(changes)


postings_lists = st.lists(
    st.builds(
        lambda pair, amount: Posting(pair[0], pair[1], amount, "test"),
        st.permutations(ACCOUNTS).map(lambda names: names[:2]),
        st.integers(1, 100),
    ),
    min_size=1,
    max_size=3,
)


class Ledger(RuleBasedStateMachine):
    """Units go to the writer in groups; the model takes them one by one."""

    numbers = count(1)
    currencies = count(1)

    def __init__(self, writer: Writer, make_entry: Callable[..., Entry], url: str) -> None:
        super().__init__()
        self.writer, self.make_entry, self.url = writer, make_entry, url
        # A currency of its own, so that one database serves all examples.
        self.currency = f"points:{next(self.currencies)}"
        self.model = Model()
        self.units: list[tuple[Step, ...]] = []
        self.expected: list[Any] = []
        self.resolved: set[int] = set()
        self.others_queued = False
        opening = tuple(OpenAccount(name, self.currency) for name in LIMITED)
        assert writer.commit([opening]) == [None]

    @rule(postings=postings_lists, pending=st.booleans())
    def post(self, postings: list[Posting], pending: bool) -> None:
        """A new event, posted or pending.

        A group takes plain postings before all else; the model must take them in that order.
        """
        if self.others_queued or len(self.units) == 8:
            self.flush()
        number = next(self.numbers)
        entry = self.make_entry(number, state=State.APPROVED, kind="balance")
        kind = PostPending if pending else Post
        holds = self.model.post(postings, pending)
        step = kind(number, self.currency, DATE, tuple(postings))
        self.units.append((InsertEntry(entry), step))
        self.expected.append(None if holds else Failed(step))
        if holds:
            (self.model.pending if pending else self.model.posted)[number] = postings

    @rule(data=st.data())
    def reverse(self, data: st.DataObject) -> None:
        """Reverse an event, or a reversal, that may be reversed already."""
        if not self.model.posted:
            return
        event_id = data.draw(st.sampled_from(sorted(self.model.posted)))
        by_event_id = next(self.numbers)
        last, stands = event_id, True
        while last in self.model.reversed_by:
            last, stands = self.model.reversed_by[last], not stands
        opposite = [
            Posting(posting.credit, posting.debit, posting.amount_minor, posting.code)
            for posting in self.model.posted[last]
        ]
        holds = stands and self.model.post(opposite, pending=False)
        step = PostReversed(event_id, by_event_id, DATE)
        self.units.append((step,))
        self.others_queued = True
        self.expected.append(None if holds else Failed(step))
        if holds:
            self.model.reversed_by[last] = by_event_id
            self.model.posted[by_event_id] = opposite

    @rule(data=st.data(), resolution=st.sampled_from(Resolution), in_part=st.booleans())
    def resolve(self, data: st.DataObject, resolution: Resolution, in_part: bool) -> None:
        """Post a pending event in part or whole, void it, let it expire; once."""
        if not self.model.pending:
            return
        event_id = data.draw(st.sampled_from(sorted(self.model.pending)))
        postings = self.model.pending[event_id]
        whole = [posting.amount_minor for posting in postings]
        amounts = None
        if in_part and resolution is Resolution.POST:
            amounts = tuple(data.draw(st.integers(0, amount)) for amount in whole)
        posted = list(amounts or whole) if resolution is Resolution.POST else [0] * len(whole)
        resolved = event_id in self.resolved
        holds = not resolved and self.model.resolve(postings, posted)
        by_event_id = next(self.numbers)
        step = PostPendingResolve(event_id, by_event_id, DATE, resolution, amounts)
        self.units.append((step,))
        self.others_queued = True
        self.expected.append(None if holds else Failed(step))
        if holds:
            self.resolved.add(event_id)

    @rule()
    def flush(self) -> None:
        """Commit the group; balances must be the model's."""
        units, self.units = self.units, []
        self.others_queued = False
        expected, self.expected = self.expected, []
        assert self.writer.commit(units) == expected
        for name in ACCOUNTS:
            query = Query(partial(account_sums, name=name, currency_code=self.currency))
            assert self.writer.commit([query]) == [tuple(self.model.sums[name])]

    def teardown(self) -> None:
        """Whatever happened, the books agree with themselves."""
        self.flush()
        engine = Database(self.url).read_only_engine()
        with engine.connect() as connection:
            verify(connection)


def test_random_ledger_work(writer: Writer, make_entry: Callable[..., Entry], url: str) -> None:
    """Postings, both phases and reversals of reversals, in groups, with limits."""

    class Here(Ledger):
        def __init__(self) -> None:
            super().__init__(writer, make_entry, url)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
