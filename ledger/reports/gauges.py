"""What a watcher of a running switch looks at every few seconds, in one read of the books.

Each query reads a partial index over what is unsettled, or the accounts, of which there are few;
none walks the journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select

from acquirer.ledger.accounts.postings import courier_account
from acquirer.ledger.owed.queues import Depth, depths
from acquirer.ledger.store.database import Session, Sql
from acquirer.ledger.store.schema import UNCONFIRMED, accounts, orders

_COURIERS = courier_account("")

UNCONFIRMED_BY_MERCHANT = Sql(
    # Not those that their merchant says are paid: by their parts, or elsewhere.
    select(orders.c.merchant_id, func.count(orders.c.payment_id))
    .where(UNCONFIRMED, orders.c.payment_id.is_not(None))
    .group_by(orders.c.merchant_id)
)
CASH = Sql(
    select(
        accounts.c.name,
        accounts.c.currency_code,
        accounts.c.debits_posted - accounts.c.credits_posted,
    ).where(accounts.c.name.like(_COURIERS + "%"))
)


@dataclass(frozen=True, slots=True)
class Gauges:
    """The books at one moment.

    Attributes:
        depths: queue lengths by bank, and as ``""`` for merchants.
        unconfirmed: by merchant, orders whose payment nobody has confirmed yet.
        cash_minor: by courier and currency, minor units that the courier owes.
    """

    depths: Mapping[str, Depth]
    unconfirmed: Mapping[str, int]
    cash_minor: Mapping[tuple[str, str], int]


def gauges(session: Session) -> Gauges:
    """See :class:`Gauges`."""
    return Gauges(
        depths(session),
        {row[0]: row[1] for row in session.rows(UNCONFIRMED_BY_MERCHANT)},
        {(row[0].removeprefix(_COURIERS), row[1]): row[2] for row in session.rows(CASH)},
    )
