"""The handlers of pre-authorisations alone: what is held, taken, released, and who is first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from counter import (
    CARD,
    NOTHING,
    OTHER_PAN,
    PAN,
    PAYABLE,
    SCHEME,
    SOLD,
    Counter,
    Owed,
    answered,
    code_of,
    named,
    reversal_of,
)
from origins import MERCHANT
from ports import NOW_MS, replied

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.accounts.postings import MDR_INCOME
from acquirer.ledger.journal.entries import Entry, State
from acquirer.payments.cards.completion import (
    CompletionRequested,
    CompletionTold,
    CompletionVoidRequested,
    completion,
    completion_advice,
    completion_void,
)
from acquirer.payments.cards.preauth import (
    PreauthRequested,
    PreauthVoidRequested,
    expire,
    preauth,
    preauth_void,
)
from acquirer.payments.kernel.calendar import DAY_MS
from acquirer.payments.kernel.commands import Origin, Outcome, Repeat
from acquirer.payments.kernel.references import Reference
from acquirer.payments.kernel.undo import undo_steps
from acquirer.routing.outcomes import BankOutcome, NoReply, NotSent
from acquirer.switch.workers.saf import undone_steps

pytestmark = pytest.mark.anyio

# What an open pre-authorisation of 100.00 holds.
HELD = {SCHEME: 10_000, PAYABLE: -10_000}


async def kept(counter: Counter, amount_minor: int = 10_000, **changes: Any) -> Entry:
    """An open pre-authorisation."""
    origin = counter.origin(amount_minor, **changes)
    assert "00" == await code_of(preauth(counter.ports, PreauthRequested(origin, CARD)))
    return counter.entry(origin)


def completes(
    counter: Counter, held: Entry, amount_minor: int = 10_000, **changes: Any
) -> CompletionRequested:
    """The completion of one."""
    reference = Reference(named(held), held.rrn, "", held.approval_code)
    origin = counter.origin(amount_minor, **changes)
    return CompletionRequested(origin, reference, CARD, "06")


def tells(counter: Counter, held: Entry, amount_minor: int = 10_000) -> CompletionTold:
    """The advice of a completion."""
    asked = completes(counter, held, amount_minor)
    return CompletionTold(asked.origin, asked.reference, None, "06")


def gives_up(counter: Counter, held: Entry, **changes: Any) -> PreauthVoidRequested:
    """The void of one."""
    usual: dict[str, Any] = {"reference": Reference(named(held), held.rrn), "pan": PAN}
    return PreauthVoidRequested(counter.origin(10_000), **usual | changes)


def takes_back(counter: Counter, made: Entry) -> CompletionVoidRequested:
    """The void of a completion."""
    reference = Reference(named(made), made.rrn, "", made.approval_code)
    return CompletionVoidRequested(counter.origin(made.amount_minor), reference)


async def completed(
    counter: Counter, held: Entry, amount_minor: int = 10_000
) -> tuple[str, Entry, Origin]:
    """The code of a completion, its entry and its origin."""
    command = completes(counter, held, amount_minor)
    code = await code_of(completion(counter.ports, command))
    return code, counter.entry(command.origin), command.origin


async def learn(counter: Counter, entry: Entry) -> None:
    """The bank has undone an entry, as store and forward notes it."""
    counter.books.rows.saf.clear()
    now = counter.books.rows.entries[entry.id]
    assert counter.books.apply(*undone_steps(now)) is None


async def test_what_is_held_is_pending(counter: Counter) -> None:
    """Nothing is posted; the bank was asked for it, and its code is kept."""
    held = await kept(counter)
    assert (NOTHING, HELD, []) == (counter.money, counter.held, counter.owed)
    assert (State.APPROVED, "A12345", NOW_MS + 30 * DAY_MS) == (
        held.state,
        held.approval_code,
        held.lease_until_ms,
    )
    (asked,) = counter.banks.sent
    assert (BankMessage.PREAUTH, 10_000, PAN) == (asked.kind, asked.amount_minor, asked.pan)


@pytest.mark.parametrize("amount_minor", [1, 4_000, 10_000, 10_121, 11_500])
async def test_a_completion_posts_what_a_sale_would(counter: Counter, amount_minor: int) -> None:
    """Whatever part of it was held: to the cent, and nothing is pending any more."""
    held = await kept(counter)
    code, made, _ = await completed(counter, held, amount_minor)
    other = Counter()
    await other.sell(amount_minor)
    assert ("00", other.money, NOTHING) == (code, counter.money, counter.held)
    assert (State.COMPLETED, State.APPROVED) == (counter.state(held), made.state)
    asked = counter.banks.sent[-1]
    assert asked.original is not None
    assert (BankMessage.COMPLETION, "0100", held.bank_stan, held.approval_code) == (
        asked.kind,
        asked.original.mti,
        asked.original.stan,
        asked.approval_code,
    )


async def test_a_fee_that_takes_all(counter: Counter) -> None:
    """Nothing of what was held is posted, and all of it released."""
    dear = msgspec.structs.replace(MERCHANT, mdr_basis_points=10_000)
    held = await kept(counter)
    command = completes(counter, held, merchant=dear)
    assert "00" == await code_of(completion(counter.ports, command))
    assert ({SCHEME: 10_000, MDR_INCOME: -10_000}, NOTHING) == (counter.money, counter.held)


async def test_told_and_not_asked(counter: Counter) -> None:
    """An advice is posted and owed at once, with the pre-authorisation's code; once."""
    held = await kept(counter)
    counter.banks.up = False
    command = tells(counter, held)
    answer = answered(await completion_advice(counter.ports, command))
    made = counter.entry(command.origin)
    assert ("00", held.approval_code) == (answer.response_code, answer.reply.approval_code)
    assert (SOLD, NOTHING) == (counter.money, counter.held)
    assert [Owed(BankMessage.COMPLETION, made.id, "00")] == counter.owed
    assert isinstance(await completion_advice(counter.ports, command), Repeat)
    assert "12" == await code_of(completion_void(counter.ports, takes_back(counter, made)))
    counter.banks.up = True
    counter.books.rows.saf.clear()
    assert "00" == await code_of(completion_void(counter.ports, takes_back(counter, made)))
    assert (NOTHING, HELD, State.APPROVED) == (counter.money, counter.held, counter.state(held))


@pytest.mark.parametrize(
    ("outcome", "code"),
    [(replied("51"), "51"), (NotSent("link down"), "91")],
)
async def test_a_completion_that_is_refused_leaves_it_open(
    counter: Counter, outcome: BankOutcome, code: str
) -> None:
    """And it can be completed after that."""
    held = await kept(counter)
    counter.banks.outcomes = [outcome, replied("00", "B12345")]
    assert code == (await completed(counter, held))[0]
    assert (NOTHING, HELD, []) == (counter.money, counter.held, counter.owed)
    assert "00" == (await completed(counter, held))[0]


async def test_in_doubt_it_is_claimed_until_the_bank_has_undone_it(counter: Counter) -> None:
    """Nobody completes, voids or expires it meanwhile."""
    held = await kept(counter)
    counter.banks.outcomes = [NoReply(), replied("00", "B12345")]
    code, made, _ = await completed(counter, held)
    assert ("98", [reversal_of(made)], HELD) == (code, counter.owed, counter.held)
    assert "12" == (await completed(counter, held))[0]
    assert "12" == await code_of(completion_advice(counter.ports, tells(counter, held)))
    assert "12" == await code_of(preauth_void(counter.ports, gives_up(counter, held)))
    counter.clock.at_ms += 30 * DAY_MS
    assert not await expire(counter.ports, counter.books.rows.entries[held.id])
    counter.clock.at_ms -= 30 * DAY_MS
    await learn(counter, made)
    assert "00" == (await completed(counter, held))[0]


async def test_a_process_that_died_while_the_bank_was_asked(counter: Counter) -> None:
    """Recovery undoes the completion, and then it is open again."""
    held = await kept(counter)
    command = completes(counter, held)
    left: list[Entry] = []

    async def dies() -> None:
        entry = counter.entry(command.origin)
        steps = await undo_steps(counter.ports, entry, "98", NOW_MS)
        assert counter.books.apply(*steps) is None
        left.append(entry)

    counter.banks.meanwhile = dies
    assert "94" == await code_of(completion(counter.ports, command))
    assert (HELD, [reversal_of(left[0])]) == (counter.held, counter.owed)
    await learn(counter, left[0])
    assert (State.APPROVED, None) == (
        counter.state(held),
        counter.books.rows.entries[held.id].claimed_by,
    )


@pytest.mark.parametrize(
    ("changes", "amount_minor", "code"),
    [
        ({"reference": Reference(rrn="999999999999")}, 100, "25"),
        ({"reference": Reference(date="0101", approval_code="A12345")}, 100, "25"),
        ({"card": msgspec.structs.replace(CARD, pan=OTHER_PAN)}, 100, "14"),
        ({}, 0, "13"),
        ({}, 11_501, "61"),
    ],
)
async def test_what_is_refused(
    counter: Counter, changes: dict[str, Any], amount_minor: int, code: str
) -> None:
    """Asked or told: unknown, another card, no amount, too much; nothing changes."""
    held = await kept(counter)
    asked = msgspec.structs.replace(completes(counter, held, amount_minor), **changes)
    told = msgspec.structs.replace(tells(counter, held, amount_minor), **changes)
    assert code == await code_of(completion(counter.ports, asked))
    assert code == await code_of(completion_advice(counter.ports, told))
    assert (NOTHING, HELD, State.APPROVED) == (counter.money, counter.held, counter.state(held))


async def test_the_limit_is_the_merchants(counter: Counter) -> None:
    """Rounded down to a minor unit."""
    strict = msgspec.structs.replace(MERCHANT, completion_over_percent=10)
    held = await kept(counter, 105)
    for amount_minor, code in ((116, "61"), (115, "00")):
        command = completes(counter, held, amount_minor, merchant=strict)
        assert code == await code_of(completion(counter.ports, command))


async def test_by_code_and_card_the_open_one_is_found(counter: Counter) -> None:
    """Of several with one code the newest that is open; of another merchant none."""
    first = await kept(counter)
    second = await kept(counter)
    reference = Reference(approval_code="A12345")
    for wanted in (second, first):
        command = msgspec.structs.replace(completes(counter, first), reference=reference)
        assert "00" == await code_of(completion(counter.ports, command))
        assert State.COMPLETED is counter.state(wanted)
    command = msgspec.structs.replace(completes(counter, first), reference=reference)
    assert "12" == await code_of(completion(counter.ports, command))
    other = msgspec.structs.replace(MERCHANT, merchant_id="M2")
    command = msgspec.structs.replace(
        completes(counter, first, merchant=other), reference=reference
    )
    assert "25" == await code_of(completion(counter.ports, command))


async def test_it_runs_out_by_lived_time(counter: Counter) -> None:
    """A millisecond before it stands; then it is released once, and neither taken nor voided."""
    held = await kept(counter)
    counter.clock.at_ms += 30 * DAY_MS - 1
    assert not await expire(counter.ports, held)
    counter.clock.at_ms += 1
    for handler in (
        completion(counter.ports, completes(counter, held)),
        completion_advice(counter.ports, tells(counter, held)),
        preauth_void(counter.ports, gives_up(counter, held)),
    ):
        assert "12" == await code_of(handler)
    assert HELD == counter.held
    assert await expire(counter.ports, held)
    assert not await expire(counter.ports, held)
    assert (State.EXPIRED, NOTHING, NOTHING) == (
        counter.state(held),
        counter.held,
        counter.money,
    )


Ask = Callable[[Counter, Entry], Awaitable[Outcome]]
RIVALS: dict[str, Ask] = {
    "completion": lambda counter, held: completion(counter.ports, completes(counter, held)),
    "advice": lambda counter, held: completion_advice(counter.ports, tells(counter, held)),
    "void": lambda counter, held: preauth_void(counter.ports, gives_up(counter, held)),
}


@pytest.mark.parametrize("second", RIVALS)
@pytest.mark.parametrize("first", [*RIVALS, "expiry"])
async def test_the_second_of_two_finds_it_taken(counter: Counter, first: str, second: str) -> None:
    """Between what a handler has read and what it commits somebody else was there: 12."""
    held = await kept(counter)

    async def is_first() -> None:
        counter.books.meanwhile.clear()
        if first == "expiry":
            counter.clock.at_ms += 30 * DAY_MS
            assert await expire(counter.ports, held)
        else:
            assert "00" == await code_of(RIVALS[first](counter, held))

    counter.books.meanwhile.append(is_first)
    assert "12" == await code_of(RIVALS[second](counter, held))
    assert NOTHING == counter.held
    assert counter.money in (NOTHING, SOLD)
    assert (counter.money == SOLD) == (first in ("completion", "advice"))


@pytest.mark.parametrize("rival", RIVALS)
async def test_expiry_finds_it_taken(counter: Counter, rival: str) -> None:
    """What was asked for in time is not undone by the time that passes."""
    held = await kept(counter)

    async def is_first() -> None:
        counter.books.meanwhile.clear()
        counter.clock.at_ms -= 30 * DAY_MS
        assert "00" == await code_of(RIVALS[rival](counter, held))

    counter.clock.at_ms += 30 * DAY_MS
    counter.books.meanwhile.append(is_first)
    assert not await expire(counter.ports, held)
    assert State.EXPIRED is not counter.state(held)
    assert NOTHING == counter.held


async def test_reversals_turn_each_back(counter: Counter) -> None:
    """Down the stairs and up again; at its end nothing is held, posted or pending."""
    origin = counter.origin(10_000)
    assert "00" == await code_of(preauth(counter.ports, PreauthRequested(origin, CARD)))
    held = counter.entry(origin)
    _, made, making = await completed(counter, held)
    undoing = takes_back(counter, made)
    assert "00" == await code_of(completion_void(counter.ports, undoing))
    undone = counter.entry(undoing.origin)
    assert (NOTHING, HELD) == (counter.money, counter.held)

    assert "00" == (await counter.reverse(undoing.origin)).response_code
    assert (SOLD, NOTHING, State.COMPLETED) == (counter.money, counter.held, counter.state(held))
    await learn(counter, undone)
    assert "00" == (await counter.reverse(making)).response_code
    assert (NOTHING, HELD, State.APPROVED) == (counter.money, counter.held, counter.state(held))
    assert "12" == (await completed(counter, held))[0]
    await learn(counter, made)

    voiding = gives_up(counter, held)
    assert "00" == await code_of(preauth_void(counter.ports, voiding))
    assert (NOTHING, State.VOIDED) == (counter.held, counter.state(held))
    assert "00" == (await counter.reverse(voiding.origin)).response_code
    assert (HELD, State.APPROVED) == (counter.held, counter.state(held))
    await learn(counter, counter.entry(voiding.origin))
    assert "00" == (await counter.reverse(origin)).response_code
    assert (NOTHING, NOTHING, State.REVERSING) == (
        counter.money,
        counter.held,
        counter.state(held),
    )
    assert [reversal_of(held)] == counter.owed


async def test_a_void_is_not_undone_where_it_was_completed_again(counter: Counter) -> None:
    """12: two completions would stand."""
    held = await kept(counter)
    _, made, _ = await completed(counter, held)
    undoing = takes_back(counter, made)
    assert "00" == await code_of(completion_void(counter.ports, undoing))
    assert "00" == (await completed(counter, held))[0]
    assert "12" == (await counter.reverse(undoing.origin)).response_code
    assert (SOLD, NOTHING) == (counter.money, counter.held)


async def test_a_void_is_undone_though_it_has_run_out_meanwhile(counter: Counter) -> None:
    """The completion stands again; nothing is held."""
    held = await kept(counter)
    _, made, _ = await completed(counter, held)
    undoing = takes_back(counter, made)
    assert "00" == await code_of(completion_void(counter.ports, undoing))
    counter.clock.at_ms += 30 * DAY_MS
    assert await expire(counter.ports, counter.books.rows.entries[held.id])
    assert "00" == (await counter.reverse(undoing.origin)).response_code
    assert (SOLD, NOTHING, State.COMPLETED) == (counter.money, counter.held, counter.state(held))


async def test_one_that_has_run_out_is_released_at_its_bank_too(counter: Counter) -> None:
    """Its reversal is owed though nothing is held here any more."""
    origin = counter.origin(10_000)
    assert "00" == await code_of(preauth(counter.ports, PreauthRequested(origin, CARD)))
    held = counter.entry(origin)
    counter.clock.at_ms += 30 * DAY_MS
    assert await expire(counter.ports, held)
    assert "00" == (await counter.reverse(origin)).response_code
    assert ([reversal_of(held)], NOTHING) == (counter.owed, counter.held)


async def test_one_that_was_voided_does_not_come_back(counter: Counter) -> None:
    """Reversed after its void, it stays undone though the void is reversed as well."""
    origin = counter.origin(10_000)
    assert "00" == await code_of(preauth(counter.ports, PreauthRequested(origin, CARD)))
    held = counter.entry(origin)
    voiding = gives_up(counter, held)
    assert "00" == await code_of(preauth_void(counter.ports, voiding))
    assert "00" == (await counter.reverse(origin)).response_code
    assert "00" == (await counter.reverse(voiding.origin)).response_code
    assert (State.REVERSED, NOTHING) == (counter.state(held), counter.held)
