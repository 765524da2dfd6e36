"""The order system's facts and what has happened here: which of the two counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from acquirer.codecs.order_codes import OrderStatus
from acquirer.ledger.journal.entries import (
    OrderRow,
)
from acquirer.payments.orders.desk import Found, overlay
from acquirer.routing.orders.messages import OrderFacts

FACTS = OrderFacts(
    order_no="SP1",
    merchant_id="M1",
    status=OrderStatus.TO_PAY,
    amount_minor=500,
    currency_code="156",
    pay_ways="12",
    text="new",
)
ROW = OrderRow("M1", "SP1", "00", 400, "156", "1", "old", 1)


def test_unknown_here() -> None:
    """Of an order that is new here the order system knows everything."""
    found = overlay(FACTS, None, True, 9)
    assert OrderRow("M1", "SP1", "00", 500, "156", "12", "new", 9) == found


def test_nothing_happened_here() -> None:
    """Until money moves the order system may change its mind."""
    assert 500 == overlay(FACTS, ROW, True, 9).amount_minor


@pytest.mark.parametrize(
    "row",
    [replace(ROW, paying_id=7), replace(ROW, status="01", payment_id=7)],
    ids=["being paid", "paid"],
)
def test_money_moves_here(row: OrderRow) -> None:
    """While and after it is paid here, only its text is the order system's."""
    assert replace(row, text="new", queried_at_ms=9) == overlay(FACTS, row, True, 9)


def test_not_told_yet() -> None:
    """As long as the merchant has not been told what happened, his answer is an old one."""
    row = replace(ROW, status="03")
    assert "03" == overlay(FACTS, row, False, 9).status
    assert "00" == overlay(FACTS, row, True, 9).status


@pytest.mark.parametrize(
    ("status", "again", "due_minor"),
    [("00", False, 400), ("01", False, 0), ("06", False, 0), ("05", False, 0), ("05", True, 400)],
)
def test_due(status: str, again: bool, due_minor: int) -> None:
    """Only what is to be paid is due; after an exception, only where it is tried again."""
    assert due_minor == Found(replace(ROW, status=status), again).due_minor
