"""The reversal's handler alone: what becomes of an original in each of its states."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import trio
from counter import CARD, NOTHING, SOLD, Counter, code_of, named, reversal_of
from ports import replied

from acquirer.ledger.errors import BookBusy, BookUnavailable
from acquirer.ledger.journal.entries import (
    Entry,
    Role,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    UpdateEntry,
)
from acquirer.payments.cards.balance import BalanceRequested, balance
from acquirer.payments.cards.sale import SaleRequested, sale
from acquirer.payments.cards.void import VoidRequested, void
from acquirer.payments.kernel.commands import Origin, Repeat
from acquirer.payments.kernel.undo import undo_steps
from acquirer.routing.outcomes import BankOutcome, NoReply, NotSent

pytestmark = pytest.mark.anyio


def _of(counter: Counter, entry: Entry) -> Origin:
    return counter.origin(10_000, stan=entry.stan)


async def test_an_approved_sale_is_undone_at_once(counter: Counter) -> None:
    """00 whether or not the bank can be reached; its reversal is owed, the money turned back."""
    _, entry = await counter.sell()
    counter.banks.up = False
    origin = _of(counter, entry)
    assert "00" == (await counter.reverse(origin)).response_code
    undo = counter.entry(origin, Role.REVERSAL)
    assert (State.REVERSING, State.APPROVED) == (counter.state(entry), undo.state)
    assert (entry.id, 10_000) == (undo.original_id, undo.amount_minor)
    assert (NOTHING, [reversal_of(entry)]) == (counter.money, counter.owed)
    assert ["saf", "events"] == counter.told


async def test_a_repeated_reversal_has_no_second_effect(counter: Counter) -> None:
    """00 again, with the first one's reference number."""
    _, entry = await counter.sell()
    origin = _of(counter, entry)
    first = await counter.reverse(origin)
    assert first == await counter.reverse(origin, reason="06")
    assert (NOTHING, [reversal_of(entry)]) == (counter.money, counter.owed)


@pytest.mark.parametrize(
    ("said", "told"), [("98", "98"), ("A0", "A0"), ("06", "06"), ("", "06"), ("zz", "06")]
)
async def test_a_bank_is_told_no_reason_but_three(counter: Counter, said: str, told: str) -> None:
    """What the terminal says beside them is 06, other."""
    _, entry = await counter.sell()
    await counter.reverse(_of(counter, entry), reason=said)
    assert [reversal_of(entry, told)] == counter.owed


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(replied("51"), State.DECLINED), (NotSent("link down"), State.REFUSED)],
)
async def test_a_sale_that_moved_nothing_needs_no_undo(
    counter: Counter, outcome: BankOutcome, state: State
) -> None:
    """00 with no effect."""
    counter.banks.outcomes = [outcome]
    _, entry = await counter.sell()
    assert "00" == (await counter.reverse(_of(counter, entry))).response_code
    assert (state, NOTHING, []) == (counter.state(entry), counter.money, counter.owed)


async def test_a_sale_that_timed_out_is_undone_once(counter: Counter) -> None:
    """00; the reversal that its time-out has queued stays the only one."""
    counter.banks.outcomes = [NoReply()]
    _, entry = await counter.sell()
    assert "00" == (await counter.reverse(_of(counter, entry))).response_code
    assert (State.TIMED_OUT, [reversal_of(entry)]) == (counter.state(entry), counter.owed)


async def test_another_amount_than_the_originals_is_refused(counter: Counter) -> None:
    """64, not recorded, so that it does not stand in the way of the right one; none is right."""
    _, entry = await counter.sell()
    origin = _of(counter, entry)
    assert "64" == (await counter.reverse(origin, amount_minor=9_999)).response_code
    assert ([entry], SOLD) == (counter.entries, counter.money)
    assert "00" == (await counter.reverse(origin, amount_minor=None)).response_code
    assert NOTHING == counter.money


async def test_an_unknown_original_is_remembered(counter: Counter) -> None:
    """25, and the original that comes late reaches no bank."""
    origin = counter.origin(10_000)
    assert "25" == (await counter.reverse(origin)).response_code
    assert Kind.UNKNOWN_ORIGINAL is counter.entry(origin).kind
    assert isinstance(await sale(counter.ports, SaleRequested(origin, CARD)), Repeat)
    assert "94" == counter.entry(origin).response_code
    assert ([], NOTHING, []) == (counter.banks.sent, counter.money, counter.owed)
    assert "25" == (await counter.reverse(origin)).response_code


async def test_an_original_that_comes_at_the_same_moment_is_undone(counter: Counter) -> None:
    """Stored between the reversal's read and its commit, it is found and undone, not unknown."""
    sold = counter.origin(10_000)
    _, other = await counter.sell()
    twin = partial(counter.books.rows.entries.__setitem__, 999)
    late = _late_sale(other, sold)
    counter.books.meanwhile = [lambda: twin(late)]
    assert "00" == (await counter.reverse(sold)).response_code
    assert (State.REVERSING, [reversal_of(late)]) == (counter.state(late), counter.owed)


def _late_sale(like: Entry, origin: Origin) -> Entry:
    return replace(like, id=999, rrn="000000000999", stan=origin.stan, state=State.SENT)


@pytest.mark.parametrize(("code", "reversal_code"), [("00", "12"), ("51", "00")])
async def test_an_inquiry_cannot_be_undone(counter: Counter, code: str, reversal_code: str) -> None:
    """12 where it was approved; a declined one gets 00 like any other."""
    counter.banks.outcomes = [replied(code)]
    origin = counter.origin()
    await balance(counter.ports, BalanceRequested(origin, CARD))
    assert reversal_code == (await counter.reverse(origin)).response_code
    assert (NOTHING, []) == (counter.money, counter.owed)


async def test_a_voided_sale_does_not_come_back(counter: Counter) -> None:
    """00 and nothing owed for the sale; if its void is undone too, it stays undone."""
    _, entry = await counter.sell()
    voiding = counter.origin(10_000)
    await void(counter.ports, VoidRequested(voiding, named(entry), entry.rrn))
    assert "00" == (await counter.reverse(_of(counter, entry))).response_code
    assert (State.REVERSED, NOTHING, []) == (counter.state(entry), counter.money, counter.owed)
    assert "00" == (await counter.reverse(voiding)).response_code
    assert (State.REVERSED, NOTHING) == (counter.state(entry), counter.money)


async def test_a_sale_whose_void_is_at_the_bank_is_waited_for(counter: Counter) -> None:
    """The reversal decides once the void has ended: by then the sale is undone already."""
    _, entry = await counter.sell()
    voiding = counter.origin(10_000)
    answers: list[str] = []

    async def reverse() -> None:
        answers.append((await counter.reverse(_of(counter, entry))).response_code)

    async def meanwhile() -> None:
        nursery.start_soon(reverse)
        await trio.sleep(1)
        assert [] == answers

    counter.banks.meanwhile = meanwhile
    async with trio.open_nursery() as nursery:
        command = VoidRequested(voiding, named(entry), entry.rrn)
        assert "00" == await code_of(void(counter.ports, command))
    assert ["00"] == answers
    assert (State.REVERSED, NOTHING, []) == (counter.state(entry), counter.money, counter.owed)


async def test_a_sale_whose_void_is_being_undone_is_not_waited_for(counter: Counter) -> None:
    """Both undos are owed, in any order; the sale's money is turned back."""
    _, entry = await counter.sell()
    voiding = counter.origin(10_000)
    counter.banks.outcomes = [NoReply()]
    await void(counter.ports, VoidRequested(voiding, named(entry), entry.rrn))
    assert "00" == (await counter.reverse(_of(counter, entry))).response_code
    assert (State.REVERSING, NOTHING) == (counter.state(entry), counter.money)
    assert [reversal_of(counter.entry(voiding)), reversal_of(entry)] == counter.owed


async def test_a_void_that_never_ends_does_not_hold_a_reversal_for_ever(counter: Counter) -> None:
    """Nothing is stored; the terminal says it again."""
    _, entry = await counter.sell()
    _, other = await counter.sell()
    counter.books.apply(UpdateEntry.claim(entry.id, 12345))
    with pytest.raises(BookBusy):
        await counter.reverse(_of(counter, entry))
    assert [entry.id, other.id] == [one.id for one in counter.entries]


async def test_what_changes_meanwhile_is_looked_at_again(counter: Counter) -> None:
    """Recovery ends the sale between read and commit: one reversal is owed, not two."""
    origin = counter.origin(10_000)
    counter.banks.outcomes = [NoReply()]
    answers: list[str] = []

    async def reverse() -> None:
        steps = await undo_steps(counter.ports, counter.entry(origin), "98", counter.clock.at_ms)
        counter.books.meanwhile = [lambda: counter.books.apply(*steps)]
        answers.append((await counter.reverse(origin)).response_code)

    counter.banks.meanwhile = reverse
    assert "94" == await code_of(sale(counter.ports, SaleRequested(origin, CARD)))
    assert ["00"] == answers
    assert (State.TIMED_OUT, NOTHING) == (counter.entry(origin).state, counter.money)
    assert [reversal_of(counter.entry(origin))] == counter.owed


async def test_two_reversals_at_once_are_one(counter: Counter) -> None:
    """The later one finds the earlier one's answer."""
    _, entry = await counter.sell()
    origin = _of(counter, entry)
    counter.books.meanwhile = [lambda: counter.reverse(origin)]
    answer = await counter.reverse(origin)
    undo = counter.entry(origin, Role.REVERSAL)
    assert ("00", undo.rrn) == (answer.response_code, answer.reply.rrn)
    assert (NOTHING, [reversal_of(entry)]) == (counter.money, counter.owed)


async def test_a_reversal_that_cannot_be_stored_is_not_answered(counter: Counter) -> None:
    """Nothing has changed; the terminal says it again, and gets 00."""

    def fail() -> None:
        raise BookUnavailable("full")

    _, entry = await counter.sell()
    counter.books.meanwhile = [fail]
    with pytest.raises(BookUnavailable):
        await counter.reverse(_of(counter, entry))
    assert (State.APPROVED, SOLD, []) == (counter.state(entry), counter.money, counter.owed)
    assert "00" == (await counter.reverse(_of(counter, entry))).response_code
