"""What a bank's codes mean: in no reading is a code that nobody knows a success, or a clear no."""

from __future__ import annotations

from itertools import product
from string import ascii_uppercase, digits
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.message import Message
from acquirer.ledger.journal.entries import (
    Entry,
    Role,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.kernel.bank_codes import TAKEN, TO_BE_SENT_AGAIN, reading_of
from acquirer.payments.kernel.calendar import Calendar
from acquirer.payments.orders.unconfirmed import known_at_the_bank
from acquirer.routing.outcomes import NoReply, NotSent, Replied
from acquirer.routing.settings import BankSettings

pytestmark = pytest.mark.anyio

ALL = ["".join(pair) for pair in product(digits + ascii_uppercase, repeat=2)]
# Approvals with a condition, work in progress, silence from behind the bank, private codes of
# networks that mean an approval there, and what is no code at all.
IN_DOUBT = ["08", "09", "10", "11", "16", "32", "68", "98", "A2", "A4", "A5", "A6", "85", "87"]
IN_DOUBT += ["Y1", "Y3", "ZZ", "", "0", "000", "0 ", "\xe9\xe9", "\0\0"]


def test_only_one_code_approves() -> None:
    """Two zeros, and nothing that looks like them."""
    assert ["00"] == [code for code in ALL if reading_of(code) == "approved"]


@pytest.mark.parametrize("code", IN_DOUBT)
def test_a_code_that_may_stand_for_moved_money_is_in_doubt(code: str) -> None:
    """It is undone at the bank, as after no answer."""
    assert "in_doubt" == reading_of(code)


def test_a_reversal_is_done_by_three_codes() -> None:
    """Ten codes of the link let it come again; what is in neither is for an operator."""
    assert {"00", "25", "94"} == TAKEN[BankMessage.REVERSAL]
    again = {"30", "68", "77", "90", "91", "96", "97", "98", "A0", "A7"}
    assert again == TO_BE_SENT_AGAIN
    assert not again & frozenset().union(*TAKEN.values())


@pytest.mark.parametrize(
    ("outcome", "known"),
    [
        ({39: "00", 48: "00A12345"}, True),
        ({39: "00", 48: "51"}, False),
        ({39: "25"}, False),
        ({39: "00", 48: "10A12345"}, None),
        ({39: "00", 48: "??"}, None),
        ({39: "00"}, None),
        ({39: "05", 48: "00A12345"}, None),
        ({39: "96"}, None),
        ({}, None),
        (NoReply(), None),
        (NotSent("link down"), None),
    ],
)
async def test_what_a_bank_tells_of_an_earlier_payment(outcome: Any, known: bool | None) -> None:
    """Known or not known, where it says so in words that we know; else it has not said."""
    reply = Replied(Message("0610", outcome)) if isinstance(outcome, dict) else outcome

    async def answer(*_: Any, **__: Any) -> Any:
        return reply

    async def take() -> int:
        return 7

    context: Any = SimpleNamespace(
        banks=SimpleNamespace(request=answer),
        bank_settings={"demo": BankSettings(name="demo", address="h:1", acquirer_id="1")},
        numbers=SimpleNamespace(take=take),
        calendar=Calendar("Asia/Shanghai"),
        monotonic=trio.current_time,
    )
    payment = Entry(
        id=1,
        rrn="000000000001",
        role=Role.ORIGINAL,
        kind=Kind.ORDER_PAYMENT,
        mti="0200",
        processing_code="000000",
        transaction_type="72",
        terminal_id="10000001",
        merchant_id="M1",
        batch="000001",
        stan="000001",
        amount_minor=1250,
        currency_code="156",
        fingerprint=b"",
        state=State.APPROVED,
        owner="x#1.0",
        lease_until_ms=0,
        created_at_ms=0,
        business_date="2026-11-21",
        bank="demo",
        bank_stan="000001",
        transmission_at="1121000000",
    )
    assert known is await known_at_the_bank(context, payment, 0)
