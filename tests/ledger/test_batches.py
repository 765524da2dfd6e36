"""What a batch comes to, and how two lists of it differ: pure."""

from __future__ import annotations

from typing import Any

import pytest

from acquirer.ledger.journal.batches import (
    BatchItem,
    BatchLine,
    Sums,
    differences,
    next_batch,
    totals,
)
from acquirer.ledger.journal.entries import CardRecord, State
from acquirer.ledger.journal.kinds import Kind

CARD = CardRecord("622588******0007", b"one", b"")


def line(number: int, kind: Kind = Kind.SALE, **changes: Any) -> BatchLine:
    """An approved sale of 100, or something else."""
    usual: dict[str, Any] = {
        "id": number,
        "rrn": f"{number:012d}",
        "stan": f"{number:06d}",
        "kind": kind,
        "state": State.APPROVED,
        "amount_minor": 100,
        "processing_code": "000000",
        "response_code": "00",
        "card": CARD,
        "created_at_ms": 0,
        "currency_code": "156",
    }
    return BatchLine(**usual | changes)


def item(number: int, amount_minor: int = 100, token: bytes = b"one") -> BatchItem:
    """A line of the terminal's list."""
    return BatchItem(f"{number:06d}", amount_minor, token)


@pytest.mark.parametrize(
    ("changes", "sums"),
    [
        ({}, Sums(100, 1)),
        ({"state": State.VOIDED}, Sums(100, 1)),
        ({"state": State.REFUNDED}, Sums(100, 1)),
        ({"state": State.REVERSED}, Sums()),
        ({"state": State.REVERSING}, Sums()),
        ({"state": State.TIMED_OUT}, Sums()),
        ({"state": State.DECLINED}, Sums()),
        ({"kind": Kind.OFFLINE_SALE}, Sums(100, 1)),
        ({"kind": Kind.ORDER_GROUP}, Sums(100, 1)),
        ({"kind": Kind.ORDER_PAYMENT, "processing_code": "900000"}, Sums()),
        ({"kind": Kind.ORDER_PAYMENT, "processing_code": "910000"}, Sums()),
        ({"kind": Kind.ORDER_PAYMENT, "processing_code": "940000"}, Sums()),
        ({"kind": Kind.TIP}, Sums(100, 0)),
        ({"kind": Kind.COMPLETION}, Sums(100, 1)),
        ({"kind": Kind.PREAUTH}, Sums()),
        ({"kind": Kind.PREAUTH_VOID, "undone_kind": Kind.PREAUTH}, Sums()),
        ({"kind": Kind.BALANCE}, Sums()),
        ({"kind": Kind.REFUND}, Sums(0, 0, 100, 1)),
        (
            {"kind": Kind.VOID, "amount_minor": 0, "undone_kind": Kind.SALE, "undone_minor": 70},
            Sums(0, 0, 70, 1),
        ),
        (
            {"kind": Kind.ORDER_CANCELLATION, "undone_kind": Kind.ORDER_SHARE, "undone_minor": 900},
            Sums(0, 0, 100, 1),
        ),
        (
            {
                "kind": Kind.ORDER_CANCELLATION,
                "undone_kind": Kind.ORDER_PAYMENT,
                "undone_code": "900000",
                "undone_minor": 7,
            },
            Sums(),
        ),
    ],
)
def test_how_an_entry_counts(changes: dict[str, Any], sums: Sums) -> None:
    """Debit what was paid, credit what went back; cash and what did not come about are nothing."""
    assert (sums, Sums()) == totals([line(1, **changes)])


def test_domestic_and_foreign_cards_apart() -> None:
    """Each line belongs to one half."""
    lines = [line(1), line(2, amount_minor=5)]
    assert (Sums(100, 1), Sums(5, 1)) == totals(lines, lambda one: one.id == 2)


def test_what_differs() -> None:
    """Both sides where both have it, else the one; refusals of the switch are no difference."""
    lines = [
        line(1),
        line(2),
        line(3, state=State.VOIDED),
        line(4, state=State.REFUSED, response_code="96"),
        line(5, state=State.DECLINED, response_code="05"),
        line(6, Kind.VOID, original_id=3, undone_kind=Kind.SALE),
        line(7, state=State.REFUNDED),
        line(8, Kind.ORDER_CANCELLATION, original_id=9, undone_kind=Kind.ORDER_PAYMENT),
        line(9, Kind.ORDER_PAYMENT, state=State.REFUNDED),
    ]
    items = [item(1, 101), item(2, token=b"other"), item(3), item(4), item(5), item(777)]
    assert [
        ("amount_differs", 1, 101, 100),
        ("card_differs", 2, 100, 100),
        ("state_differs", 3, 100, 100),
        ("state_differs", 5, 100, 100),
        ("missing_at_terminal", 7, None, 100),
        ("missing_here", 777, 100, None),
    ] == [
        (one.kind, int(one.stan), one.terminal_minor, one.switch_minor)
        for one in differences(lines, items)
    ]


def test_the_next_batch() -> None:
    """000000 is none."""
    assert ["000002", "000001"] == [next_batch("000001"), next_batch("999999")]
