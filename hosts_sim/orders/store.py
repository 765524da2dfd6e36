"""The merchant's books: orders and the log of every event that came, in one SQLite file.

Synchronous. Durable when a call returns (WAL, ``synchronous=FULL``); one call may take many
events in one transaction. Other processes may read while the simulator runs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from acquirer.config.estate import Item, Order
from acquirer.hosts_sim.orders.errors import NoBooksError, StoreError
from acquirer.hosts_sim.orders.lifecycle import (
    STATES,
    Applied,
    EventDocument,
    History,
    OrderState,
    decide,
)
from acquirer.hosts_sim.orders.parts import SCHEMA as PARTS_SCHEMA
from acquirer.hosts_sim.orders.parts import PartOpening, PartRefused, Parts
from acquirer.hosts_sim.orders.stock import (
    ITEM_ROWS,
    MOVEMENT_ROWS,
    SCHEMA,
    STOCK_ROWS,
    ItemRow,
    MovementRow,
    Opening,
    PricedItem,
    Refused,
    Stock,
    StockRow,
)

FILE_NAME = "order-sim.sqlite3"
Result = Literal["applied", "repeated", "history", "unknown_order", "not_yet", "impossible"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    merchant_id TEXT NOT NULL, order_no TEXT NOT NULL,
    amount_minor INTEGER NOT NULL CHECK (amount_minor >= 0), currency_code TEXT NOT NULL,
    pay_ways TEXT NOT NULL, text TEXT NOT NULL, status TEXT NOT NULL,
    rrn TEXT NOT NULL DEFAULT '', stan TEXT NOT NULL DEFAULT '',
    approval_code TEXT NOT NULL DEFAULT '', terminal_id TEXT NOT NULL DEFAULT '',
    courier_id TEXT NOT NULL DEFAULT '', means TEXT NOT NULL DEFAULT '',
    signed_by TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '',
    newest_at TEXT NOT NULL DEFAULT '', refunded_minor INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (merchant_id, order_no)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    merchant_id TEXT NOT NULL, order_no TEXT NOT NULL, type TEXT NOT NULL,
    timestamp TEXT NOT NULL, result TEXT NOT NULL, reason TEXT NOT NULL,
    deliveries INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS ix_events_order ON events (merchant_id, order_no);
"""
# A file of an earlier version has no such column.
_ORDER_COLUMNS = "PRAGMA table_info(orders)"
_ADD_REFUNDED = "ALTER TABLE orders ADD COLUMN refunded_minor INTEGER NOT NULL DEFAULT 0"
_COLUMNS = OrderState.__struct_fields__
_SELECT_ORDER = f"SELECT {', '.join(_COLUMNS)} FROM orders WHERE merchant_id = ? AND order_no = ?"
_INSERT_ORDER = (
    f"INSERT OR IGNORE INTO orders ({', '.join(_COLUMNS)})"
    f" VALUES ({', '.join('?' * len(_COLUMNS))})"
)
_KEY = ("merchant_id", "order_no")
_CHANGED = tuple(name for name in _COLUMNS if name not in _KEY)
_UPDATE_ORDER = (
    f"UPDATE orders SET {', '.join(f'{name} = ?' for name in _CHANGED)}"
    " WHERE merchant_id = ? AND order_no = ?"
)
_LOG_EVENT = """
INSERT INTO events (id, merchant_id, order_no, type, timestamp, result, reason, deliveries, body)
VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?)
ON CONFLICT (id) DO UPDATE SET
    result = excluded.result, reason = excluded.reason, deliveries = deliveries + 1
"""
_DONE = frozenset({"applied", "history"})


class Received(msgspec.Struct, frozen=True):
    """A signed event as it came."""

    id: str
    document: EventDocument
    body: bytes


class Outcome(msgspec.Struct, frozen=True):
    """What became of an event, as committed."""

    result: Result
    reason: str = ""


class OrderRow(msgspec.Struct, frozen=True):
    """An order as the command line shows it; ``state`` is the status in words.

    Attributes:
        events: events that were accepted for it.
        refused: events of it that were not.
        refunded_minor: what was given back of its payment.
    """

    order_no: str
    merchant_id: str
    amount_minor: int
    currency_code: str
    state: str
    status: str
    means: str
    rrn: str
    stan: str
    terminal_id: str
    courier_id: str
    approval_code: str
    signed_by: str
    reason: str
    events: int
    refused: int
    refunded_minor: int = 0


class EventRow(msgspec.Struct, frozen=True):
    """An event of the log as the command line shows it."""

    id: str
    merchant_id: str
    order_no: str
    type: str
    timestamp: str
    result: str
    reason: str
    deliveries: int


class OrderStore:
    """The books of a running simulator; close it when done."""

    def __init__(self, folder: Path) -> None:
        """Open or create.

        Raises:
            StoreError: the file cannot be used.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(folder / FILE_NAME, isolation_level=None, timeout=5)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA + SCHEMA + PARTS_SCHEMA)
            if "refunded_minor" not in [row[1] for row in self._db.execute(_ORDER_COLUMNS)]:
                self._db.execute(_ADD_REFUNDED)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{folder / FILE_NAME}: {error}") from None
        self._stock = Stock(self._db)
        self._parts = Parts(self._db)

    @property
    def connection(self) -> sqlite3.Connection:
        """The open file, for reading by whoever holds the simulator in its own process."""
        return self._db

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def seed(
        self, orders: Iterable[Order], currencies: dict[str, str], items: Iterable[Item] = ()
    ) -> None:
        """Put in the orders and items that are not there yet; those that are stay as they are.

        Args:
            currencies: currency code by merchant id.
            items: the merchants' price lists, with the stock that each begins with.
        """
        rows = [
            msgspec.structs.astuple(
                OrderState(
                    merchant_id=order.merchant_id,
                    order_no=order.order_no,
                    amount_minor=order.amount_minor,
                    currency_code=currencies.get(order.merchant_id, "156"),
                    pay_ways=order.pay_ways,
                    text=order.text,
                    status="00" if order.amount_minor else "06",
                )
            )
            for order in orders
        ]
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(_INSERT_ORDER, rows)
            self._stock.seed(items, currencies)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise StoreError(str(error)) from None

    def order(self, merchant_id: str, order_no: str) -> OrderState | None:
        """One order, or None.

        Raises:
            StoreError: the file cannot be read.
        """
        try:
            row = self._db.execute(_SELECT_ORDER, (merchant_id, order_no)).fetchone()
        except sqlite3.Error as error:
            raise StoreError(str(error)) from None
        return None if row is None else OrderState(*row)

    def shown(self, order: OrderState, now_s: float) -> tuple[OrderState, str]:
        """An order as it is answered, and the order that it is a part of.

        Raises:
            StoreError: the file cannot be read.
        """
        try:
            whole_no = self._parts.part_of(order)
            whole = self.order(order.merchant_id, whole_no) if whole_no else None
            return self._parts.shown(order, whole, now_s), whole_no
        except sqlite3.Error as error:
            raise StoreError(str(error)) from None

    def item(self, merchant_id: str, code: str) -> PricedItem | None:
        """An item of a merchant's price list, by code or barcode.

        Raises:
            StoreError: the file cannot be read.
        """
        try:
            return self._stock.item(merchant_id, code)
        except sqlite3.Error as error:
            raise StoreError(str(error)) from None

    def open(self, opening: Opening) -> OrderState | Refused:
        """Have an order come into being, or give it as it is where it was opened before.

        Raises:
            StoreError: nothing was written.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            outcome: OrderState | Refused | None
            outcome = self.order(opening.merchant_id, opening.order_no)
            if outcome is not None and not self._stock.is_same(opening):
                outcome = Refused("conflict", opening.order_no)
            elif outcome is None:
                outcome = self._stock.open(opening)
                if isinstance(outcome, OrderState):
                    self._db.execute(_INSERT_ORDER, msgspec.structs.astuple(outcome))
            self._db.execute("COMMIT")
        except (sqlite3.Error, StoreError) as error:
            self._roll_back()
            raise StoreError(str(error)) from None
        return outcome

    def open_part(self, opening: PartOpening, now_s: float) -> OrderState | PartRefused:
        """Have a part of an order come into being, or give it as it is where it was opened before.

        Raises:
            StoreError: nothing was written.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            outcome = self._open_part(opening, now_s)
            self._db.execute("COMMIT")
        except (sqlite3.Error, StoreError) as error:
            self._roll_back()
            raise StoreError(str(error)) from None
        return outcome

    def _open_part(self, opening: PartOpening, now_s: float) -> OrderState | PartRefused:
        number = self._parts.opened(opening)
        if isinstance(number, PartRefused):
            return number
        order = self.order(opening.merchant_id, number or opening.of)
        if order is None:
            return PartRefused("unknown_order", opening.of)
        if number is not None:
            return order
        part = self._parts.open(opening, order, now_s)
        if isinstance(part, OrderState):
            self._db.execute(_INSERT_ORDER, msgspec.structs.astuple(part))
        return part

    def take(self, events: Sequence[Received]) -> list[Outcome]:
        """Decide on events one after another and keep orders and log, in one transaction.

        Raises:
            StoreError: nothing of it was written.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            outcomes = [self._take(event) for event in events]
            self._db.execute("COMMIT")
        except (sqlite3.Error, StoreError) as error:
            self._roll_back()
            raise StoreError(str(error)) from None
        return outcomes

    def _take(self, event: Received) -> Outcome:
        known = self._db.execute(
            "SELECT result, reason, body FROM events WHERE id = ?", (event.id,)
        ).fetchone()
        if known is not None and known[2] != event.body:
            return Outcome("impossible", "another event under a used id")
        if known is not None and known[0] in _DONE:
            self._db.execute(
                "UPDATE events SET deliveries = deliveries + 1 WHERE id = ?", (event.id,)
            )
            return Outcome("repeated")
        outcome = self._decide(event)
        document = event.document
        self._db.execute(
            _LOG_EVENT,
            (
                event.id,
                document.data.merchant_id,
                document.data.order_no,
                document.type,
                document.timestamp,
                outcome.result,
                outcome.reason,
                event.body,
            ),
        )
        return outcome

    def _decide(self, event: Received) -> Outcome:
        facts = event.document.data
        order = self.order(facts.merchant_id, facts.order_no)
        if order is None:
            return Outcome("unknown_order", "no such order")
        sums = self._parts.sums(order)
        left_minor = order.amount_minor - sums.paid_minor if sums.count else None
        decision = decide(order, event.document, left_minor)
        if isinstance(decision, Applied):
            self._change(order, decision.order, event.document.timestamp)
            if whole_no := self._parts.part_of(order):
                whole = self.order(order.merchant_id, whole_no)
                assert whole is not None
                self._change(whole, self._parts.follow(whole), event.document.timestamp)
            return Outcome("applied")
        if isinstance(decision, History):
            return Outcome("history", "newer events have been applied")
        return Outcome("not_yet" if decision.not_yet else "impossible", decision.reason)

    def _change(self, before: OrderState, after: OrderState, at: str) -> None:
        """Write what has become of an order; its goods follow."""
        values = [getattr(after, name) for name in _CHANGED]
        self._db.execute(_UPDATE_ORDER, (*values, before.merchant_id, before.order_no))
        self._stock.follow(before, after, at)

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.rollback()


_ORDER_ROWS = """
SELECT o.*, COALESCE(e.accepted, 0) AS events, COALESCE(e.refused, 0) AS refused
FROM orders o LEFT JOIN (
    SELECT merchant_id, order_no,
        SUM(result IN ('applied', 'history')) AS accepted,
        SUM(result NOT IN ('applied', 'history')) AS refused
    FROM events GROUP BY merchant_id, order_no
) e USING (merchant_id, order_no)
ORDER BY o.merchant_id, o.order_no
"""


def read_orders(folder: Path) -> list[OrderRow]:
    """All orders, also while the simulator runs.

    Raises:
        NoBooksError: there are no books.
        StoreError: the file cannot be read.
    """
    rows = _read(folder, _ORDER_ROWS)
    return [msgspec.convert({**row, "state": STATES[str(row["status"])]}, OrderRow) for row in rows]


def read_events(folder: Path) -> list[EventRow]:
    """The log of events in the order of their first arrival; raises as :func:`read_orders`."""
    return [
        msgspec.convert(row, EventRow) for row in _read(folder, "SELECT * FROM events ORDER BY seq")
    ]


def read_items(folder: Path) -> list[ItemRow]:
    """All price lists, with what is in stock; raises as :func:`read_orders`."""
    return [msgspec.convert(row, ItemRow) for row in _read(folder, ITEM_ROWS)]


def read_stock(folder: Path) -> list[StockRow]:
    """What was there at first and what moved it since; raises as :func:`read_orders`."""
    return [msgspec.convert(row, StockRow) for row in _read(folder, STOCK_ROWS)]


def read_movements(folder: Path) -> list[MovementRow]:
    """All movements of goods; raises as :func:`read_orders`."""
    return [msgspec.convert(row, MovementRow) for row in _read(folder, MOVEMENT_ROWS)]


def _read(folder: Path, statement: str) -> list[dict[str, object]]:
    file = folder / FILE_NAME
    if not file.is_file():
        raise NoBooksError(f"{folder}: no {FILE_NAME} here; has `acquirer order-sim` run on it?")
    try:
        connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=5)
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(statement)]
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreError(f"{file}: {error}") from None
