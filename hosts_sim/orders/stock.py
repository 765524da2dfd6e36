"""A shop's price list and stock: orders that come into being at the till, and what they move.

The tables lie in the file of ``store.py`` and change in its transactions, so that an order and its
goods never differ. Stock is its opening plus all movements; movements are only ever added. They
are ordered by when things happened, not by when the notice came: a sale that is told after a later
count was already counted, so the count's difference shrinks by it and the stock stays.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

import msgspec

from acquirer.config.estate import Item
from acquirer.hosts_sim.orders.lifecycle import OrderState

Kind = Literal["sale", "stock_in", "count"]
AMOUNT_MAX = 999_999_999_999
TEXT_CHARACTERS_MAX = 500
# Statuses of an order whose goods have changed hands.
MOVED = frozenset({"01", "02", "03"})

SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    merchant_id TEXT NOT NULL, code TEXT NOT NULL, barcode TEXT NOT NULL, name TEXT NOT NULL,
    price_minor INTEGER NOT NULL CHECK (price_minor >= 0), currency_code TEXT NOT NULL,
    opening INTEGER NOT NULL, stock INTEGER NOT NULL,
    PRIMARY KEY (merchant_id, code)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS uq_items_barcode ON items (merchant_id, barcode)
    WHERE barcode <> '';
CREATE TABLE IF NOT EXISTS shop_orders (
    merchant_id TEXT NOT NULL, order_no TEXT NOT NULL, kind TEXT NOT NULL, lines TEXT NOT NULL,
    moved_at TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (merchant_id, order_no)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shop_lines (
    merchant_id TEXT NOT NULL, order_no TEXT NOT NULL, code TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity >= 0),
    PRIMARY KEY (merchant_id, order_no, code)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ix_shop_lines_item ON shop_lines (merchant_id, code);
CREATE TABLE IF NOT EXISTS movements (
    seq INTEGER PRIMARY KEY, merchant_id TEXT NOT NULL, code TEXT NOT NULL,
    order_no TEXT NOT NULL, kind TEXT NOT NULL, cause TEXT NOT NULL, quantity INTEGER NOT NULL,
    at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS ix_movements_item ON movements (merchant_id, code, at);
CREATE INDEX IF NOT EXISTS ix_movements_order ON movements (merchant_id, order_no);
"""
_INSERT_ITEM = """
INSERT OR IGNORE INTO items
    (merchant_id, code, barcode, name, price_minor, currency_code, opening, stock)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_ITEM = """
SELECT code, barcode, name, price_minor, currency_code, stock FROM items
WHERE merchant_id = ? AND (code = ? OR (barcode = ? AND barcode <> ''))
ORDER BY code <> ? LIMIT 1
"""
_NEXT_COUNT = """
SELECT o.order_no, o.moved_at FROM shop_lines l JOIN shop_orders o USING (merchant_id, order_no)
WHERE l.merchant_id = ? AND l.code = ? AND o.kind = 'count' AND o.moved_at > ?
ORDER BY o.moved_at LIMIT 1
"""


class Line(msgspec.Struct, frozen=True):
    """So much of an item, named by its code or its barcode."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=20)]
    quantity: Annotated[int, msgspec.Meta(ge=0, le=99_999)]


class Opening(msgspec.Struct, frozen=True):
    """The posted document that has an order come into being."""

    order_no: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    merchant_id: Annotated[str, msgspec.Meta(min_length=1, max_length=15)]
    kind: Kind
    lines: Annotated[tuple[Line, ...], msgspec.Meta(min_length=1, max_length=50)]
    terminal_id: str
    courier_id: str


class Refused(msgspec.Struct, frozen=True):
    """An order that is not opened: ``conflict``, or what is wrong with its lines."""

    error: Literal["conflict", "unknown_item", "quantity", "not_enough_stock", "too_much"]
    detail: str


class PricedItem(msgspec.Struct, frozen=True):
    """An item of the price list as it stands now."""

    code: str
    barcode: str
    name: str
    price_minor: int
    currency_code: str
    stock: int

    def as_order(self, merchant_id: str, asked: str) -> OrderState:
        """What a query of the item's code or barcode shows: nothing to pay, and no way to."""
        return OrderState(
            merchant_id=merchant_id,
            order_no=asked,
            amount_minor=0,
            currency_code=self.currency_code,
            pay_ways="",
            text=f"{self.name}|单价 Price {money(self.price_minor)}|库存 Stock {self.stock}",
            status="06",
        )

    def fields(self) -> dict[str, str]:
        """For the words of whoever shows it."""
        price, stock = money(self.price_minor), str(self.stock)
        fields = {"code": self.code, "barcode": self.barcode, "name": self.name}
        return fields | {"price": price, "stock": stock}


def money(amount_minor: int) -> str:
    """Minor units with two places.

    >>> money(1205)
    '12.05'
    """
    return f"{amount_minor // 100}.{amount_minor % 100:02d}"


class Stock:
    """Price list and stock in an open file; every change is inside the caller's transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def seed(self, items: Iterable[Item], currencies: Mapping[str, str]) -> None:
        """Put in the items that are not there yet; those that are stay as they are."""
        self._db.executemany(
            _INSERT_ITEM,
            [
                (
                    item.merchant_id,
                    item.code,
                    item.barcode,
                    item.name,
                    item.price_minor,
                    currencies.get(item.merchant_id, "156"),
                    item.stock,
                    item.stock,
                )
                for item in items
            ],
        )

    def item(self, merchant_id: str, code: str) -> PricedItem | None:
        """An item by its code or barcode."""
        row = self._db.execute(_ITEM, (merchant_id, code, code, code)).fetchone()
        return None if row is None else PricedItem(*row)

    def is_same(self, opening: Opening) -> bool:
        """Whether the order of this number was opened by this very document."""
        row = self._db.execute(
            "SELECT kind, lines FROM shop_orders WHERE merchant_id = ? AND order_no = ?",
            (opening.merchant_id, opening.order_no),
        ).fetchone()
        return row is not None and row == (opening.kind, _as_text(opening.lines))

    def open(self, opening: Opening) -> OrderState | Refused:
        """Price the lines and keep them; the order itself is the caller's to keep."""
        found: dict[str, PricedItem] = {}
        wanted: Counter[str] = Counter()
        for line in opening.lines:
            item = self.item(opening.merchant_id, line.code)
            if item is None:
                return Refused("unknown_item", line.code)
            if line.quantity == 0 and opening.kind != "count":
                return Refused("quantity", f"{item.name} × 0")
            found[item.code] = item
            wanted[item.code] += line.quantity
        if opening.kind == "sale":
            for code, item in found.items():
                if item.stock < wanted[code]:
                    return Refused("not_enough_stock", f"{item.name}: {item.stock} in stock")
        order = _order(opening, found, wanted)
        if order.amount_minor > AMOUNT_MAX:
            return Refused("too_much", money(order.amount_minor))
        key = (opening.merchant_id, opening.order_no)
        self._db.execute(
            "INSERT INTO shop_orders (merchant_id, order_no, kind, lines) VALUES (?, ?, ?, ?)",
            (*key, opening.kind, _as_text(opening.lines)),
        )
        self._db.executemany(
            "INSERT INTO shop_lines (merchant_id, order_no, code, quantity) VALUES (?, ?, ?, ?)",
            [(*key, code, wanted[code]) for code in found],
        )
        return order

    def follow(self, before: OrderState, after: OrderState, at: str) -> None:
        """Move the goods of an order whose status has changed, or move them back.

        Args:
            at: timestamp of the event that changed it.
        """
        if (before.status in MOVED) == (after.status in MOVED):
            return
        key = (after.merchant_id, after.order_no)
        row = self._db.execute(
            "SELECT kind, moved_at FROM shop_orders WHERE merchant_id = ? AND order_no = ?", key
        ).fetchone()
        if row is None:
            return
        kind, moved_at = row
        lines = self._db.execute(
            "SELECT code, quantity FROM shop_lines WHERE merchant_id = ? AND order_no = ?", key
        ).fetchall()
        if after.status in MOVED:
            for code, quantity in lines:
                delta = {"sale": -quantity, "stock_in": quantity}.get(kind)
                if delta is None:
                    delta = quantity - self._stock_at(after.merchant_id, code, at)
                self._move((*key, code), kind, "done", delta, at)
            self._moved(key, at)
            return
        # A cancellation brings goods back when it happens. What a reversal undoes never was, and
        # a count that does not hold was never made.
        back_at = at if after.status == "04" and kind != "count" else moved_at
        self._moved(key, "")
        for code, _ in lines:
            self._move((*key, code), kind, "undone", -self._moved_by((*key, code)), back_at)

    def _moved(self, key: tuple[str, str], at: str) -> None:
        self._db.execute(
            "UPDATE shop_orders SET moved_at = ? WHERE merchant_id = ? AND order_no = ?", (at, *key)
        )

    def _move(
        self, line: tuple[str, str, str], kind: str, cause: str, quantity: int, at: str
    ) -> None:
        """One movement, and what it changes about the next count of the item."""
        merchant_id, _, code = line
        self._write(line, kind, cause, quantity, at)
        count = self._db.execute(_NEXT_COUNT, (merchant_id, code, at)).fetchone()
        if count is not None and quantity:
            counted_no, counted_at = count
            self._write((merchant_id, counted_no, code), "count", "known", -quantity, counted_at)

    def _write(
        self, line: tuple[str, str, str], kind: str, cause: str, quantity: int, at: str
    ) -> None:
        merchant_id, order_no, code = line
        self._db.execute(
            "INSERT INTO movements (merchant_id, order_no, code, kind, cause, quantity, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (merchant_id, order_no, code, kind, cause, quantity, at),
        )
        self._db.execute(
            "UPDATE items SET stock = stock + ? WHERE merchant_id = ? AND code = ?",
            (quantity, merchant_id, code),
        )

    def _stock_at(self, merchant_id: str, code: str, at: str) -> int:
        """What the books say was there at a time that may lie behind later movements."""
        row = self._db.execute(
            "SELECT stock - (SELECT COALESCE(SUM(quantity), 0) FROM movements"
            " WHERE merchant_id = ?1 AND code = ?2 AND at > ?3)"
            " FROM items WHERE merchant_id = ?1 AND code = ?2",
            (merchant_id, code, at),
        ).fetchone()
        return int(row[0])

    def _moved_by(self, line: tuple[str, str, str]) -> int:
        row = self._db.execute(
            "SELECT COALESCE(SUM(quantity), 0) FROM movements"
            " WHERE merchant_id = ? AND order_no = ? AND code = ?",
            line,
        ).fetchone()
        return int(row[0])


def _order(
    opening: Opening, found: Mapping[str, PricedItem], wanted: Mapping[str, int]
) -> OrderState:
    """The order as it is shown and paid: a sale by card or cash, anything else by nothing."""
    texts = []
    amount_minor = 0
    for code, item in found.items():
        quantity = wanted[code]
        if opening.kind == "sale":
            sum_minor = quantity * item.price_minor
            amount_minor += sum_minor
            texts.append(f"{item.name} {quantity} × {money(item.price_minor)} {money(sum_minor)}")
        elif opening.kind == "stock_in":
            texts.append(f"{item.name} +{quantity}")
        else:
            texts.append(f"{item.name} {item.stock} → {quantity}")
    return OrderState(
        merchant_id=opening.merchant_id,
        order_no=opening.order_no,
        amount_minor=amount_minor,
        currency_code=next(iter(found.values())).currency_code,
        pay_ways="12" if amount_minor else "3",
        text="|".join(texts)[:TEXT_CHARACTERS_MAX],
        status="00" if amount_minor else "06",
    )


def _as_text(lines: Iterable[Line]) -> str:
    return msgspec.json.encode(list(lines)).decode()


class ItemRow(msgspec.Struct, frozen=True):
    """An item of the price list as the command line shows it."""

    merchant_id: str
    code: str
    barcode: str
    name: str
    price_minor: int
    currency_code: str
    stock: int


class StockRow(msgspec.Struct, frozen=True):
    """An item's stock as the command line shows it; ``stock`` is the sum of the others.

    Attributes:
        sold: moved by sales, negative; less what came back.
        taken_in: moved by stock taken in, less what was given back.
        counted: differences that counts found.
    """

    merchant_id: str
    code: str
    name: str
    opening: int
    taken_in: int
    sold: int
    counted: int
    stock: int


class MovementRow(msgspec.Struct, frozen=True):
    """One movement as the command line shows it, in the order of their arrival.

    Attributes:
        kind: of the order that moved it.
        cause: ``done``; ``undone`` by a reversal or cancellation; ``known`` where a count had seen
            what was told later.
        at: when it happened, RFC 3339 in UTC.
    """

    seq: int
    merchant_id: str
    code: str
    order_no: str
    kind: str
    cause: str
    quantity: int
    at: str


ITEM_ROWS = """
SELECT merchant_id, code, barcode, name, price_minor, currency_code, stock FROM items
ORDER BY merchant_id, code
"""
STOCK_ROWS = """
SELECT i.merchant_id, i.code, i.name, i.opening, i.stock,
    COALESCE(SUM(m.quantity) FILTER (WHERE m.kind = 'stock_in'), 0) AS taken_in,
    COALESCE(SUM(m.quantity) FILTER (WHERE m.kind = 'sale'), 0) AS sold,
    COALESCE(SUM(m.quantity) FILTER (WHERE m.kind = 'count'), 0) AS counted
FROM items i LEFT JOIN movements m USING (merchant_id, code)
GROUP BY i.merchant_id, i.code ORDER BY i.merchant_id, i.code
"""
MOVEMENT_ROWS = "SELECT * FROM movements ORDER BY seq"
