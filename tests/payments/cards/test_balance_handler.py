"""The balance inquiry's handler alone: it moves no money, whatever happens."""

from __future__ import annotations

import msgspec
import pytest
from counter import CARD, NOTHING, Counter, answered, code_of
from ports import kinds_of, replied

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.journal.entries import (
    State,
)
from acquirer.payments.cards.balance import BalanceRequested, balance
from acquirer.payments.kernel.commands import Repeat
from acquirer.routing.outcomes import BankOutcome, NoReply, NotSent

pytestmark = pytest.mark.anyio

BALANCE = "1001156C000000012345"


async def test_a_balance_is_told_and_nothing_posted(counter: Counter) -> None:
    """The first balance of the bank's answer, once."""
    counter.banks.outcomes = [replied("00", DE54=BALANCE * 2)]
    command = BalanceRequested(counter.origin(), CARD)
    answer = answered(await balance(counter.ports, command))
    assert ("00", BALANCE) == (answer.response_code, answer.reply.balance)
    assert (State.APPROVED, NOTHING, []) == (
        counter.entry(command.origin).state,
        counter.money,
        counter.owed,
    )
    assert isinstance(await balance(counter.ports, command), Repeat)
    assert [BankMessage.BALANCE] == kinds_of(counter.banks.sent)


@pytest.mark.parametrize("text", ["", "x" * 20, BALANCE[:19], "1001156X000000012345"])
async def test_a_balance_that_is_none_is_not_shown(counter: Counter, text: str) -> None:
    """What the bank says beside its code may hold anything."""
    counter.banks.outcomes = [replied("00", DE54=text)]
    answer = answered(await balance(counter.ports, BalanceRequested(counter.origin(), CARD)))
    assert ("00", "") == (answer.response_code, answer.reply.balance)


@pytest.mark.parametrize(
    ("outcome", "code", "state"),
    [
        (replied("55"), "55", State.DECLINED),
        (replied("77"), "96", State.DECLINED),
        (replied("09"), "98", State.DECLINED),
        (NoReply(), "98", State.DECLINED),
        (NotSent("link down"), "91", State.REFUSED),
        (NotSent("security"), "96", State.REFUSED),
    ],
)
async def test_an_inquiry_without_answer_owes_nothing(
    counter: Counter, outcome: BankOutcome, code: str, state: State
) -> None:
    """There is nothing to undo at the bank."""
    counter.banks.outcomes = [outcome]
    origin = counter.origin()
    assert code == await code_of(balance(counter.ports, BalanceRequested(origin, CARD)))
    assert (state, NOTHING, []) == (counter.entry(origin).state, counter.money, counter.owed)


async def test_an_inquiry_is_refused_as_a_sale_is(counter: Counter) -> None:
    """A PIN in another form 99, a field without room 30, a bank that is down 91."""

    async def code(**card: object) -> str:
        presented = msgspec.structs.replace(CARD, **card)
        return await code_of(balance(counter.ports, BalanceRequested(counter.origin(), presented)))

    assert "99" == await code(is_pin_unfit=True)
    counter.banks.unfit_field = 55
    assert "30" == await code()
    counter.banks.unfit_field, counter.banks.up = None, False
    assert "91" == await code()
    assert [] == counter.banks.sent
