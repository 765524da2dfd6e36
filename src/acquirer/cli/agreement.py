"""Whether all parties tell the same story: terminals, switch, ledger, bank, order system.

Pure. Each party's list of payments that stand at the end is keyed by RRN, less their refunds; the
lists must be equal, order payments must be the order system's, and the ledger's receivable must be
their sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from acquirer.ledger.journal.kinds import PAYMENTS, Kind
from acquirer.terminals_sim.kinds import VOIDS
from acquirer.terminals_sim.state import TerminalState

PAID_STATES = frozenset({"paid", "confirmed", "signed_for"})
SHARE = Kind.ORDER_SHARE
SCHEME = "assets:scheme:"
EFFECTIVE = frozenset({"approved", "refunded"})


@dataclass(frozen=True, slots=True)
class Books:
    """What every party says when asked on its own.

    Attributes:
        shelves: what is there, by item code of the one merchant that has a price list.
        stock: what that merchant believes.
    """

    terminals: Mapping[str, TerminalState]
    journal: list[dict[str, Any]]
    trial_balance: dict[str, Any]
    verified: bool
    bank: list[dict[str, Any]]
    orders: list[dict[str, Any]]
    switch_orders: list[dict[str, Any]]
    couriers: list[dict[str, Any]]
    shelves: Mapping[str, int]
    stock: list[dict[str, Any]]


@dataclass(slots=True)
class Agreement:
    """Payments that stand, by party, as RRN → minor units; and what differs."""

    parties: dict[str, dict[str, int]] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


def compare(books: Books) -> Agreement:
    """Hold the parties' lists against the switch's."""
    agreement = Agreement()
    payments = _left(books.journal, "id", "original_id")
    switch = {t["rrn"]: left for t, left in payments if _by_card(t)}
    alone = {t["rrn"]: left for t, left in payments if _is_of_orders(t["kind"])}
    # A payment of several orders belongs to none; each has its part of it.
    orders = {t["rrn"]: left for t, left in payments if t["kind"] == Kind.ORDER_PAYMENT}
    orders |= {
        t["rrn"]: t["amount_minor"]
        for t in books.journal
        if t["kind"] == SHARE and t["state"] == "approved"
    }
    terminals = {
        entry.rrn: entry.amount_minor
        for state in books.terminals.values()
        for entry in state.journal
        if entry.state == "approved" and (_is_payment(entry.kind) or entry.kind in VOIDS)
    }
    bank = {t["rrn"]: left for t, left in _left(books.bank, "rrn", "original_rrn")}
    system = {
        o["rrn"]: o["amount_minor"] for o in books.orders if o["state"] in PAID_STATES and o["rrn"]
    }
    agreement.parties = {
        "terminals": terminals,
        "switch (cards only)": switch,
        "bank (cards only)": bank,
        "order system (orders only)": system,
    }
    _differ(agreement, "terminals", terminals, "switch", switch | alone)
    _differ(agreement, "bank", bank, "switch", switch)
    _differ(agreement, "order system", system, "switch", orders)
    receivable = sum(
        line["debit_minor"] - line["credit_minor"]
        for line in books.trial_balance["lines"]
        if line["account"].startswith(SCHEME)
    )
    if receivable != sum(switch.values()):
        agreement.differences.append(
            f"the ledger's receivable is {receivable}, the switch's payments {sum(switch.values())}"
        )
    _differ_in_orders(agreement, books)
    _differ_in_cash(agreement, books)
    _differ_in_stock(agreement, books)
    if not books.trial_balance["balanced"]:
        agreement.differences.append("the trial balance does not balance")
    if not books.verified:
        agreement.differences.append("acquirer ledger verify found a difference")
    return agreement


def _differ_in_orders(agreement: Agreement, books: Books) -> None:
    """Every order that a terminal asked for must be in the same state at the merchant's."""
    system = {(o["merchant_id"], o["order_no"]): o for o in books.orders}
    for mine in books.switch_orders:
        theirs = system.get((mine["merchant_id"], mine["order_no"]), {"state": "unknown"})
        if theirs["state"] != mine["state"]:
            agreement.differences.append(
                f"order {mine['order_no']}: the order system says {theirs['state']},"
                f" the switch {mine['state']}"
            )
        elif mine["rrn"] and (theirs["rrn"], theirs["means"]) != (mine["rrn"], mine["means"]):
            agreement.differences.append(
                f"order {mine['order_no']}: paid by {theirs['means']} {theirs['rrn']} for the"
                f" order system, by {mine['means']} {mine['rrn']} for the switch"
            )


def _differ_in_stock(agreement: Agreement, books: Books) -> None:
    """The merchant's stock must be what is there, and the sum of what moved it."""
    stock = {line["code"]: line["stock"] for line in books.stock}
    for code in sorted(stock.keys() | books.shelves.keys()):
        if stock.get(code) != books.shelves.get(code):
            agreement.differences.append(
                f"item {code}: the merchant's stock is {stock.get(code)},"
                f" the shelf has {books.shelves.get(code)}"
            )
    for line in books.stock:
        moved = line["opening"] + line["taken_in"] + line["sold"] + line["counted"]
        if line["stock"] != moved:
            agreement.differences.append(f"item {line['code']}: its movements come to {moved}")


def _differ_in_cash(agreement: Agreement, books: Books) -> None:
    """What couriers owe must be the cash that was paid to them less what they handed in."""
    owed = sum(courier["cash_minor"] for courier in books.couriers)
    cash = {o["rrn"] for o in books.switch_orders if o["means"] == "cash"}
    taken = sum(t["amount_minor"] for t in books.journal if t["rrn"] in cash)
    handed_in = sum(t["amount_minor"] for t in books.journal if t["kind"] == Kind.COURIER_HAND_IN)
    off_minor = sum(
        (line["debit_minor"] - line["credit_minor"])
        for line in books.trial_balance["lines"]
        if line["account"].startswith(("assets:courier-shortage:", "income:cash-excess"))
    )
    if owed != taken - handed_in - off_minor:
        agreement.differences.append(
            f"couriers owe {owed}; they took {taken} and handed in {handed_in}"
        )


def _left(
    transactions: list[dict[str, Any]], key: str, original: str
) -> list[tuple[dict[str, Any], int]]:
    """Payments that took effect, each with what its refunds leave of it, where that is anything.

    Args:
        key: the column that a refund names its payment by, in its column ``original``.
    """
    refunded: dict[Any, int] = {}
    for t in transactions:
        if t["kind"] == Kind.REFUND and t["state"] == "approved":
            refunded[t[original]] = refunded.get(t[original], 0) + t["amount_minor"]
    return [
        (t, t["amount_minor"] - refunded.get(t[key], 0))
        for t in transactions
        if t["state"] in EFFECTIVE
        and _is_payment(t["kind"])
        and refunded.get(t[key]) != t["amount_minor"]
    ]


def _is_payment(kind: str) -> bool:
    return kind in PAYMENTS or _is_of_orders(kind)


def _is_of_orders(kind: str) -> bool:
    return kind.startswith(Kind.ORDER_PAYMENT)


def _by_card(transaction: dict[str, Any]) -> bool:
    return transaction["kind"] == "sale" or bool(transaction.get("bank", ""))


def _differ(
    agreement: Agreement, one: str, mine: dict[str, int], other: str, theirs: dict[str, int]
) -> None:
    for rrn in sorted(mine.keys() | theirs.keys()):
        if mine.get(rrn) != theirs.get(rrn):
            agreement.differences.append(
                f"{rrn}: {one} has {mine.get(rrn, 'nothing')}, {other} {theirs.get(rrn, 'nothing')}"
            )
