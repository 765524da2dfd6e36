"""Orders and their parts in the books: what is read of a family, and steps that race within it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from acquirer.ledger.book import open_book
from acquirer.ledger.journal.entries import (
    Entry,
    Event,
    OrderRow,
)
from acquirer.ledger.journal.steps import (
    Failed,
    InsertEntry,
    PutOrder,
    QueueEvent,
    Step,
    UpdateOrder,
)

pytestmark = pytest.mark.anyio

WHOLE = OrderRow("M1", "SP1", "00", 100, "156", "12", "", 0)
ONE = OrderRow("M1", "SP1/1", "00", 60, "156", "12", "", 0, part_of="SP1")
TWO = OrderRow("M1", "SP1/2", "00", 40, "156", "12", "", 0, part_of="SP1")
# Begins as the first does, and is another order.
OTHER = OrderRow("M1", "SP1/X", "00", 9, "156", "12", "", 0)


def clock_ms() -> int:
    """A clock that stands still."""
    return 1_000_000


def claim(order: OrderRow, payer: int, changes: int) -> UpdateOrder:
    """Take an order for a payment."""
    new = (order.status, payer, None)
    return UpdateOrder(order.merchant_id, order.order_no, ("00", None, None), new, changes)


def note(changes: int) -> UpdateOrder:
    """What a part's payment does to its order."""
    return UpdateOrder("M1", "SP1", ("00", None, None), ("00", None, None), changes)


async def test_of_payments_in_a_family_only_one_that_knows_the_others_holds(
    url: str, make_entry: Callable[..., Entry]
) -> None:
    """Whole against part, and part against part: by the whole's count of changes."""
    async with open_book(url, "switch-1", clock_ms=clock_ms) as book:
        assert await book.commit(PutOrder(WHOLE), PutOrder(ONE), PutOrder(TWO)) is None
        first, second = InsertEntry(make_entry(1)), InsertEntry(make_entry(2))
        assert await book.commit(first, claim(ONE, 1, 0), note(0)) is None
        assert Failed(claim(WHOLE, 2, 0)) == await book.commit(second, claim(WHOLE, 2, 0))
        assert Failed(note(0)) == await book.commit(second, claim(TWO, 2, 0), note(0))
        assert None is await book.entry(2)
        assert await book.commit(second, claim(WHOLE, 2, 1)) is None
        third = InsertEntry(make_entry(3))
        for changes in (0, 1, 2):
            noted = note(changes)
            assert Failed(noted) == await book.commit(third, claim(TWO, 3, 0), noted)


async def test_a_part_given_back_and_a_signature_exclude_each_other(
    url: str, make_entry: Callable[..., Entry]
) -> None:
    """Whichever comes second finds the order changed; an open part shows in what is read."""
    async with open_book(url, "switch-1", clock_ms=clock_ms) as book:

        async def has_open_parts() -> bool:
            return (await book.order_payments("M1", "SP1", None)).has_open_parts

        assert await book.commit(PutOrder(WHOLE), PutOrder(ONE)) is None
        assert not await has_open_parts()
        assert await book.commit(InsertEntry(make_entry(1)), claim(ONE, 1, 0), note(0)) is None
        assert await has_open_parts()
        paid = UpdateOrder("M1", "SP1/1", ("00", 1, None), ("01", None, 1))
        assert await book.commit(paid) is None
        assert await has_open_parts()
        confirmed = UpdateOrder("M1", "SP1/1", ("01", None, 1), ("02", None, 1))
        assert await book.commit(confirmed) is None
        assert not await has_open_parts()
        given_back = UpdateOrder("M1", "SP1", ("00", None, None), ("00", None, None))
        signed = UpdateOrder("M1", "SP1", ("00", None, None), ("03", None, None), 1)
        second = InsertEntry(make_entry(2))
        assert await book.commit(given_back) is None
        assert Failed(signed) == await book.commit(second, signed)
        assert await book.commit(second, replace(signed, expected_changes=2)) is None
        assert Failed(given_back) == await book.commit(given_back)


async def test_what_is_known_of_a_family(url: str) -> None:
    """Who is being paid, and whether the merchant has been told of all of it."""

    async with open_book(url, "switch-1", clock_ms=clock_ms) as book:

        async def read(order_no: str) -> tuple[bool, bool, bool]:
            desk = await book.desk("M1", order_no, "")
            return desk.in_parts, desk.held, desk.told

        rows: list[Step] = [PutOrder(row) for row in (WHOLE, OTHER)]
        assert await book.commit(*rows) is None
        assert (False, False, True) == await read("SP1")
        assert await book.commit(PutOrder(ONE), PutOrder(TWO), claim(ONE, 1, 0)) is None
        assert (True, True, True) == await read("SP1")
        assert (True, False, True) == await read("SP1/1")
        assert (True, True, True) == await read("SP1/2")
        assert WHOLE == (await book.desk("M1", "SP1/2", "")).whole
        freed = UpdateOrder("M1", "SP1/1", ("00", 1, None), ("01", None, 1))
        told = Event("e1", "M1", "SP1/1", "order.paid", "{}", 0, 0)
        assert await book.commit(freed, claim(WHOLE, 2, 0), QueueEvent(told)) is None
        assert (True, False, False) == await read("SP1")
        assert (True, True, False) == await read("SP1/1")
        assert (True, True, False) == await read("SP1/2")
        assert (False, False, True) == await read("SP1/X")
