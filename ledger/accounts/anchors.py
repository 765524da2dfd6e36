"""Anchors: at a business date's close, the heads of all writers' chains, hashed together.

An anchor pins how far each chain had come. Whoever edits history later must also forge every
anchor since, and one copy of the last anchor kept elsewhere shows that too.
"""

from __future__ import annotations

from hashlib import sha256

from sqlalchemy import bindparam, insert, select

from acquirer.ledger.accounts.transfers import GENESIS
from acquirer.ledger.store.database import Session, Sql
from acquirer.ledger.store.rows import encode_json
from acquirer.ledger.store.schema import chain_anchors, chains, column_names

_HEADS = Sql(select(chains.c.id, chains.c.chain_seq, chains.c.chain_hash).order_by(chains.c.id))
_LAST = Sql(
    select(chain_anchors.c.id, chain_anchors.c.anchor_hash)
    .order_by(chain_anchors.c.id.desc())
    .limit(1)
)
_INSERT = Sql(
    insert(chain_anchors).values({name: bindparam(name) for name in column_names(chain_anchors)})
)


def anchor_link(previous: bytes, business_date: str, created_at_ms: int, heads: str) -> bytes:
    """The hash of an anchor: SHA-256 over the one before it and all that it says."""
    return sha256(previous + f"{business_date}|{created_at_ms}|{heads}".encode()).digest()


def anchor(session: Session, business_date: str, now_ms: int) -> bytes:
    """Anchor all chains as they stand; inside the writer's transaction.

    Args:
        session: in a transaction.
        business_date: the date that closes, ISO.
        now_ms: wall clock.

    Returns:
        The anchor's hash, 32 bytes, worth keeping elsewhere.
    """
    heads = encode_json([[row[0], row[1], bytes(row[2]).hex()] for row in session.rows(_HEADS)])
    last = session.row(_LAST)
    id, previous = (last[0], bytes(last[1])) if last else (0, GENESIS)
    link = anchor_link(previous, business_date, now_ms, heads.decode())
    session.run(
        _INSERT,
        id=id + 1,
        business_date=business_date,
        created_at_ms=now_ms,
        heads=heads.decode(),
        anchor_hash=link,
    )
    return link
