"""Long lists read page by page, for commands that print them.

Each page is a transaction of its own that has ended before its rows are given out: whoever reads
slowly, such as a pager, keeps no old state of the books alive beside the running switch, and no
list has to fit into memory. Rows of one list may so be of slightly different moments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Row, Select, tuple_

PAGE_ROWS = 1_000


def pages(
    connection: Connection,
    query: Select[Any],
    key: Sequence[Column[Any]],
    *,
    descending: bool = False,
    limit: int | None = None,
) -> Iterator[Row[Any]]:
    """The rows of a query in the order of a key.

    Args:
        query: has the key's columns among its own, and no order yet.
        key: unique together, and never NULL.
        descending: the greatest first.
        limit: at most so many; None for all.
    """
    query = query.order_by(*(column.desc() if descending else column for column in key))
    place = tuple_(*key)
    after = query
    while limit is None or limit > 0:
        size = PAGE_ROWS if limit is None else min(PAGE_ROWS, limit)
        rows = connection.execute(after.limit(size)).all()
        connection.rollback()
        yield from rows
        if len(rows) < size:
            return
        last = tuple(rows[-1]._mapping[column] for column in key)
        after = query.where(place < last if descending else place > last)
        limit = None if limit is None else limit - size
