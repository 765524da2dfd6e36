"""Parts of orders: opened when somebody wants to pay so much of an order, then orders themselves.

The tables lie in the file of ``store.py`` and change in its transactions. What an order still owes
is its amount less its paid parts. An open part holds its amount for a time, so that others do not
promise it again; a part that was paid counts, however late that is told.
Source: ``docs/order-system-openapi.yaml``, "Part payment".
"""

from __future__ import annotations

import sqlite3
from typing import Annotated, Literal

import msgspec

from acquirer.hosts_sim.orders.lifecycle import OrderState
from acquirer.hosts_sim.orders.stock import money

HELD_S = 900.0
PARTS_MAX = 99
ORDER_NO_CHARACTERS_MAX = 40

SCHEMA = """
CREATE TABLE IF NOT EXISTS parts (
    merchant_id TEXT NOT NULL, order_no TEXT NOT NULL, part_of TEXT NOT NULL,
    part_id TEXT NOT NULL, amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    terminal_id TEXT NOT NULL, open_until REAL NOT NULL,
    PRIMARY KEY (merchant_id, order_no)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS uq_parts_part_id ON parts (merchant_id, part_id);
CREATE INDEX IF NOT EXISTS ix_parts_order ON parts (merchant_id, part_of);
"""
_SUMS = """
SELECT COUNT(*), COALESCE(SUM(p.amount_minor) FILTER (WHERE o.status IN ('01', '02', '03')), 0),
    COALESCE(SUM(p.amount_minor) FILTER (
        WHERE o.status = '00' AND p.open_until > ?3 AND p.terminal_id <> ?4
    ), 0)
FROM parts p JOIN orders o USING (merchant_id, order_no)
WHERE p.merchant_id = ?1 AND p.part_of = ?2
"""


class PartOpening(msgspec.Struct, frozen=True):
    """The posted document that has a part come into being."""

    kind: Literal["part"]
    part_id: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    of: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    merchant_id: Annotated[str, msgspec.Meta(min_length=1, max_length=15)]
    amount_minor: Annotated[int, msgspec.Meta(ge=1, le=999_999_999_999)]
    terminal_id: str
    courier_id: str

    @property
    def order_no(self) -> str:
        """The order that it is about."""
        return self.of


class PartRefused(msgspec.Struct, frozen=True):
    """A part that is not opened."""

    error: Literal["conflict", "unknown_order", "not_to_pay", "part_not_allowed", "part_too_large"]
    detail: str


class Sums(msgspec.Struct, frozen=True):
    """An order's parts in numbers: how many, paid, and held by those that are open."""

    count: int
    paid_minor: int
    open_minor: int


class Parts:
    """The parts in an open file; every change is inside the caller's transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def sums(self, order: OrderState, now_s: float = 0.0, terminal_id: str = "") -> Sums:
        """What has become of an order's parts.

        Args:
            now_s: wall clock; what is open until then holds nothing any more.
            terminal_id: whose own open parts hold nothing, since it asks for another.
        """
        key = (order.merchant_id, order.order_no, now_s, terminal_id)
        return Sums(*self._db.execute(_SUMS, key).fetchone())

    def part_of(self, order: OrderState) -> str:
        """The order that an order is a part of, or the empty string."""
        row = self._db.execute(
            "SELECT part_of FROM parts WHERE merchant_id = ? AND order_no = ?",
            (order.merchant_id, order.order_no),
        ).fetchone()
        return "" if row is None else str(row[0])

    def opened(self, opening: PartOpening) -> str | PartRefused | None:
        """The number of the part that this very document has opened; None where it is new."""
        row = self._db.execute(
            "SELECT order_no, part_of, amount_minor FROM parts"
            " WHERE merchant_id = ? AND part_id = ?",
            (opening.merchant_id, opening.part_id),
        ).fetchone()
        if row is None:
            return None
        same = (row[1], row[2]) == (opening.of, opening.amount_minor)
        return str(row[0]) if same else PartRefused("conflict", opening.part_id)

    def open(
        self, opening: PartOpening, whole: OrderState, now_s: float
    ) -> OrderState | PartRefused:
        """Keep a part, if it fits; the order itself is the caller's to keep."""
        if whole.status != "00" or self.part_of(whole):
            return PartRefused("not_to_pay", whole.order_no)
        sums = self.sums(whole, now_s, opening.terminal_id)
        due_minor = whole.amount_minor - sums.paid_minor
        number = f"{whole.order_no}/{sums.count + 1}"
        too_many = sums.count >= PARTS_MAX or len(number) > ORDER_NO_CHARACTERS_MAX
        fits = opening.amount_minor <= due_minor - sums.open_minor
        if too_many or not fits:
            return PartRefused("part_too_large", f"{money(due_minor - sums.open_minor)} left")
        self._db.execute(
            "UPDATE parts SET open_until = 0"
            " WHERE merchant_id = ? AND part_of = ? AND terminal_id = ?",
            (whole.merchant_id, whole.order_no, opening.terminal_id),
        )
        self._db.execute(
            "INSERT INTO parts (merchant_id, order_no, part_of, part_id, amount_minor,"
            " terminal_id, open_until) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                whole.merchant_id,
                number,
                whole.order_no,
                opening.part_id,
                opening.amount_minor,
                opening.terminal_id,
                now_s + HELD_S,
            ),
        )
        return msgspec.structs.replace(whole, order_no=number, amount_minor=opening.amount_minor)

    def shown(self, order: OrderState, whole: OrderState | None, now_s: float) -> OrderState:
        """An order as it is answered: less its paid parts; a part that has lapsed is cancelled.

        Args:
            whole: the order that it is a part of.
        """
        if whole is None:
            left_minor = order.amount_minor - self.sums(order).paid_minor
            return msgspec.structs.replace(order, amount_minor=left_minor)
        if order.status not in ("00", "05"):
            return order
        row = self._db.execute(
            "SELECT open_until FROM parts WHERE merchant_id = ? AND order_no = ?",
            (order.merchant_id, order.order_no),
        ).fetchone()
        left_minor = whole.amount_minor - self.sums(whole).paid_minor
        is_open = order.status == whole.status == "00" and row[0] > now_s
        if is_open and order.amount_minor <= left_minor:
            return order
        return msgspec.structs.replace(order, status="04")

    def follow(self, whole: OrderState) -> OrderState:
        """An order after one of its parts has changed: paid by them, or to pay again."""
        is_covered = self.sums(whole).paid_minor >= whole.amount_minor
        if whole.status == "00" and is_covered:
            return msgspec.structs.replace(whole, status="01")
        if whole.status == "01" and not whole.rrn and not is_covered:
            return msgspec.structs.replace(whole, status="00")
        return whole
