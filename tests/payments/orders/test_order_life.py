"""The order's life as a table, and the page that shows it."""

from pathlib import Path

from acquirer.codecs.order_codes import STATUS_TEXTS
from acquirer.payments.orders.life import NEXT, STEPS, life_table, refusal_code

PAGE = Path(__file__).parents[3] / "docs" / "orders.md"


def test_the_page_shows_the_table_of_the_code() -> None:
    """docs/orders.md is what `acquirer orders life` prints."""
    text = PAGE.read_text("utf-8")
    shown = text.partition("<!-- life -->\n")[2].partition("<!-- /life -->")[0]
    assert life_table() == shown


def test_the_table_knows_only_named_steps_and_statuses() -> None:
    """A typing mistake in the table would make a step impossible without a word."""
    assert {step for step, _ in NEXT} == set(STEPS)
    assert {before for _, before in NEXT} | set(NEXT.values()) == set(STATUS_TEXTS)


def test_an_order_ends_signed_for_or_cancelled() -> None:
    """From these two statuses nothing leads on, but that what was received is all given back."""
    for end in ("03", "04"):
        on = {step for (step, before), after in NEXT.items() if before == end != after}
        assert on == ({"refund"} if end == "03" else set())


def test_money_moves_once() -> None:
    """Only an order that was not paid can be paid, and only one that is can be given back."""
    assert {"00", "05", "06"} == {before for step, before in NEXT if step == "pay"}
    assert {"01", "02"} == {before for step, before in NEXT if step in ("cancel", "reverse")}
    assert {"01", "02", "03"} == {before for step, before in NEXT if step == "refund"}
    assert ["94", "94", "94", "12"] == [refusal_code("pay", s) for s in ("01", "02", "03", "04")]
