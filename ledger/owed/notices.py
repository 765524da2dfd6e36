"""Notices to merchants' order systems: the outbox, of which one owner takes what is due.

Each query reads a partial index over what is not delivered. Functions over a session, run by the
writer inside its transaction; ``claims.py`` says what a claim is.
"""

from __future__ import annotations

from sqlalchemy import Text, bindparam, case, literal_column, or_, select, text, update

from acquirer.ledger.journal.entries import Event
from acquirer.ledger.owed.claims import free, owner_prefixes, take
from acquirer.ledger.store.database import Session, Sql
from acquirer.ledger.store.rows import event_of
from acquirer.ledger.store.schema import outbox

# No pause between attempts is as long as this: what is due later is so by a clock that was wrong.
NOTICE_PAUSE_MAX_MS = 7_200_000
_EVENT_COLUMNS = tuple(outbox.columns)[1:9]
_earlier = outbox.alias("earlier")

# A dead letter keeps its place: what follows it in its order waits until an operator has
# replayed it, because order.cancelled must never overtake order.paid.
_DUE_EVENTS = Sql(
    select(*_EVENT_COLUMNS)
    .where(
        outbox.c.delivered_at_ms.is_(None),
        outbox.c.dead_at_ms.is_(None),
        or_(
            outbox.c.next_at_ms <= bindparam("now_ms"),
            outbox.c.next_at_ms > bindparam("now_ms") + NOTICE_PAUSE_MAX_MS,
        ),
        free(outbox),
        ~select(_earlier.c.seq)
        .where(
            _earlier.c.delivered_at_ms.is_(None),
            _earlier.c.merchant_id == outbox.c.merchant_id,
            _earlier.c.order_no == outbox.c.order_no,
            _earlier.c.seq < outbox.c.seq,
        )
        .exists(),
    )
    .order_by(text("+outbox.seq"))
    .limit(bindparam("row_limit"))
    .with_for_update(skip_locked=True, of=outbox)
)
_TAKE_EVENT = take(outbox, "id")

# The newest attempts of a notice; the text of the oldest is cut off where there are too many.
ATTEMPT_LOG_CHARACTERS_MAX = 16_384
_NEW_ATTEMPT = bindparam("new_attempt", type_=Text)
_LOGGED = literal_column(
    f"CASE WHEN length(attempt_log) > {ATTEMPT_LOG_CHARACTERS_MAX} THEN"
    f" substr(attempt_log, length(attempt_log) - {ATTEMPT_LOG_CHARACTERS_MAX - 1})"
    " ELSE attempt_log END",
    Text,
).op("||")(_NEW_ATTEMPT)
# A notice may be given up without a further attempt.
_ONE_MORE = case(
    (_NEW_ATTEMPT == literal_column("''"), literal_column("0")), else_=literal_column("1")
)

FINISH_EVENT = Sql(
    update(outbox)
    .where(outbox.c.id == bindparam("key"), outbox.c.delivered_at_ms.is_(None))
    .values(
        delivered_at_ms=bindparam("new_delivered_at_ms"),
        attempt_log=_LOGGED,
        owner="",
        lease_until_ms=0,
    )
)
RETRY_EVENT = Sql(
    update(outbox)
    .where(
        outbox.c.id == bindparam("key"),
        outbox.c.delivered_at_ms.is_(None),
        outbox.c.owner == bindparam("mine"),
    )
    .values(
        attempts=bindparam("new_attempts"),
        next_at_ms=bindparam("new_next_at_ms"),
        attempt_log=_LOGGED,
        owner="",
        lease_until_ms=0,
    )
)
KILL_EVENT = Sql(
    update(outbox)
    .where(outbox.c.id == bindparam("key"), outbox.c.delivered_at_ms.is_(None))
    .values(
        dead_at_ms=bindparam("now_ms"),
        dead_reason=bindparam("new_reason"),
        attempts=outbox.c.attempts + _ONE_MORE,
        attempt_log=_LOGGED,
        owner="",
        lease_until_ms=0,
    )
)
REPLAY_EVENT = Sql(
    update(outbox)
    .where(
        outbox.c.id == bindparam("key"),
        outbox.c.delivered_at_ms.is_(None),
        outbox.c.dead_at_ms.is_not(None),
    )
    .values(dead_at_ms=None, dead_reason="", attempts=0, next_at_ms=bindparam("new_next_at_ms"))
)


def claim_events(
    session: Session, owner: str, now_ms: int, lease_until_ms: int, limit: int
) -> list[Event]:
    """Lease due notices to ``owner``: of each order at most its oldest undelivered one."""
    rows = session.rows(_DUE_EVENTS, now_ms=now_ms, row_limit=limit, **owner_prefixes(owner))
    for row in rows:
        session.run(_TAKE_EVENT, key=row[0], new_owner=owner, new_lease_until_ms=lease_until_ms)
    return [event_of(row) for row in rows]
