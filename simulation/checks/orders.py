"""What must hold of orders at the end of a simulated day: switch, merchant and terminals agree."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from acquirer.simulation.checks.auditor import Auditor
from acquirer.terminals_sim.state import TerminalState

# What an order's status may be where a terminal holds its payment at a stage.
STAGES = {
    "paid": ("01", "02", "03"),
    "confirmed": ("02", "03"),
    "signed": ("03",),
    "cancelled": ("04",),
}


# A payment that has not been given back with its order.
_TAKEN = "(p.state = 'approved' OR (p.state = 'refunded' AND {0}.status <> '04'))"


def orders_agree(
    auditor: Auditor, orders: sqlite3.Connection, states: list[TerminalState]
) -> Iterator[str]:
    """Each order in one legal state, the same for switch, merchant and terminals."""
    yield from _orders(auditor, orders)
    yield from _refunds(auditor, orders)
    yield from _orders_at_terminals(auditor, states)


def _orders_at_terminals(auditor: Auditor, states: list[TerminalState]) -> Iterator[str]:
    """What a terminal holds as paid is paid by that payment, and at least as far along."""
    known = {
        (str(terminal_id), str(order_no)): (str(status), str(rrn))
        for terminal_id, order_no, status, rrn in auditor.rows(
            "SELECT p.terminal_id, o.order_no, o.status, coalesce(whole.rrn, p.rrn)"
            " FROM orders o JOIN journal p ON p.id = o.payment_id"
            " LEFT JOIN journal whole ON whole.id = p.original_id AND p.kind = 'order_share'"
        )
    }
    for state in states:
        for held in state.orders:
            wanted = STAGES.get(held.stage, ())
            found = known.get((state.terminal_id, held.order_no), ("unpaid", ""))
            if state.order(held.order_no) is not held or not wanted:
                continue
            if auditor.lost.has_order(held.order_no):
                continue
            if found[0] not in wanted or found[1] != held.rrn:
                yield (
                    f"order {held.order_no}: {held.stage} by {held.rrn} at terminal"
                    f" {state.terminal_id}, {found} at the switch"
                )


def _orders(auditor: Auditor, orders: sqlite3.Connection) -> Iterator[str]:
    """Each order in one legal state, and the order system says the same."""
    known = {
        (merchant_id, order_no): (status, rrn)
        for merchant_id, order_no, status, rrn in orders.execute(
            "SELECT merchant_id, order_no, status, rrn FROM orders"
        )
    }
    for merchant_id, order_no, status, paying, payment_rrn, payment_state in auditor.rows(
        "SELECT o.merchant_id, o.order_no, o.status, o.paying_id, p.rrn, p.state"
        " FROM orders o LEFT JOIN journal p ON p.id = o.payment_id"
    ):
        if auditor.lost.has_order(order_no):
            continue
        where = f"order {order_no}"
        theirs = known.get((str(merchant_id), str(order_no)))
        if theirs is None:
            yield f"{where}: unknown at the order system"
            continue
        if paying is not None:
            yield f"{where}: still being paid by {paying}"
        # Refunded, part by part, it still pays its order.
        wanted = ("voided", "refunded") if status == "04" else ("approved", "refunded")
        if payment_rrn is not None and payment_state not in wanted:
            yield f"{where}: {status}, but its payment {payment_rrn} is {payment_state}"
        if status == "04":
            # A part may have lapsed, which is said and not stored.
            if theirs[0] != "04" and (payment_rrn is not None or "/" not in str(order_no)):
                yield f"{where}: cancelled here, {theirs} at the order system"
            continue
        if payment_rrn is None:
            # The row repeats what the order system said last; it must not know of a payment.
            if theirs[1]:
                yield f"{where}: not paid here, paid by {theirs[1]} at the order system"
            continue
        if status not in ("01", "02", "03"):
            yield f"{where}: status {status} with payment {payment_rrn}"
        if theirs != (status, payment_rrn):
            yield f"{where}: {status} paid by {payment_rrn} here, {theirs} at the order system"
    yield from _parts(auditor, orders)
    for merchant_id, order_no, count in auditor.rows(
        "SELECT merchant_id, order_no, count(*) FROM journal WHERE state = 'approved'"
        " AND kind IN ('order_payment', 'order_share') AND order_no <> ''"
        " GROUP BY merchant_id, order_no HAVING count(*) > 1"
    ):
        yield f"order {order_no} of {merchant_id}: paid {count} times"


def _refunds(auditor: Auditor, orders: sqlite3.Connection) -> Iterator[str]:
    """The merchant was told of each refund of what pays an order, once."""
    told = {
        (merchant_id, order_no): refunded_minor
        for merchant_id, order_no, refunded_minor in orders.execute(
            "SELECT merchant_id, order_no, refunded_minor FROM orders WHERE status <> '04'"
        )
    }
    for merchant_id, order_no, status, refunded_minor in auditor.rows(
        "SELECT o.merchant_id, o.order_no, o.status, coalesce(sum(r.amount_minor), 0)"
        " FROM orders o LEFT JOIN journal r ON r.original_id = o.payment_id"
        " AND r.kind = 'refund' AND r.state = 'approved'"
        " WHERE o.status <> '04' GROUP BY o.merchant_id, o.order_no, o.status"
    ):
        theirs = told.get((merchant_id, order_no), 0)
        if theirs != refunded_minor and not auditor.lost.has_order(order_no):
            yield (
                f"order {order_no}: {status}, {refunded_minor} refunded here,"
                f" {theirs} at the order system"
            )


def _parts(auditor: Auditor, orders: sqlite3.Connection) -> Iterator[str]:
    """What an order and its parts have taken is its amount at most, all of it once signed for."""
    for merchant_id, order_no, taken in auditor.rows(
        "SELECT o.merchant_id, coalesce(nullif(o.part_of, ''), o.order_no) AS whole_no,"
        " sum(p.amount_minor) FROM orders o JOIN journal p ON p.id = o.payment_id"
        " WHERE " + _TAKEN.format("o") + " GROUP BY o.merchant_id, whole_no"
    ):
        if auditor.lost.has_order(order_no):
            continue
        amount_minor = _amount(orders, merchant_id, order_no)
        if int(str(taken)) > amount_minor:
            yield f"order {order_no} of {merchant_id}: {taken} taken of {amount_minor}"
    for merchant_id, order_no, taken in auditor.rows(
        "SELECT o.merchant_id, o.order_no, sum(coalesce(p.amount_minor, 0)) FROM orders o"
        " JOIN orders part ON part.merchant_id = o.merchant_id AND part.part_of = o.order_no"
        " LEFT JOIN journal p ON p.id = part.payment_id AND "
        + _TAKEN.format("part")
        + " WHERE o.status = '03' AND o.payment_id IS NULL GROUP BY o.merchant_id, o.order_no"
    ):
        if auditor.lost.has_order(order_no):
            continue
        amount_minor = _amount(orders, merchant_id, order_no)
        if int(str(taken)) != amount_minor:
            yield f"order {order_no}: signed for, and its parts have paid {taken}"


def _amount(orders: sqlite3.Connection, merchant_id: object, order_no: object) -> int:
    """An order's amount at the merchant's; 0 for one that he does not know."""
    row = orders.execute(
        "SELECT amount_minor FROM orders WHERE merchant_id = ? AND order_no = ?",
        (merchant_id, order_no),
    ).fetchone()
    return row[0] if row else 0
