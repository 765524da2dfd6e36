"""Parts of orders at the merchant's: what may be opened, how long it holds, what it pays."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acquirer.config.estate import Order
from acquirer.hosts_sim.orders.lifecycle import EventDocument, EventFacts, OrderState
from acquirer.hosts_sim.orders.parts import HELD_S, PARTS_MAX, PartOpening, PartRefused
from acquirer.hosts_sim.orders.store import OrderStore, Received

AMOUNT = 1_000
WHOLE = "SP1"
NAMES = count()
PAY, CANCEL, REVERSE = ("order.paid", "01"), ("order.cancelled", "04"), ("order.cancelled", "00")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrderStore]:
    """Books for many merchants, without the wait for a disk."""
    books = OrderStore(Path(tmp_path_factory.mktemp("parts")))
    books.connection.execute("PRAGMA synchronous = OFF")
    yield books
    books.close()


def merchant(store: OrderStore) -> str:
    """A merchant with one order."""
    merchant_id = f"m{next(NAMES)}"
    store.seed([Order(WHOLE, merchant_id, AMOUNT, "12", "")], {merchant_id: "156"})
    return merchant_id


def ask(
    store: OrderStore, merchant_id: str, amount: int, tid: str = "T1", id: str = "", at_s: float = 0
) -> OrderState | PartRefused:
    """Have a part opened."""
    name = id or str(next(NAMES))
    return store.open_part(PartOpening("part", name, WHOLE, merchant_id, amount, tid, "C1"), at_s)


def part(store: OrderStore, merchant_id: str, amount: int, tid: str = "T1") -> OrderState:
    """A part, which must have been opened."""
    opened = ask(store, merchant_id, amount, tid)
    assert isinstance(opened, OrderState)
    return opened


def shown(
    store: OrderStore, merchant_id: str, number: str = WHOLE, at_s: float = 0
) -> tuple[str, int, str]:
    """Status, amount and what it is a part of, as a query has them."""
    order = store.order(merchant_id, number)
    assert order is not None
    answered, part_of = store.shown(order, at_s)
    return answered.status, answered.amount_minor, part_of


def tell(store: OrderStore, order: OrderState, step: tuple[str, str], amount: int = 0) -> str:
    """What becomes of an event."""
    number = next(NAMES)
    facts = EventFacts(
        order_no=order.order_no,
        merchant_id=order.merchant_id,
        order_status=step[1],
        amount_minor=amount or order.amount_minor,
        currency_code="156",
        means="cash",
        rrn=f"R{order.order_no}",
    )
    document = EventDocument(step[0], f"2026-11-21T08:00:00.{number:06d}Z", facts)
    event = Received(f"e{number}", document, msgspec.json.encode(document))
    return store.take([event])[0].result


def test_parts_that_reach_the_amount_pay_the_order(store: OrderStore) -> None:
    """Given back, they leave it to pay again."""
    mine = merchant(store)
    one, two = part(store, mine, 400), part(store, mine, 600, "T2")
    assert ("00", 400, WHOLE) == shown(store, mine, one.order_no)
    assert ("00", AMOUNT, "") == shown(store, mine)
    assert "applied" == tell(store, one, PAY)
    assert ("00", 600, "") == shown(store, mine)
    assert "applied" == tell(store, two, PAY)
    assert ("01", 0, "") == shown(store, mine)
    assert "applied" == tell(store, one, REVERSE)
    assert ("00", 400, "") == shown(store, mine)
    assert "applied" == tell(store, two, CANCEL)
    assert ("00", AMOUNT, "") == shown(store, mine)


def test_the_rest_is_paid_as_the_order(store: OrderStore) -> None:
    """Not more than the rest; less where a part was given back since. What is open has lapsed."""
    mine = merchant(store)
    one, two = part(store, mine, 400), part(store, mine, 100, "T2")
    whole = store.order(mine, WHOLE)
    assert whole is not None
    assert "applied" == tell(store, one, PAY)
    assert "impossible" == tell(store, whole, PAY, AMOUNT)
    assert "applied" == tell(store, one, REVERSE)
    assert "applied" == tell(store, whole, PAY, 600)
    assert "04" == shown(store, mine, two.order_no)[0]
    assert isinstance(ask(store, mine, 1), PartRefused)


def test_an_open_part_holds_its_amount_for_a_time(store: OrderStore) -> None:
    """Until then, until its terminal asks for another, or as long as nobody else has paid it."""
    mine = merchant(store)
    first = part(store, mine, 700)
    refused = ask(store, mine, 400, "T2")
    assert isinstance(refused, PartRefused)
    assert ("part_too_large", "3.00 left") == (refused.error, refused.detail)
    second = part(store, mine, 600)
    assert ("04", "00") == (
        shown(store, mine, first.order_no)[0],
        shown(store, mine, second.order_no)[0],
    )
    assert "04" == shown(store, mine, second.order_no, HELD_S)[0]
    assert isinstance(ask(store, mine, AMOUNT, "T2", at_s=HELD_S), OrderState)
    # It was being paid as it lapsed: money that has been taken counts, however late it is told.
    assert "applied" == tell(store, second, PAY)
    assert ("00", 400, "") == shown(store, mine)
    assert "04" == shown(store, mine, f"{WHOLE}/3", HELD_S)[0]


def test_the_same_document_opens_one_part(store: OrderStore) -> None:
    """Another under the same id is refused; so are more parts than anybody needs."""
    mine = merchant(store)
    first = ask(store, mine, 10, id="x")
    assert first == ask(store, mine, 10, id="x")
    assert PartRefused("conflict", "x") == ask(store, mine, 11, id="x")
    for _ in range(PARTS_MAX - 1):
        part(store, mine, 10)
    assert isinstance(ask(store, mine, 10), PartRefused)


@given(
    st.lists(
        st.tuples(st.sampled_from("opens"), st.integers(1, AMOUNT), st.sampled_from("AB")),
        max_size=20,
    )
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_shown_never_adds_up_to_more(
    store: OrderStore, steps: list[tuple[str, int, str]]
) -> None:
    """Whatever is opened, paid while it is shown as to pay, and given back."""
    mine = merchant(store)
    parts: list[OrderState] = []
    for step, number, tid in steps:
        if step in "on":
            opened = ask(store, mine, number, tid)
            parts += [opened] if isinstance(opened, OrderState) else []
        elif parts:
            one = parts[number % len(parts)]
            status = shown(store, mine, one.order_no)[0]
            if step in "pe" and status == "00":
                assert "applied" == tell(store, one, PAY)
            elif status == "01":
                assert "applied" == tell(store, one, CANCEL if number % 2 else REVERSE)
        states = [shown(store, mine, one.order_no) for one in parts]
        paid = sum(amount for status, amount, _ in states if status == "01")
        held = sum(amount for status, amount, _ in states if status == "00")
        assert paid + held <= AMOUNT
        assert ("01" if paid == AMOUNT else "00", AMOUNT - paid, "") == shown(store, mine)
