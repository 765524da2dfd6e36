"""What was tried to tell a merchant is kept with the notice, bounded, on both databases."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import create_engine

from acquirer.ledger.book import Book, open_book
from acquirer.ledger.journal.entries import (
    Event,
)
from acquirer.ledger.journal.steps import (
    QueueEvent,
)
from acquirer.ledger.owed.notices import ATTEMPT_LOG_CHARACTERS_MAX
from acquirer.ledger.reports.orders import EventAttempt, event_story
from acquirer.routing.orders.adapter import Delivered, EventAnswer, Rejected
from acquirer.routing.orders.outbox import attempt_line

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def book_of(url: str) -> AsyncIterator[Book]:
    """A book on the trio thread, with one notice that is ours."""
    async with open_book(url, "switch-1", clock_ms=lambda: 0, driver="inline") as book:
        await book.commit(QueueEvent(Event("a1", "M1", "O1", "order.paid", '{"a":1}', 0, 0)))
        await book.claim_events(0, 100, 5)
        yield book


def attempts_of(url: str) -> tuple[EventAttempt, ...]:
    """As a report reads them."""
    with create_engine(url.replace("postgresql:", "postgresql+psycopg:")).connect() as connection:
        story = event_story(connection, "a1")
        assert story is not None
        assert event_story(connection, "a2") is None
    assert story.body == '{"a":1}'
    return story.attempts


async def test_each_attempt_is_kept_with_its_answer(url: str) -> None:
    """A silence, a refusal that buries it, and after a replay the one that was taken."""
    refused = Rejected(True, "status 422", EventAnswer("422", '{"error":"x"}'))
    async with book_of(url) as book:
        silent = attempt_line(5, Rejected(False, "no answer in time"))
        assert await book.retry_event("a1", 1, 9, silent)
        await book.claim_events(9, 100, 5)
        assert await book.retry_event("a1", 1, 10)
        await book.claim_events(10, 100, 5)
        assert await book.dead_event("a1", 11, "status 422", attempt_line(11, refused))
        assert await book.replay_event("a1", 12)
        await book.claim_events(12, 100, 5)
        taken = attempt_line(13, Delivered(EventAnswer("200", "ok")))
        assert await book.finish_event("a1", 13, taken)
    assert attempts_of(url) == (
        EventAttempt(5, "", "no answer in time", ""),
        EventAttempt(11, "422", "status 422", '{"error":"x"}'),
        EventAttempt(13, "200", "", "ok"),
    )


@pytest.mark.parametrize("sign", ["x", "{", "\x85", "\u2028"])
async def test_of_many_attempts_the_newest_are_kept(url: str, sign: str) -> None:
    """However often a dead letter is replayed, the row stays bounded; wherever it is cut."""
    async with book_of(url) as book:
        for number in range(100):
            said = EventAnswer("500", sign * 300)
            line = attempt_line(number, Rejected(False, "status 500", said))
            assert await book.retry_event("a1", number, 0, line)
            await book.claim_events(0, 100, 5)
    kept = attempts_of(url)
    assert kept[-1].at_ms == 99
    assert len(kept) < 100 - 20
    assert 300 * len(kept) < ATTEMPT_LOG_CHARACTERS_MAX + 1_000
