"""The refund's handler alone: what goes back once, from whom, and what stands without an answer."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import pytest
import trio
from counter import (
    CARD,
    NOTHING,
    OTHER_PAN,
    OTHER_TERMINAL,
    PAN,
    PAYABLE,
    SCHEME,
    SOLD,
    Counter,
    Owed,
    code_of,
    named,
)
from origins import MERCHANT
from ports import kinds_of, replied

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.accounts.postings import MDR_INCOME, merchant_debt_account
from acquirer.ledger.accounts.transfer_steps import Post, Posting
from acquirer.ledger.errors import BookUnavailable
from acquirer.ledger.journal.details import Refund
from acquirer.ledger.journal.entries import (
    Entry,
    State,
)
from acquirer.ledger.journal.steps import (
    UpdateEntry,
)
from acquirer.payments.cards.balance import BalanceRequested, balance
from acquirer.payments.cards.refund import RefundRequested, refund
from acquirer.payments.cards.void import VoidRequested, void
from acquirer.payments.kernel.commands import Repeat
from acquirer.payments.kernel.undo import undo_steps
from acquirer.routing.outcomes import BankOutcome, NoReply, NotSent

pytestmark = pytest.mark.anyio

DEBT = merchant_debt_account(MERCHANT.merchant_id)
DAY_MS = 86_400_000
RETURNS_FEE = msgspec.structs.replace(MERCHANT, refund=True, refund_fee="return")
KEEPS_FEE = msgspec.structs.replace(RETURNS_FEE, refund_fee="keep")
NOT_SENT = [NotSent("link down"), NotSent("expired"), NotSent("format")]


def _command(
    counter: Counter, sale: Entry, amount_minor: int | None = 10_000, **changes: Any
) -> RefundRequested:
    usual: dict[str, Any] = {"pan": PAN, "payment": named(sale), "rrn": sale.rrn}
    origin = {"merchant": RETURNS_FEE}
    for name in ("merchant", "terminal_id", "currency_code", "now_ms"):
        if name in changes:
            origin[name] = changes.pop(name)
    return RefundRequested(counter.origin(amount_minor, **origin), **usual | changes)


async def _refund(
    counter: Counter, sale: Entry, amount_minor: int | None = 10_000, **changes: Any
) -> str:
    return await code_of(refund(counter.ports, _command(counter, sale, amount_minor, **changes)))


def _advice(entry: Entry) -> Owed:
    return Owed(BankMessage.REFUND, entry.id, "98")


async def test_a_whole_refund_leaves_no_money_behind(counter: Counter) -> None:
    """The bank is asked by the sale's own numbers; once given back, there is no more (61)."""
    _, sale = await counter.sell()
    command = _command(counter, sale)
    assert "00" == await code_of(refund(counter.ports, command))
    entry = counter.entry(command.origin)
    assert (State.APPROVED, State.REFUNDED, Refund("", 120)) == (
        entry.state,
        counter.state(sale),
        entry.detail,
    )
    assert (NOTHING, NOTHING, []) == (counter.money, counter.held, counter.owed)
    asked = counter.banks.sent[-1]
    assert asked.original is not None
    assert (BankMessage.REFUND, PAN, 10_000, sale.bank_stan) == (
        asked.kind,
        asked.pan,
        asked.amount_minor,
        asked.original.stan,
    )
    assert isinstance(await refund(counter.ports, command), Repeat)
    assert ("61", 2) == (await _refund(counter, sale, 1), len(counter.banks.sent))


async def test_parts_come_to_the_whole_fee_too(counter: Counter) -> None:
    """Never more than the sale: 61; the last part brings the rest of the fee."""
    _, sale = await counter.sell()
    assert "00" == await _refund(counter, sale, 3_333)
    assert {SCHEME: 6_667, PAYABLE: -6_586, MDR_INCOME: -81} == counter.money
    assert State.APPROVED == counter.state(sale)
    assert "61" == await _refund(counter, sale, 6_668)
    assert "00" == await _refund(counter, sale, 6_667)
    assert (NOTHING, State.REFUNDED) == (counter.money, counter.state(sale))


async def test_a_sale_that_was_refunded_in_part_stands_otherwise(counter: Counter) -> None:
    """12 for its void and for its reversal; and a refund is not reversed (12)."""
    _, sale = await counter.sell()
    command = _command(counter, sale, 4_000)
    await refund(counter.ports, command)
    before = counter.money
    voiding = VoidRequested(counter.origin(10_000), named(sale), sale.rrn)
    assert "12" == await code_of(void(counter.ports, voiding))
    assert "12" == (await counter.reverse(counter.origin(10_000, stan=sale.stan))).response_code
    assert "12" == (await counter.reverse(command.origin)).response_code
    assert (before, []) == (counter.money, counter.owed)


async def _refused(
    counter: Counter, code: str, sale: Entry, amount_minor: int | None = 100, **changes: Any
) -> None:
    before = counter.money, counter.owed, counter.state(sale), len(counter.banks.sent)
    command = _command(counter, sale, amount_minor, **changes)
    assert code == await code_of(refund(counter.ports, command))
    assert (State.REFUSED, NOTHING) == (counter.entry(command.origin).state, counter.held)
    assert before == (
        counter.money,
        counter.owed,
        counter.state(sale),
        len(counter.banks.sent),
    )


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("58", {"merchant": MERCHANT}),
        ("25", {"rrn": "632500009999"}),
        ("25", {"rrn": "", "payment": None}),
        ("25", {"approval_code": "ZZZZZZ"}),
        ("25", {"date": "0101"}),
        ("25", {"rrn": "", "terminal_id": OTHER_TERMINAL}),
        ("25", {"merchant": msgspec.structs.replace(RETURNS_FEE, merchant_id="M2")}),
        ("14", {"pan": OTHER_PAN}),
        ("13", {"amount_minor": 0}),
        ("13", {"amount_minor": None}),
        ("13", {"currency_code": "840"}),
        ("61", {"amount_minor": 10_001}),
    ],
)
async def test_a_refund_that_names_the_sale_wrongly_is_refused(
    counter: Counter, code: str, changes: dict[str, Any]
) -> None:
    """The sale stands, and no bank is asked."""
    _, sale = await counter.sell()
    await _refused(counter, code, sale, **changes)


async def test_another_till_names_the_sale_by_its_reference_number(counter: Counter) -> None:
    """With the code and date of the slip, where they are named."""
    _, sale = await counter.sell()
    named_so = {"payment": None, "terminal_id": OTHER_TERMINAL}
    on_slip = {"approval_code": "A12345", "date": sale.reply.local_date}
    assert "00" == await _refund(counter, sale, 10_000, **named_so, **on_slip)
    assert NOTHING == counter.money


async def test_what_was_not_paid_is_not_refunded(counter: Counter) -> None:
    """12: declined, in doubt, voided, reversed, too old, or no sale at all."""
    for outcome in (replied("51"), NoReply()):
        counter.banks.outcomes = [outcome]
        await _refused(counter, "12", (await counter.sell())[1])
    counter.banks.outcomes = [replied("00")]
    _, voided = await counter.sell()
    await void(counter.ports, VoidRequested(counter.origin(10_000), named(voided), voided.rrn))
    await _refused(counter, "12", voided)
    _, undone = await counter.sell()
    await counter.reverse(counter.origin(10_000, stan=undone.stan))
    await _refused(counter, "12", undone)
    inquiry = counter.origin()
    await balance(counter.ports, BalanceRequested(inquiry, CARD))
    await _refused(counter, "12", counter.entry(inquiry))
    _, old = await counter.sell()
    counter.clock.at_ms += 90 * DAY_MS
    assert "00" == await _refund(counter, old, 100)
    counter.clock.at_ms += 1
    await _refused(counter, "12", old)


async def test_what_no_bank_could_be_told_is_not_refunded(counter: Counter) -> None:
    """92 where the bank is not configured any more, A7 where the card does not open."""
    _, sale = await counter.sell()
    counter.books.rows.entries[sale.id] = replace(sale, bank="gone")
    await _refused(counter, "92", sale)
    assert sale.card is not None
    card = replace(sale.card, pan_cipher=bytes(44))
    counter.books.rows.entries[sale.id] = replace(sale, card=card)
    await _refused(counter, "A7", sale)


@pytest.mark.parametrize("code", ["51", "57", "94"])
async def test_what_the_bank_refuses_changes_nothing(counter: Counter, code: str) -> None:
    """Its code, and what was held is let go; the sale may be refunded or voided."""
    _, sale = await counter.sell()
    counter.banks.outcomes = [replied(code), replied("00")]
    command = _command(counter, sale)
    assert code == await code_of(refund(counter.ports, command))
    assert (State.DECLINED, State.APPROVED) == (
        counter.entry(command.origin).state,
        counter.state(sale),
    )
    assert (SOLD, NOTHING, []) == (counter.money, counter.held, counter.owed)
    voiding = VoidRequested(counter.origin(10_000), named(sale), sale.rrn)
    assert "00" == await code_of(void(counter.ports, voiding))
    assert NOTHING == counter.money


@pytest.mark.parametrize("outcome", [NoReply(), replied("ZZ"), replied("10"), *NOT_SENT])
async def test_a_refund_without_answer_stands(counter: Counter, outcome: BankOutcome) -> None:
    """00: it is an advice, which the bank gets until it takes it; a repeat if it has left."""
    _, sale = await counter.sell()
    counter.banks.outcomes = [outcome]
    command = _command(counter, sale)
    assert "00" == await code_of(refund(counter.ports, command))
    entry = counter.entry(command.origin)
    assert (State.APPROVED, State.REFUNDED, NOTHING, NOTHING) == (
        entry.state,
        counter.state(sale),
        counter.money,
        counter.held,
    )
    assert [_advice(entry)] == counter.owed
    (item,) = counter.books.rows.saf.values()
    assert (int(outcome not in NOT_SENT), entry.bank_stan) == (item.attempts, item.stan)
    assert "saf" in counter.told


async def test_one_at_a_time(counter: Counter) -> None:
    """While one is at the bank a void gets 12, and a second refund waits: 61 in the end."""
    _, sale = await counter.sell()
    codes: list[str] = []

    async def again() -> None:
        codes.append(await _refund(counter, sale, 4_000))

    async def meanwhile() -> None:
        counter.banks.meanwhile = nothing
        assert ({SCHEME: -7_000, PAYABLE: 6_916, MDR_INCOME: 84}, SOLD) == (
            counter.held,
            counter.money,
        )
        voiding = VoidRequested(counter.origin(10_000), named(sale), sale.rrn)
        assert "12" == await code_of(void(counter.ports, voiding))
        nursery.start_soon(again)
        await trio.sleep(1)
        assert [] == codes

    async def nothing() -> None:
        pass

    counter.banks.meanwhile = meanwhile
    async with trio.open_nursery() as nursery:
        assert "00" == await _refund(counter, sale, 7_000)
    assert (["61"], 3_000, NOTHING) == (codes, counter.money[SCHEME], counter.held)


async def test_what_refunds_come_to_is_decided_in_the_commit(counter: Counter) -> None:
    """Another one, between read and commit, that leaves too little: 61, and no bank is asked."""
    _, sale = await counter.sell()
    counter.books.meanwhile = [lambda: _refund(counter, sale, 7_000)]
    assert "61" == await _refund(counter, sale, 4_000)
    assert (3_000, [BankMessage.SALE, BankMessage.REFUND]) == (
        counter.money[SCHEME],
        kinds_of(counter.banks.sent),
    )


async def test_a_refund_in_part_that_comes_first_wins(counter: Counter) -> None:
    """Between read and commit of a void or a reversal: 12, and the sale is given back once."""
    for undo in ("void", "reversal"):
        _, sale = await counter.sell()
        counter.books.meanwhile = [partial(_refund, counter, sale, 4_000)]
        origin = counter.origin(10_000, stan=sale.stan)
        if undo == "void":
            voiding = VoidRequested(counter.origin(10_000), named(sale), sale.rrn)
            assert "12" == await code_of(void(counter.ports, voiding))
        else:
            assert "12" == (await counter.reverse(origin)).response_code
        assert State.APPROVED == counter.state(sale)
    assert (12_000, []) == (counter.money[SCHEME], counter.owed)
    assert [BankMessage.SALE, BankMessage.REFUND] * 2 == kinds_of(counter.banks.sent)


async def test_a_sale_that_was_given_back_whole_needs_no_undo(counter: Counter) -> None:
    """Its reversal waits for a refund that is at the bank, and gets 00 with no effect."""
    _, sale = await counter.sell()
    codes: list[str] = []

    async def reverse() -> None:
        origin = counter.origin(10_000, stan=sale.stan)
        codes.append((await counter.reverse(origin)).response_code)

    async def meanwhile() -> None:
        nursery.start_soon(reverse)
        await trio.sleep(1)
        assert [] == codes

    counter.banks.meanwhile = meanwhile
    async with trio.open_nursery() as nursery:
        assert "00" == await _refund(counter, sale)
    assert (["00"], NOTHING, []) == (codes, counter.money, counter.owed)
    assert State.REFUNDED == counter.state(sale)


async def test_what_the_merchant_is_not_owed_becomes_his_debt(counter: Counter) -> None:
    """Up to his limit; above it 51, and nothing is held or sent."""
    _, sale = await counter.sell()
    await _refused(counter, "51", sale, 10_000, merchant=KEEPS_FEE)
    allowed = msgspec.structs.replace(KEEPS_FEE, debt_limit_minor=120)
    assert "00" == await _refund(counter, sale, merchant=allowed)
    assert {DEBT: 120, MDR_INCOME: -120} == counter.money


async def test_what_he_owes_is_decided_in_the_commit(counter: Counter) -> None:
    """Paid out between read and commit: 51 with a limit of nothing."""
    _, sale = await counter.sell()
    out = Posting(PAYABLE, "liabilities:payout", 1, "payout")
    post = Post(999, "156", "2026-11-21", (out,))
    counter.books.meanwhile = [lambda: counter.books.apply(post)]
    assert "51" == await _refund(counter, sale)
    assert ([BankMessage.SALE], NOTHING) == (kinds_of(counter.banks.sent), counter.held)


async def test_what_another_refund_holds_is_not_there(counter: Counter) -> None:
    """Two sales of which one was paid out: the second refund gets 51 while the first is held."""
    _, first = await counter.sell()
    _, second = await counter.sell()
    out = Posting(PAYABLE, "liabilities:payout", 9_880, "payout")
    counter.books.apply(Post(999, "156", "2026-11-21", (out,)))
    codes: list[str] = []

    async def meanwhile() -> None:
        codes.append(await _refund(counter, second))

    counter.banks.meanwhile = meanwhile
    assert "00" == await _refund(counter, first)
    assert (["51"], NOTHING) == (codes, counter.held)
    assert {SCHEME: 10_000, "liabilities:payout": -9_880, MDR_INCOME: -120} == counter.money


async def test_a_refund_whose_process_dies_stands(counter: Counter) -> None:
    """Commit 2 fails: no answer; recovery ends it as given back, and the bank is told again."""

    def fail() -> None:
        raise BookUnavailable("full")

    _, sale = await counter.sell()
    command = _command(counter, sale)
    counter.books.meanwhile = [lambda: None, fail]
    with pytest.raises(BookUnavailable):
        await refund(counter.ports, command)
    entry = counter.entry(command.origin)
    assert (State.SENT, SOLD) == (entry.state, counter.money)
    steps = await undo_steps(counter.ports, entry, "98", counter.clock.at_ms)
    assert counter.books.apply(*steps) is None
    assert (State.APPROVED, State.REFUNDED) == (counter.state(entry), counter.state(sale))
    assert (NOTHING, NOTHING, [_advice(entry)]) == (counter.money, counter.held, counter.owed)


@pytest.mark.parametrize("outcome", [replied("00"), replied("51"), NoReply()])
async def test_a_refund_that_recovery_took_over_settles_nothing(
    counter: Counter, outcome: BankOutcome
) -> None:
    """94; what is held stays so until recovery has ended it."""
    _, sale = await counter.sell()

    async def take() -> None:
        entry = counter.entries[-1]
        assert not counter.books.apply(UpdateEntry(entry.id, (State.SENT,), new_owner="other#1.0"))

    counter.banks.meanwhile, counter.banks.outcomes = take, [outcome]
    assert "94" == await _refund(counter, sale)
    assert (SOLD, []) == (counter.money, counter.owed)
    assert -10_000 == counter.held[SCHEME]


async def test_what_cannot_be_recorded_does_not_leave(counter: Counter) -> None:
    """Commit 1 fails: the sale is not claimed, nothing is held, no bank is asked."""

    def fail() -> None:
        raise BookUnavailable("full")

    _, sale = await counter.sell()
    counter.books.meanwhile = [fail]
    with pytest.raises(BookUnavailable):
        await _refund(counter, sale)
    assert ([sale], NOTHING, 1) == (counter.entries, counter.held, len(counter.banks.sent))


async def test_a_reversal_of_a_refund_under_way_undoes_nothing(counter: Counter) -> None:
    """12, as of one that stands: 00 would say that the card does not get it."""
    _, sale = await counter.sell()
    command = _command(counter, sale)
    codes: list[str] = []

    async def meanwhile() -> None:
        codes.append((await counter.reverse(command.origin)).response_code)

    counter.banks.meanwhile = meanwhile
    assert "00" == await code_of(refund(counter.ports, command))
    assert ["12"] == codes


async def test_refunds_that_cross_come_to_the_whole(counter: Counter) -> None:
    """Another one between read and commit: the fee goes back to the cent, the sale is refunded."""
    await counter.sell()
    _, sale = await counter.sell()
    counter.books.meanwhile = [partial(_refund, counter, sale, 3_333)]
    assert "00" == await _refund(counter, sale, 6_667)
    assert (SOLD, State.REFUNDED) == (counter.money, counter.state(sale))
