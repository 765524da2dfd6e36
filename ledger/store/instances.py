"""Who writes: one living process per instance name, each start of it an incarnation of its own.

On SQLite a file lock beside the database keeps a second switch off the same data folder; on
PostgreSQL an advisory lock on the writing connection keeps a second process off the same name,
and another, shared by all switches, keeps them off books that are being restored.
"""

from __future__ import annotations

import fcntl
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psycopg
from sqlalchemy import bindparam, func, insert, select, update

from acquirer.ledger.errors import BookUnavailable, InstanceTaken
from acquirer.ledger.store import statements as sql
from acquirer.ledger.store.book_files import lock_file
from acquirer.ledger.store.database import Session, Sql
from acquirer.ledger.store.schema import column_names, instances

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
# Held, shared, by every switch on PostgreSQL; no instance has such a name.
_SERVED = "acquirer#served"

_LAST = Sql(
    select(func.max(instances.c.incarnation)).where(instances.c.instance == bindparam("name"))
)
_CLOCK = ("seen_at_ms", "steady_since_ms", "latest_at_ms", "open_date")
_START = Sql(
    insert(instances).values(
        {name: bindparam(name) for name in column_names(instances) if name not in _CLOCK}
    )
)
_PAST = Sql(
    select(*(instances.c[name] for name in _CLOCK))
    .where(instances.c.instance == bindparam("name"), instances.c.latest_at_ms > 0)
    .order_by(instances.c.incarnation.desc())
    .limit(1)
)
NOTE_CLOCK = Sql(
    update(instances)
    .where(instances.c.owner == bindparam("mine"))
    .values({name: bindparam(f"new_{name}") for name in _CLOCK})
)
_SAME_AGAIN = Sql(
    update(instances)
    .where(instances.c.owner == bindparam("mine"))
    .values(started_at_ms=instances.c.started_at_ms)
)


@dataclass(frozen=True, slots=True)
class Past:
    """What an instance last noted of its clock.

    Attributes:
        seen_at_ms: the last time that could be trusted.
        steady_since_ms: since when stored times were what they seemed then.
        latest_at_ms: the highest time that it has ever shown; 0 where nothing is known.
        open_date: the business date that was open, or empty.
    """

    seen_at_ms: int = 0
    steady_since_ms: int = 0
    latest_at_ms: int = 0
    open_date: str = ""


def check_name(instance: str) -> None:
    """Refuse names that cannot be part of an owner.

    Raises:
        ValueError: the name is not 1 to 40 of letters, digits, ``_`` and ``-``.
    """
    if not _NAME.fullmatch(instance):
        raise ValueError("an instance's name is 1 to 40 of letters, digits, _ and -")


def lock_folder(file: Path) -> IO[bytes]:
    """Lock a SQLite database for this process, until the returned file is closed.

    Raises:
        InstanceTaken: another process holds it.
        OSError: the folder cannot be written.
    """
    lock = lock_file(file).open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise InstanceTaken(f"another switch already runs on {file}") from None
    except BaseException:
        lock.close()
        raise
    return lock


def lock_name(session: Session, instance: str) -> None:
    """Take an instance's advisory lock on PostgreSQL, and say that the books are served.

    Both last as long as the connection. Waits as long as for any lock: the server may not have
    noticed yet that an earlier process of this name has ended.

    Raises:
        InstanceTaken: another process holds the name, or has the books for itself.
    """
    _lock(session, "", _lock_key(instance), f"another process already runs as {instance!r}")
    _lock(session, "_shared", _SERVED, "`acquirer ledger restored` is at work on these books")


def lock_books(session: Session) -> None:
    """Keep every switch off books on PostgreSQL, as long as the connection lasts.

    Raises:
        InstanceTaken: a switch serves them.
    """
    _lock(session, "", _SERVED, "a switch serves these books")


def _lock(session: Session, kind: str, key: str, taken: str) -> None:
    try:
        session.cursor.execute(f"SELECT pg_advisory_lock{kind}(hashtextextended(%s, 0))", (key,))
    except psycopg.errors.LockNotAvailable:
        raise InstanceTaken(taken) from None


def register(session: Session, instance: str, now_ms: int) -> str:
    """Begin a new incarnation of an instance whose lock is held.

    Returns:
        Its owner name, such as ``switch-1#7.0``.
    """
    row = session.row(_LAST, name=instance)
    incarnation = ((row[0] if row else None) or 0) + 1
    owner = f"{instance}#{incarnation}.0"
    session.run(
        _START, owner=owner, instance=instance, incarnation=incarnation, started_at_ms=now_ms
    )
    return owner


def past_of(session: Session, instance: str) -> Past:
    """What the last incarnation that noted its clock has noted."""
    row = session.row(_PAST, name=instance)
    return Past(*row) if row else Past()


def relock_name(session: Session, instance: str) -> None:
    """Take the locks again after a lost connection, without waiting: units are waiting already.

    Raises:
        BookUnavailable: another connection holds one, perhaps the lost one still.
    """
    for kind, key in (("", _lock_key(instance)), ("_shared", _SERVED)):
        session.cursor.execute(
            f"SELECT pg_try_advisory_lock{kind}(hashtextextended(%s, 0))", (key,)
        )
        if not session.cursor.fetchone()[0]:
            raise BookUnavailable(f"instance {instance!r} is locked by another connection")


def settle(session: Session, owner: str) -> None:
    """Wait until all that a new connection can read is as safe as what was committed on it.

    A server that has come back after a crash shows what it had written down and its replica may
    not have, which nobody was told of and which the next failover may undo. A commit of our own
    comes after all of that in its log, and so in the replica's.
    """
    session.begin()
    session.run(_SAME_AGAIN, mine=owner)
    session.commit()


def _lock_key(instance: str) -> str:
    return f"acquirer:{instance}"


def take_numbers(session: Session, count: int) -> int:
    """The first of ``count`` numbers that no process was ever given."""
    row = session.row(sql.TAKE_NUMBERS, name="entry", count=count)
    assert row is not None
    return int(row[0]) - count
