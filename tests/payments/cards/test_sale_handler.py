"""The sale handler alone: what it answers, posts and owes, whatever happens to it."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from counter import CARD, NOTHING, PAN, PAYABLE, SCHEME, SOLD, Counter, code_of, reversal_of
from origins import BANK
from ports import kinds_of, replied

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.accounts.postings import MDR_INCOME
from acquirer.ledger.errors import BookUnavailable
from acquirer.ledger.journal.entries import (
    State,
)
from acquirer.ledger.journal.steps import (
    UpdateEntry,
)
from acquirer.payments.cards.sale import SaleRequested, sale
from acquirer.payments.kernel.bank_codes import OF_THE_LINK, REFUSALS
from acquirer.payments.kernel.commands import Repeat
from acquirer.payments.kernel.errors import HsmRefused, HsmUnavailable
from acquirer.routing.banks.choice import RouteRule, route_table
from acquirer.routing.outcomes import NoReply, NotSent, NotSentReason

pytestmark = pytest.mark.anyio


async def test_an_approved_sale_is_posted_and_owes_nothing(counter: Counter) -> None:
    """The bank is asked once; the merchant gets the net, and the fee is income."""
    answer, entry = await counter.sell()
    assert ("00", "A12345", entry.rrn) == (
        answer.response_code,
        answer.reply.approval_code,
        answer.reply.rrn,
    )
    assert (State.APPROVED, "A12345") == (entry.state, entry.approval_code)
    assert counter.money == SOLD
    assert [] == counter.owed
    (asked,) = counter.banks.sent
    assert (BankMessage.SALE, PAN, 10_000, entry.rrn, entry.bank_stan, None) == (
        asked.kind,
        asked.pan,
        asked.amount_minor,
        asked.rrn,
        asked.stan,
        asked.pin_block,
    )


@pytest.mark.parametrize(
    ("amount_minor", "fee_minor"),
    [(1, 0), (41, 0), (42, 1), (125, 2), (999_999_999_999, 12 * 10**9)],
)
async def test_the_fee_is_rounded_half_up_once(
    counter: Counter, amount_minor: int, fee_minor: int
) -> None:
    """Net and fee come to the amount; a fee of nothing is no posting."""
    await counter.sell(amount_minor)
    expected = {
        SCHEME: amount_minor,
        PAYABLE: fee_minor - amount_minor,
        MDR_INCOME: -fee_minor,
    }
    assert counter.money == {name: sum for name, sum in expected.items() if sum}


async def test_the_pin_goes_under_the_key_of_the_bank(counter: Counter) -> None:
    """What leaves is what the module has made of it, never the terminal's own block."""
    card = msgspec.structs.replace(CARD, pin_block=bytes(8))
    assert "00" == await code_of(sale(counter.ports, SaleRequested(counter.origin(100), card)))
    (asked,) = counter.banks.sent
    assert (bytes([255] * 8), "ZPK") == (asked.pin_block, asked.zpk)


async def _refused(counter: Counter, code: str, **card: object) -> None:
    """A sale is refused with a code, recorded, and goes nowhere; again it is a repeat."""
    command = SaleRequested(counter.origin(100), msgspec.structs.replace(CARD, **card))
    assert code == await code_of(sale(counter.ports, command))
    entry = counter.entry(command.origin)
    assert (State.REFUSED, code) == (entry.state, entry.response_code)
    assert ([], NOTHING, []) == (counter.banks.sent, counter.money, counter.owed)
    assert isinstance(await sale(counter.ports, command), Repeat)


@pytest.mark.parametrize("amount_minor", [None, 0])
async def test_a_sale_of_nothing_is_refused(counter: Counter, amount_minor: int | None) -> None:
    """13, and no bank hears of it."""
    origin = counter.origin(amount_minor)
    assert "13" == await code_of(sale(counter.ports, SaleRequested(origin, CARD)))
    assert ([], NOTHING) == (counter.banks.sent, counter.money)
    assert State.REFUSED == counter.entry(origin).state


async def test_a_pin_in_a_form_without_card_is_refused(counter: Counter) -> None:
    """99: no bank can check it."""
    await _refused(counter, "99", is_pin_unfit=True)


@pytest.mark.parametrize(
    ("error", "code"), [("20", "99"), ("24", "99"), ("10", "A7"), ("15", "A7")]
)
async def test_a_refusal_of_the_module_is_a_refusal(
    counter: Counter, error: str, code: str
) -> None:
    """99 where the block does not open, A7 for every other error of it."""
    counter.module.error = HsmRefused("CA", error)
    await _refused(counter, code, pin_block=bytes(8))


async def test_without_a_module_nothing_is_recorded(counter: Counter) -> None:
    """Whoever called says 96, and the same sale may come again."""
    counter.module.error = HsmUnavailable("gone")
    command = SaleRequested(counter.origin(100), msgspec.structs.replace(CARD, pin_block=bytes(8)))
    with pytest.raises(HsmUnavailable):
        await sale(counter.ports, command)
    assert ([], []) == (counter.entries, counter.banks.sent)
    counter.module.error = None
    assert "00" == await code_of(sale(counter.ports, command))


async def test_a_card_without_route_is_refused() -> None:
    """92 where no rule covers its number."""
    counter = Counter(routes=route_table([RouteRule(BANK, bins=["4"])], [BANK]))
    await _refused(counter, "92")


async def test_what_the_bank_cannot_be_told_is_refused(counter: Counter) -> None:
    """30 before anything is recorded as sent."""
    counter.banks.unfit_field = 35
    await _refused(counter, "30")


async def test_a_bank_that_is_down_is_not_asked(counter: Counter) -> None:
    """91, without and with a PIN."""
    counter.banks.up = False
    await _refused(counter, "91")
    await _refused(counter, "91", pin_block=bytes(8))


@pytest.mark.parametrize("code", sorted(REFUSALS - OF_THE_LINK))
async def test_a_decline_is_passed_on(counter: Counter, code: str) -> None:
    """The bank's own code, and no money has moved."""
    counter.banks.outcomes = [replied(code, "A12345")]
    answer, entry = await counter.sell()
    assert (code, "") == (answer.response_code, answer.reply.approval_code)
    assert (State.DECLINED, NOTHING, []) == (entry.state, counter.money, counter.owed)


@pytest.mark.parametrize("code", sorted(OF_THE_LINK))
async def test_what_a_bank_says_of_our_link_is_our_fault(counter: Counter, code: str) -> None:
    """96: the terminal has nothing to mend."""
    counter.banks.outcomes = [replied(code)]
    answer, entry = await counter.sell()
    assert ("96", State.DECLINED, NOTHING) == (answer.response_code, entry.state, counter.money)
    assert [] == counter.owed


@pytest.mark.parametrize(
    "code", ["", "08", "09", "10", "11", "16", "32", "68", "98", "A2", "ZZ", "0"]
)
async def test_a_code_that_leaves_doubt_is_undone(counter: Counter, code: str) -> None:
    """Never success: 98, and the bank is owed a reversal."""
    counter.banks.outcomes = [replied(code, "A12345")]
    answer, entry = await counter.sell()
    assert ("98", "") == (answer.response_code, answer.reply.approval_code)
    assert (State.TIMED_OUT, NOTHING) == (entry.state, counter.money)
    assert [reversal_of(entry)] == counter.owed
    assert ["saf"] == counter.told


async def test_no_answer_is_undone(counter: Counter) -> None:
    """98, and exactly one reversal is owed, even if the terminal sends its own."""
    counter.banks.outcomes = [NoReply()]
    answer, entry = await counter.sell()
    assert ("98", State.TIMED_OUT, NOTHING) == (answer.response_code, entry.state, counter.money)
    assert [reversal_of(entry)] == counter.owed
    assert "00" == (await counter.reverse(counter.origin(10_000, stan=entry.stan))).response_code
    assert [reversal_of(entry)] == counter.owed


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("unknown bank", "91"),
        ("link down", "91"),
        ("window full", "91"),
        ("duplicate key", "91"),
        ("expired", "91"),
        ("format", "96"),
        ("security", "96"),
    ],
)
async def test_what_has_not_left_needs_no_undo(
    counter: Counter, reason: NotSentReason, code: str
) -> None:
    """Refused, with nothing posted and nothing owed."""
    counter.banks.outcomes = [NotSent(reason)]
    answer, entry = await counter.sell()
    assert (code, State.REFUSED) == (answer.response_code, entry.state)
    assert (NOTHING, []) == (counter.money, counter.owed)


async def test_nothing_leaves_once_the_askers_time_is_up(counter: Counter) -> None:
    """A sale that has waited too long is refused with 91 instead of being sent."""
    origin = counter.origin(100)
    counter.now_s = 23.0
    assert "91" == await code_of(sale(counter.ports, SaleRequested(origin, CARD)))
    assert ([], NOTHING, []) == (counter.banks.sent, counter.money, counter.owed)
    assert State.REFUSED == counter.entry(origin).state


async def test_a_repeat_asks_no_bank(counter: Counter) -> None:
    """The number is taken: one request, one posting."""
    command = SaleRequested(counter.origin(10_000), CARD)
    await sale(counter.ports, command)
    assert isinstance(await sale(counter.ports, command), Repeat)
    assert ([BankMessage.SALE], SOLD) == (kinds_of(counter.banks.sent), counter.money)


async def test_a_sale_that_is_reversed_while_at_the_bank_is_not_shown_approved(
    counter: Counter,
) -> None:
    """94 instead of 00; nothing is posted, and one reversal is owed."""
    origin = counter.origin(10_000)

    async def reverse() -> None:
        assert "00" == (await counter.reverse(origin)).response_code

    counter.banks.meanwhile = reverse
    assert "94" == await code_of(sale(counter.ports, SaleRequested(origin, CARD)))
    entry = counter.entry(origin)
    assert (State.REVERSING, NOTHING) == (entry.state, counter.money)
    assert [reversal_of(entry)] == counter.owed


@pytest.mark.parametrize("outcome", [replied("00"), replied("51"), NoReply(), NotSent("link down")])
async def test_a_sale_that_recovery_took_over_settles_nothing(
    counter: Counter, outcome: object
) -> None:
    """Whoever has lost its entry answers 94, and posts and owes nothing of its own."""
    origin = counter.origin(10_000)

    async def take() -> None:
        taken = UpdateEntry(counter.entry(origin).id, (State.SENT,), new_owner="other#1.0")
        assert counter.books.apply(taken) is None

    counter.banks.meanwhile = take
    counter.banks.outcomes = [outcome]  # type: ignore[list-item]
    assert "94" == await code_of(sale(counter.ports, SaleRequested(origin, CARD)))
    assert (State.SENT, NOTHING, []) == (counter.entry(origin).state, counter.money, counter.owed)


def _fail() -> None:
    raise BookUnavailable("full")


async def test_what_cannot_be_recorded_does_not_leave(counter: Counter) -> None:
    """Commit 1 fails: no bank is asked."""
    counter.books.meanwhile = [_fail]
    with pytest.raises(BookUnavailable):
        await counter.sell()
    assert ([], []) == (counter.banks.sent, counter.entries)


async def test_what_cannot_be_settled_is_not_answered(counter: Counter) -> None:
    """Commit 2 fails: no answer, and the entry is recovery's."""
    counter.books.meanwhile = [lambda: None, _fail]
    with pytest.raises(BookUnavailable):
        await counter.sell()
    (entry,) = counter.entries
    assert (State.SENT, NOTHING, []) == (entry.state, counter.money, counter.owed)


async def test_an_approval_code_that_nobody_can_be_shown_costs_no_sale(counter: Counter) -> None:
    """It is left out; the sale stands."""
    counter.banks.outcomes = [replied("00", "\x1b[2J\x07\x00")]
    answer, entry = await counter.sell()
    assert ("00", "", SOLD) == (answer.response_code, answer.reply.approval_code, counter.money)
    assert replace(entry, approval_code="") == entry
