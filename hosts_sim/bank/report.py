"""What the bank's books say, for its command line: rows and totals. Reads only.

It works while the simulator runs (SQLite WAL). Amounts are minor units; card numbers are masked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from acquirer.hosts_sim.bank.schema import open_for_reading

Row = dict[str, Any]

# What an approved row does to the acquirer's claim on the bank: a void has no amount of its own,
# the sale that it undid has none any more.
_BOOKED = (
    "CASE WHEN t.state <> 'approved' THEN 0"
    " WHEN t.kind IN ('sale', 'advice', 'completion', 'tip') THEN t.amount_minor"
    " WHEN t.kind = 'refund' THEN -t.amount_minor ELSE 0 END"
)
_TRANSACTIONS = f"""
SELECT t.rrn, t.stan, t.terminal_id, t.merchant_id, t.kind, t.mti, t.transmission_at,
    t.masked AS pan, t.amount_minor, t.currency_code, t.state, t.response_code, t.approval_code,
    {_BOOKED} AS booked_minor, o.rrn AS original_rrn, t.business_date, t.created_at
FROM transactions t LEFT JOIN transactions o ON o.id = t.original_id
WHERE ?1 = 0
    OR t.id > coalesce((SELECT id FROM transactions ORDER BY id DESC LIMIT 1 OFFSET ?1), -1)
ORDER BY t.id
"""
_REVERSALS = """
SELECT r.rrn, r.stan AS original_stan, r.transmission_at AS original_transmission_at,
    r.terminal_id, r.amount_minor, r.reason, r.response_code, r.attempts,
    t.rrn AS original_rrn, r.business_date, r.created_at
FROM reversals r LEFT JOIN transactions t ON t.id = r.transaction_id
WHERE ?1 = 0
    OR r.id > coalesce((SELECT id FROM reversals ORDER BY id DESC LIMIT 1 OFFSET ?1), -1)
ORDER BY r.id
"""
_BY_STATE = f"""
SELECT t.kind, t.state, count(*) AS count, sum(t.amount_minor) AS amount_minor,
    sum({_BOOKED}) AS booked_minor
FROM transactions t GROUP BY t.kind, t.state ORDER BY t.kind, t.state
"""


@contextmanager
def transactions(folder: str | Path, limit: int = 0) -> Iterator[dict[str, Iterator[Row]]]:
    """Rows of the books, oldest first, read as they are asked for.

    Args:
        folder: where the books lie.
        limit: newest rows of each kind to give; 0 means all.

    Returns:
        ``{"transactions": [...], "reversals": [...]}``.

    Raises:
        BooksError: there are no books.
    """
    with closing(open_for_reading(folder)) as db:
        yield {
            "transactions": map(dict, db.execute(_TRANSACTIONS, (limit,))),
            "reversals": map(dict, db.execute(_REVERSALS, (limit,))),
        }


def totals(folder: str | Path) -> dict[str, Any]:
    """Counts and sums.

    Returns:
        ``{"totals": {"by_kind": [{"kind", "state", "count", "amount_minor", "booked_minor"}],
        "reversals": {"count", "unknown_count"}, "net_approved_minor", "accounts_minor"}}``.

    Raises:
        BooksError: there are no books.
    """
    db = open_for_reading(folder)
    try:
        by_kind = [dict(row) for row in db.execute(_BY_STATE)]
        reversals = dict(
            db.execute(
                "SELECT count(*) AS count, count(*) - count(transaction_id) AS unknown_count"
                " FROM reversals"
            ).fetchone()
        )
        (accounts_minor,) = db.execute(
            "SELECT coalesce(sum(balance_minor), 0) FROM accounts"
        ).fetchone()
    finally:
        db.close()
    return {
        "totals": {
            "by_kind": by_kind,
            "reversals": reversals,
            "net_approved_minor": sum(row["booked_minor"] for row in by_kind),
            "accounts_minor": accounts_minor,
        }
    }
