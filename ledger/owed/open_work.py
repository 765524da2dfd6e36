"""What of the books is not done with, by whom it needs: read once, before a switch starts.

Dead letters are not in it: an operator decides about them, with nobody's help.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import and_, bindparam, func, select

from acquirer.ledger.owed.queues import SAF_WAITING
from acquirer.ledger.store.database import Session, Sql
from acquirer.ledger.store.schema import UNCONFIRMED, UNSETTLED, journal, orders, outbox

# Orders with notices that are looked at; more wait only where a merchant is away for long.
NOTICE_ORDERS_MAX = 10_000

IN_FLIGHT = Sql(select(journal.c.bank, func.count()).where(UNSETTLED).group_by(journal.c.bank))
OPEN_PAYMENTS = Sql(
    select(journal.c.bank, journal.c.merchant_id, func.count())
    .join(orders, orders.c.payment_id == journal.c.id)
    .where(UNCONFIRMED)
    .group_by(journal.c.bank, journal.c.merchant_id)
)
OPEN_NOTICES = Sql(
    select(outbox.c.merchant_id, outbox.c.order_no, func.count())
    .where(and_(outbox.c.delivered_at_ms.is_(None), outbox.c.dead_at_ms.is_(None)))
    .group_by(outbox.c.merchant_id, outbox.c.order_no)
    .limit(bindparam("row_limit"))
)


@dataclass(frozen=True, slots=True)
class OpenWork:
    """How much is open, by whom it needs.

    Attributes:
        in_flight: by bank, entries without an outcome.
        owed: by bank, messages that it has not answered.
        unconfirmed: by bank and merchant, order payments that nobody has confirmed; cash has no
            bank.
        notices: by merchant and order, notices that are not delivered.
    """

    in_flight: Mapping[str, int]
    owed: Mapping[str, int]
    unconfirmed: Mapping[tuple[str, str], int]
    notices: Mapping[tuple[str, str], int]


def open_work(session: Session) -> OpenWork:
    """See :class:`OpenWork`."""
    return OpenWork(
        {row[0]: row[1] for row in session.rows(IN_FLIGHT)},
        {row[0]: row[1] for row in session.rows(SAF_WAITING)},
        {(row[0], row[1]): row[2] for row in session.rows(OPEN_PAYMENTS)},
        {
            (row[0], row[1]): row[2]
            for row in session.rows(OPEN_NOTICES, row_limit=NOTICE_ORDERS_MAX)
        },
    )
