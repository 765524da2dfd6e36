"""Business configuration in the books: versions that are only ever added, and their epoch.

One row holds the epoch. A change is a step that takes it one further, by compare-and-set, and adds
the versions of that epoch; so a process that has seen the epoch has seen all of it, and of two
changes that were decided on the same configuration one does not hold. What a body means is told
elsewhere. Source: docs/configuration.md, "Business configuration".
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Select, and_, bindparam, func, insert, select, update

from acquirer.ledger.store.database import Session, Sql
from acquirer.ledger.store.schema import column_names, config_epoch, config_versions

_COLUMNS = column_names(config_versions)


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """One body of the configuration, as it was from one epoch on.

    Attributes:
        kind: ``merchant``, ``route``, …
        key: names the body among those of its kind.
        version: counts the key's versions, from 1.
        epoch: with which it takes effect.
        place: among those of its kind, where their order matters.
        body: JSON; None takes it away.
        valid_from: since when, milliseconds since 1970 UTC.
        made_by, checked_by: whose change it is; who has agreed, or empty.
        replaces: the version before, which may be one that took it away; None for the first.
    """

    kind: str
    key: str
    version: int
    epoch: int
    place: int
    body: str | None
    valid_from: int
    made_by: str
    checked_by: str
    reason: str
    replaces: int | None


@dataclass(frozen=True, slots=True)
class StoredConfiguration:
    """The newest version of each key; ``epoch`` is 0 before the first import."""

    epoch: int
    versions: tuple[ConfigVersion, ...]


@dataclass(frozen=True, slots=True)
class ChangeConfiguration:
    """Add versions; conditional on the epoch being the one before theirs.

    Attributes:
        epoch: the new one.
    """

    epoch: int
    versions: tuple[ConfigVersion, ...]


_EPOCH = Sql(select(config_epoch.c.epoch))
_NEXT_EPOCH = Sql(
    update(config_epoch)
    .where(config_epoch.c.epoch == bindparam("old_epoch"))
    .values(epoch=bindparam("new_epoch"))
)
_ADD = Sql(insert(config_versions).values({name: bindparam(name) for name in _COLUMNS}))


def _newest() -> Select[tuple[object, ...]]:
    """Epoch and versions by one statement, so that no other change comes between them."""
    later = config_versions.alias("later")
    newest = (
        select(func.max(later.c.version))
        .where(later.c.kind == config_versions.c.kind, later.c.key == config_versions.c.key)
        .scalar_subquery()
    )
    return (
        select(config_epoch.c.epoch, *config_versions.c)
        .select_from(
            config_epoch.outerjoin(
                config_versions,
                and_(config_epoch.c.id == 1, config_versions.c.version == newest),
            )
        )
        .order_by(config_versions.c.kind, config_versions.c.place, config_versions.c.key)
    )


_NEWEST = Sql(_newest())


def change_configuration(session: Session, step: ChangeConfiguration) -> bool:
    """Take the epoch one further and add its versions; inside the writer's transaction."""
    if session.changed(_NEXT_EPOCH, old_epoch=step.epoch - 1, new_epoch=step.epoch) != 1:
        return False
    for one in step.versions:
        session.run(_ADD, **{name: getattr(one, name) for name in _COLUMNS})
    return True


def current_epoch(session: Session) -> int:
    """The epoch now."""
    row = session.row(_EPOCH)
    return int(row[0]) if row else 0


def stored_configuration(session: Session) -> StoredConfiguration:
    """The configuration now."""
    return _stored(session.rows(_NEWEST))


def read_configuration(connection: Connection) -> StoredConfiguration:
    """The configuration now, for those who only look."""
    return _stored([tuple(row) for row in connection.execute(_newest())])


def config_history(connection: Connection, kinds: tuple[str, ...] = ()) -> list[ConfigVersion]:
    """All versions, of these kinds or of all, the oldest first."""
    query = select(*config_versions.c).order_by(
        config_versions.c.epoch, config_versions.c.kind, config_versions.c.key
    )
    if kinds:
        query = query.where(config_versions.c.kind.in_(kinds))
    return [ConfigVersion(*row) for row in connection.execute(query)]


def _stored(rows: list[tuple[object, ...]]) -> StoredConfiguration:
    epoch = rows[0][0] if rows else 0
    assert isinstance(epoch, int)
    found = tuple(ConfigVersion(*row[1:]) for row in rows if row[1] is not None)  # type: ignore[arg-type]
    return StoredConfiguration(epoch, found)
