"""A shop's goods: what its orders move, once each, in whatever order the merchant hears of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acquirer.config.estate import Item, Order
from acquirer.hosts_sim.orders.lifecycle import EventDocument, EventFacts, OrderState
from acquirer.hosts_sim.orders.stock import Kind, Line, Opening, Refused
from acquirer.hosts_sim.orders.store import (
    OrderStore,
    Received,
    read_items,
    read_movements,
    read_stock,
)

OPENING = 1_000
NAMES = count()
# What happens to an order: event type and the order's status after it.
PAY = ("order.paid", "01")
CONFIRM = ("order.payment_confirmed", "02")
CANCEL = ("order.cancelled", "04")
REVERSE = ("order.cancelled", "")


def items(merchant_id: str, price_minor: int = 250) -> list[Item]:
    """Tea with a barcode, and rice."""
    return [
        Item(merchant_id, "1001", "Tea", price_minor, OPENING, barcode="2000000000015"),
        Item(merchant_id, "1002", "Rice", 4_590, OPENING),
    ]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrderStore]:
    """Books for many merchants, without the wait for a disk."""
    books = OrderStore(tmp_path_factory.mktemp("stock"))
    books.connection.execute("PRAGMA synchronous = OFF")
    yield books
    books.close()


@pytest.fixture
def shop(store: OrderStore) -> str:
    """A merchant with a price list."""
    return new_shop(store)


def new_shop(store: OrderStore, price_minor: int = 250) -> str:
    """A merchant with a price list, and one order of another sort."""
    merchant_id = f"m{next(NAMES)}"
    plain = Order("PLAIN", merchant_id, 100, "1", "")
    store.seed([plain], {merchant_id: "156"}, items(merchant_id, price_minor))
    return merchant_id


def opening(merchant_id: str, order_no: str, kind: Kind = "sale", **lines: int) -> Opening:
    """An order's document; lines as ``_1001=2``."""
    wanted = tuple(Line(code.removeprefix("_"), quantity) for code, quantity in lines.items())
    return Opening(order_no, merchant_id, kind, wanted, "10000003", "C2001")


def opened(
    store: OrderStore, merchant_id: str, order_no: str, kind: Kind = "sale", **lines: int
) -> OrderState:
    """The order, which must have been opened."""
    order = store.open(opening(merchant_id, order_no, kind, **lines))
    assert isinstance(order, OrderState)
    return order


def told(
    order: OrderState, step: tuple[str, str], at: int, rrn: str = "R1", event_id: str = ""
) -> Received:
    """An event of an order, ``at`` seconds into the day."""
    kind, status = step
    facts = EventFacts(
        order_no=order.order_no,
        merchant_id=order.merchant_id,
        order_status=status or ("00" if order.amount_minor else "06"),
        amount_minor=order.amount_minor,
        currency_code="156",
        means="cash" if order.amount_minor else "none",
        rrn=rrn,
    )
    document = EventDocument(kind, f"2026-11-21T08:{at // 60:02d}:{at % 60:02d}.000Z", facts)
    name = event_id or f"{order.merchant_id}-{order.order_no}-{at}"
    return Received(name, document, msgspec.json.encode(document))


def take(store: OrderStore, *events: Received) -> list[str]:
    """What became of each event."""
    return [outcome.result for outcome in store.take(events)]


def in_stock(store: OrderStore, merchant_id: str, code: str = "1001") -> int:
    """What the merchant believes is there."""
    item = store.item(merchant_id, code)
    assert item is not None
    return item.stock


def test_a_sale_is_priced_and_moves_goods_once_it_is_paid(store: OrderStore, shop: str) -> None:
    """By code and by barcode, an item in two lines; a cancellation brings them back."""
    order = opened(store, shop, "S1", _1001=2, _2000000000015=1, _1002=1)
    assert (order.amount_minor, order.status, order.pay_ways) == (3 * 250 + 4_590, "00", "12")
    assert order.text == "Tea 3 × 2.50 7.50|Rice 1 × 45.90 45.90"
    assert OPENING == in_stock(store, shop)
    assert ["applied"] == take(store, told(order, PAY, 1))
    assert (OPENING - 3, OPENING - 1) == (in_stock(store, shop), in_stock(store, shop, "1002"))
    assert ["applied"] * 2 == take(store, told(order, CONFIRM, 2), told(order, CANCEL, 3))
    assert OPENING == in_stock(store, shop)


def test_a_repeated_notice_moves_nothing(store: OrderStore, shop: str) -> None:
    """Neither at once nor after the goods have come back."""
    order = opened(store, shop, "S1", _1001=5)
    paid, cancelled = told(order, PAY, 1), told(order, CANCEL, 2)
    take(store, paid, paid)
    assert OPENING - 5 == in_stock(store, shop)
    assert ["applied", "repeated", "repeated"] == take(store, cancelled, paid, cancelled)
    assert OPENING == in_stock(store, shop)


def test_goods_taken_in_and_counted(store: OrderStore, shop: str) -> None:
    """Nothing to pay; a count sets the stock and keeps the difference, also where there is none."""
    delivery = opened(store, shop, "I1", "stock_in", _1001=50)
    assert (delivery.amount_minor, delivery.status, delivery.pay_ways) == (0, "06", "3")
    counted = opened(store, shop, "C1", "count", _1001=1_047, _1002=OPENING)
    take(store, told(delivery, PAY, 1), told(counted, PAY, 2))
    assert (1_047, OPENING) == (in_stock(store, shop), in_stock(store, shop, "1002"))
    take(store, told(counted, REVERSE, 3), told(delivery, CANCEL, 4))
    assert OPENING == in_stock(store, shop)


def test_a_sale_that_is_told_after_a_count_was_counted(store: OrderStore, shop: str) -> None:
    """The count saw its goods gone already: its difference shrinks, the stock stays."""
    sale = opened(store, shop, "S1", _1001=3)
    counted = opened(store, shop, "C1", "count", _1001=OPENING - 3)
    take(store, told(counted, PAY, 2))
    assert ["applied"] == take(store, told(sale, PAY, 1))
    assert OPENING - 3 == in_stock(store, shop)


def test_the_same_document_again_is_the_same_order(store: OrderStore, shop: str) -> None:
    """In whatever state it is; other lines, another kind or another sort of order conflict."""
    first = opened(store, shop, "S1", _1001=2)
    assert first == opened(store, shop, "S1", _1001=2)
    take(store, told(first, PAY, 1))
    assert "01" == opened(store, shop, "S1", _1001=2).status
    for other in (
        opening(shop, "S1", _1001=3),
        opening(shop, "S1", _1001=2, _1002=1),
        opening(shop, "S1", "stock_in", _1001=2),
        opening(shop, "PLAIN", _1001=2),
    ):
        assert Refused("conflict", other.order_no) == store.open(other)
    assert OPENING - 2 == in_stock(store, shop)


def test_orders_that_cannot_be(store: OrderStore, shop: str) -> None:
    """Each says why, and leaves no order behind."""
    dear = new_shop(store, 999_999_999_999)
    for wrong, error, detail in (
        (opening(shop, "S1", _1001=1, _9999=1), "unknown_item", "9999"),
        (opening("nobody", "S1", _1001=1), "unknown_item", "1001"),
        (opening(shop, "S1", _1001=0), "quantity", "Tea × 0"),
        (opening(shop, "S1", _1001=999, _2000000000015=2), "not_enough_stock", "Tea: 1000 in"),
        (opening(dear, "S1", _1001=2), "too_much", "19999999999.98"),
    ):
        refused = store.open(wrong)
        assert isinstance(refused, Refused)
        assert error == refused.error
        assert refused.detail.startswith(detail)
        assert store.order(wrong.merchant_id, "S1") is None


SCRIPTS: list[list[tuple[str, str]]] = [
    [],
    [PAY],
    [PAY, CONFIRM],
    [PAY, REVERSE],
    [PAY, REVERSE, PAY],
    [PAY, CANCEL],
    [PAY, CONFIRM, CANCEL],
]


def timeline(orders: list[tuple[Kind, int, list[tuple[str, str]]]], times: list[list[int]]) -> int:
    """Stock by a plain reading of what happened when."""
    effects: list[tuple[int, str, int]] = []
    for (kind, quantity, script), at in zip(orders, times, strict=True):
        done: list[tuple[int, str, int]] = []
        for step, when in zip(script, at, strict=True):
            signed = -quantity if kind == "sale" else quantity
            if step == PAY:
                done.append((when, kind, signed))
            elif step == REVERSE or (step == CANCEL and kind == "count"):
                done.pop()
            elif step == CANCEL:
                done.append((when, kind, -signed))
        effects += done
    stock = OPENING
    for _, effect, quantity in sorted(effects):
        stock = quantity if effect == "count" else stock + quantity
    return stock


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_stock_is_what_happened_however_it_was_told(store: OrderStore, data: st.DataObject) -> None:
    """Notices of orders overtake each other and repeat; no movement is lost or doubled."""
    shop = new_shop(store)
    kinds: list[Kind] = ["sale", "stock_in", "count"]
    orders = data.draw(
        st.lists(
            st.tuples(st.sampled_from(kinds), st.integers(1, 40), st.sampled_from(SCRIPTS)),
            min_size=1,
            max_size=6,
        )
    )
    slots = [index for index, (_, _, script) in enumerate(orders) for _ in script]
    times: list[list[int]] = [[] for _ in orders]
    for at, index in enumerate(data.draw(st.permutations(slots))):
        times[index].append(at)
    made = [
        opened(store, shop, f"X{index}", kind, _1001=quantity)
        for index, (kind, quantity, _) in enumerate(orders)
    ]
    sent: list[Received] = []
    arrived = [0] * len(orders)
    for index in data.draw(st.permutations(slots)):
        step, at = orders[index][2][arrived[index]], times[index][arrived[index]]
        arrived[index] += 1
        payments = [
            when for s, when in zip(orders[index][2], times[index], strict=True) if s == PAY
        ]
        rrn = f"R{max(when for when in payments if when <= at)}"
        sent.append(told(made[index], step, at, rrn))
        again = [sent[number] for number in data.draw(st.lists(st.integers(0, len(sent) - 1)))]
        assert "applied" == take(store, sent[-1])[0]
        assert {"repeated"} >= set(take(store, *again))
    assert timeline(orders, times) == in_stock(store, shop)
    moved = store.connection.execute(
        "SELECT COALESCE(SUM(quantity), 0) FROM movements WHERE merchant_id = ?", (shop,)
    ).fetchone()[0]
    assert OPENING + moved == in_stock(store, shop)


def test_the_books_can_be_read_from_outside(tmp_path: Path) -> None:
    """Price list, sums and movements, after a restart of the simulator too."""
    books = OrderStore(tmp_path)
    books.seed([], {"m": "156"}, items("m"))
    take(books, told(opened(books, "m", "S1", _1001=2), PAY, 1))
    books.close()
    again = OrderStore(tmp_path)
    again.seed([], {"m": "156"}, items("m"))
    again.close()
    assert [OPENING - 2, OPENING] == [row.stock for row in read_items(tmp_path)]
    tea = read_stock(tmp_path)[0]
    assert (OPENING, 0, -2, 0, OPENING - 2) == (
        tea.opening,
        tea.taken_in,
        tea.sold,
        tea.counted,
        tea.stock,
    )
    moved = read_movements(tmp_path)[0]
    assert ("S1", "sale", "done", -2) == (moved.order_no, moved.kind, moved.cause, moved.quantity)
