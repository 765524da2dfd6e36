"""What a merchant took in on one business day, by means of payment: a till's own report.

One read of an index by merchant, day and kind, run by the writer on its own connection, so that a
terminal may ask for it while others pay. ``acquirer report`` has more, for whoever can wait.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, func, literal_column, select, text

from acquirer.codecs.order_codes import means_of
from acquirer.ledger.journal.kinds import KINDS, TAKINGS, Kind
from acquirer.ledger.store.database import Session, Sql
from acquirer.ledger.store.schema import journal

QUERY = Sql(
    select(
        journal.c.kind, journal.c.processing_code, func.count(), func.sum(journal.c.amount_minor)
    )
    .where(
        journal.c.kind.in_([literal_column(f"'{kind}'") for kind in sorted(TAKINGS)]),
        journal.c.merchant_id == bindparam("merchant"),
        journal.c.business_date == bindparam("day"),
        journal.c.currency_code == bindparam("currency"),
        text("journal.state IN ('approved', 'refunded')"),
    )
    .group_by(journal.c.kind, journal.c.processing_code)
)


@dataclass(slots=True)
class Takings:
    """Counts and sums in minor units; a refund does not lessen what was paid, it stands beside it.

    Attributes:
        none_count: orders with nothing to pay, a shop's own among them.
    """

    card_count: int = 0
    card_minor: int = 0
    cash_count: int = 0
    cash_minor: int = 0
    none_count: int = 0
    refund_count: int = 0
    refund_minor: int = 0

    @property
    def total_minor(self) -> int:
        """Paid less refunded."""
        return self.card_minor + self.cash_minor - self.refund_minor


def takings(session: Session, merchant_id: str, business_date: str, currency_code: str) -> Takings:
    """Payments that stand, and refunds, of one business date (YYYY-MM-DD) and currency."""
    found = Takings()
    names = {"merchant": merchant_id, "day": business_date, "currency": currency_code}
    for kind, processing_code, count, amount_minor in session.rows(QUERY, **names):
        gives_back = bool(KINDS[Kind(kind)].gives_back)
        means = "back" if gives_back else means_of(processing_code)
        count = 0 if KINDS[Kind(kind)].adds else count
        # PostgreSQL sums integers to a decimal.
        if means == "card":
            found.card_count += count
            found.card_minor += int(amount_minor)
        elif means == "cash":
            found.cash_count += count
            found.cash_minor += int(amount_minor)
        elif means == "back":
            found.refund_count += count
            found.refund_minor += int(amount_minor)
        else:
            found.none_count += count
    return found
