"""A shop's till: what it sends to sell, take in and count, and where it stops."""

from __future__ import annotations

from typing import Any

import pytest
import trio.testing
from fake_host import Act, FakeHost

from acquirer.codecs.de59 import De59
from acquirer.config.estate import Card
from acquirer.terminals_sim.errors import LocalRefusal
from acquirer.terminals_sim.shop import deal, lines_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Trio on a clock that jumps, so that time-outs take no time."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


def priced(host: FakeHost, due_minor: int) -> None:
    """The host opens whatever is asked for."""
    host.order_fields = {"OS": "00", "OW": "12", "OT": "Tea 2 × 39.80"}
    host.amount_due = f"{due_minor:012d}"


async def test_a_sale_is_opened_paid_and_confirmed(wire: Any, host: FakeHost, card: Card) -> None:
    """The order's number is the terminal's own: a letter, itself, batch and STAN of the query."""
    priced(host, 7960)
    async with wire(host) as bench:
        result = await deal(bench.client, "sale", ["1001*2", "1003"], "card", card)
        again = await deal(bench.client, "sale", ["1001"], "cash")
    assert ["0200.71", "0200.72", "0220.73"] * 2 == [sent[:7] for sent in bench.sent]
    query, payment, confirmation = host.requests[:3]
    items = De59.parse(query.binary(59))
    number = f"S{query.get(41)}{query.get(60)[2:8]}{query.get(11)}"
    assert ("1001*2|1003*1", number) == (items.text("IT"), items.text("ON"))
    for message in (payment, confirmation):
        assert number == De59.parse(message.binary(59)).text("ON")
    assert "000000007960" == payment.get(4)
    assert result.order is not None
    assert (number, "approved", ("Tea 2 × 39.80",)) == (
        result.order_no,
        result.outcome,
        result.order.text,
    )
    assert number != again.order_no


async def test_what_is_not_opened_is_not_paid(wire: Any, host: FakeHost, act: type[Act]) -> None:
    """A refused or unanswered query is the result, and names the order all the same."""
    priced(host, 0)
    async with wire(host) as bench:
        host.script.extend([act(fields={39: "25"}), act(drop=True)])
        refused = await deal(bench.client, "stock_in", ["9999"])
        lost = await deal(bench.client, "count", ["1001*3"])
    assert ("declined", "no_answer") == (refused.outcome, lost.outcome)
    assert ("I", "C") == (refused.order_no[0], lost.order_no[0])
    assert ["0200.71"] * 2 == [sent[:7] for sent in bench.sent]


@pytest.mark.parametrize("text", ["", "*2", "1001*", "1001*x", "1001*-1", "10|01*1", "1001*²"])
def test_a_line_that_is_none(text: str) -> None:
    """The terminal itself refuses it."""
    with pytest.raises(LocalRefusal):
        lines_of([text])
