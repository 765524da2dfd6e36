"""Claims: rows of a queue that one owner takes under a lease.

A claim is refused to others until it is let go (``leases.py``); an earlier incarnation of the same
instance is known to be dead, so what it had claimed is free at once. On PostgreSQL rows that
another process is claiming at this moment are skipped, not waited for.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, and_, bindparam, func, or_, update

from acquirer.ledger.store.database import Sql


def free(table: Table) -> ColumnElement[bool]:
    """Held by nobody, or by an earlier incarnation of this instance."""
    mine = bindparam("instance_prefix", type_=table.c.owner.type)
    incarnation = bindparam("owner_prefix", type_=table.c.owner.type)
    return or_(
        table.c.owner == "",
        and_(
            func.substr(table.c.owner, 1, func.length(mine)) == mine,
            func.substr(table.c.owner, 1, func.length(incarnation)) != incarnation,
        ),
    )


def take(table: Table, key: str) -> Sql:
    """The statement by which a row becomes an owner's."""
    return Sql(
        update(table)
        .where(table.c[key] == bindparam("key"))
        .values(owner=bindparam("new_owner"), lease_until_ms=bindparam("new_lease_until_ms"))
    )


def owner_prefixes(owner: str) -> dict[str, str]:
    """What all owners of an instance, and those of one incarnation of it, begin with.

    >>> owner_prefixes("switch-1#7.0")
    {'instance_prefix': 'switch-1#', 'owner_prefix': 'switch-1#7.'}
    """
    return {
        "instance_prefix": owner.partition("#")[0] + "#",
        "owner_prefix": owner.rpartition(".")[0] + ".",
    }
