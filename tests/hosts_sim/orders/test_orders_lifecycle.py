"""Which events an order may take, as the merchant sees it."""

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.hosts_sim.orders.lifecycle import (
    Applied,
    EventDocument,
    EventFacts,
    History,
    Impossible,
    OrderState,
    decide,
)

AFTER = {
    "order.paid": "01",
    "order.payment_confirmed": "02",
    "order.signed_for": "03",
    "order.cancelled": "04",
    "order.cancel_confirmed": "04",
    "order.exception": "05",
    "order.refunded": "02",
}


def order(status: str = "00", **changes: object) -> OrderState:
    """An order of 100.00 that takes card and cash; paid where the status says so."""
    paid = status in ("01", "02", "03", "04")
    plain = OrderState(
        merchant_id="m1",
        order_no="A",
        amount_minor=0 if status == "06" else 10_000,
        currency_code="156",
        pay_ways="3" if status == "06" else "12",
        text="",
        status=status,
        rrn="R1" if paid else "",
        means="card" if paid else "",
        newest_at="2026-11-21T08:00:05.000Z" if paid else "",
    )
    return msgspec.structs.replace(plain, **changes)


def event(kind: str, at_s: int = 10, **changes: object) -> EventDocument:
    """An event of payment R1."""
    facts = EventFacts(
        order_no="A",
        merchant_id="m1",
        order_status=AFTER.get(kind, ""),
        amount_minor=10_000,
        currency_code="156",
        means="card",
        rrn="R1",
        stan="000042",
        terminal_id="10000001",
        courier_id="C1",
    )
    timestamp = f"2026-11-21T08:00:{at_s:02d}.000Z"
    return EventDocument(kind, timestamp, msgspec.structs.replace(facts, **changes))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("00", "order.paid"),
        ("05", "order.paid"),
        ("01", "order.payment_confirmed"),
        ("01", "order.signed_for"),
        ("02", "order.signed_for"),
        ("06", "order.signed_for"),
        ("01", "order.cancelled"),
        ("02", "order.cancelled"),
        ("03", "order.cancelled"),
        ("02", "order.refunded"),
        ("04", "order.cancel_confirmed"),
        ("00", "order.exception"),
        ("05", "order.exception"),
        ("06", "order.exception"),
    ],
)
def test_the_steps_of_an_orders_life(status: str, kind: str) -> None:
    """Each possible step leads to the status that its event names."""
    decision = decide(order(status), event(kind))
    assert isinstance(decision, Applied)
    assert decision.order.status == AFTER[kind]
    assert decision.order.newest_at == "2026-11-21T08:00:10.000Z"


def test_a_prepaid_order_is_delivered_with_nothing_to_pay() -> None:
    """Payment by nothing of an order with nothing to pay counts as its payment."""
    paid = event("order.paid", amount_minor=0, means="none")
    decision = decide(order("06"), paid)
    assert isinstance(decision, Applied)
    assert (decision.order.status, decision.order.means) == ("01", "none")


def test_a_reversed_payment_leaves_the_order_to_pay() -> None:
    """``order.cancelled`` with 00 undoes the payment and forgets it; 06 would be a lie."""
    undone = event("order.cancelled", order_status="00", reason="reversed")
    decision = decide(order("01"), undone)
    assert isinstance(decision, Applied)
    assert (decision.order.status, decision.order.rrn, decision.order.means) == ("00", "", "")
    wrong = event("order.cancelled", order_status="06")
    assert isinstance(decide(order("01"), wrong), Impossible)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("00", "order.payment_confirmed"),
        ("00", "order.signed_for"),
        ("00", "order.cancelled"),
        ("02", "order.cancel_confirmed"),
        ("00", "order.refunded"),
        ("01", "order.refunded"),
    ],
)
def test_an_event_ahead_of_its_predecessor_is_not_yet_possible(status: str, kind: str) -> None:
    """The sender is told to try again, not to give up."""
    decision = decide(order(status), event(kind))
    assert isinstance(decision, Impossible)
    assert decision.not_yet


@pytest.mark.parametrize(
    ("status", "kind", "changes"),
    [
        ("00", "order.paid", {"amount_minor": 9_999}),
        ("00", "order.paid", {"currency_code": "840"}),
        ("00", "order.paid", {"means": "none"}),
        ("00", "order.paid", {"order_status": "02"}),
        ("01", "order.paid", {"rrn": "R2"}),
        ("01", "order.paid", {}),
        ("04", "order.paid", {}),
        ("01", "order.payment_confirmed", {"rrn": "R2"}),
        ("03", "order.payment_confirmed", {}),
        ("03", "order.cancelled", {"order_status": "00"}),
        ("02", "order.cancelled", {"refunded": 1}),
        ("02", "order.refunded", {"amount_minor": 10_001}),
        ("02", "order.refunded", {"refunded": 1}),
        ("02", "order.refunded", {"amount_minor": 0}),
        ("02", "order.refunded", {"rrn": "R2"}),
        ("02", "order.refunded", {"means": "cash"}),
        ("03", "order.refunded", {}),
        ("04", "order.refunded", {"order_status": "04"}),
        ("01", "order.cancelled", {"rrn": "R2"}),
        ("01", "order.exception", {}),
        ("03", "order.exception", {}),
        ("00", "order.eaten", {}),
    ],
)
def test_what_can_never_be_is_refused_for_good(
    status: str, kind: str, changes: dict[str, Any]
) -> None:
    """Wrong money, a second payment, a step backwards, more given back than was paid."""
    refunded_minor = changes.pop("refunded", 0)
    decision = decide(order(status, refunded_minor=refunded_minor), event(kind, **changes))
    assert isinstance(decision, Impossible)
    assert not decision.not_yet


def test_refunds_add_up_and_leave_the_order_as_it_is() -> None:
    """Each part counts, also one that is told after a later receipt; all of it is the most."""
    state = order("02")
    for at_s, status, amount_minor in ((6, "02", 4_000), (7, "02", 1_000)):
        told = event("order.refunded", at_s, order_status=status, amount_minor=amount_minor)
        decision = decide(state, told)
        assert isinstance(decision, Applied)
        state = decision.order
    assert ("02", 5_000, "R1") == (state.status, state.refunded_minor, state.rrn)
    received = msgspec.structs.replace(state, status="03", newest_at="2026-11-21T08:00:30.000Z")
    late = decide(received, event("order.refunded", 8, order_status="02", amount_minor=5_000))
    assert isinstance(late, Applied)
    assert ("03", 10_000) == (late.order.status, late.order.refunded_minor)


def test_an_older_event_after_newer_ones_is_history() -> None:
    """A dead letter that is replayed late is accepted and changes nothing."""
    assert decide(order("01"), event("order.exception", at_s=1)) == History()
    assert decide(order("03"), event("order.payment_confirmed", at_s=1)) == History()


def test_a_second_payment_is_never_history() -> None:
    """However old it claims to be, somebody's money is at stake."""
    decision = decide(order("01"), event("order.paid", at_s=1, rrn="R2"))
    assert isinstance(decision, Impossible)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*AFTER]),
            st.sampled_from(["R1", "R2"]),
            st.sampled_from(["00", "04", ""]),
            st.integers(0, 20),
        ),
        max_size=12,
    )
)
def test_a_paid_order_changes_its_payment_only_through_a_cancellation(
    steps: list[tuple[str, str, str, int]],
) -> None:
    """For any sequence of events: between two different payments lies a cancellation."""
    state = order()
    history = [state]
    for kind, rrn, status, at_s in steps:
        changes = {"rrn": rrn} | ({"order_status": status} if status else {})
        decision = decide(state, event(kind, at_s, **changes))
        if isinstance(decision, Applied):
            state = decision.order
            history.append(state)
    for before, after in itertools.pairwise(history):
        if before.status in ("01", "02", "03"):
            assert after.rrn == before.rrn or after.status == "00"
        assert after.amount_minor == before.amount_minor
