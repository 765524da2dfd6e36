"""Entries have typed details; a share and a refund are told by their role, a group by its kind.

What stood in the reply of a hand-in, a write-off or an exception, and behind a slash in the STAN
of a share or a refund, moves to where it belongs. No row is added or taken away, and no transfer
changes.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

TAKEN = sa.text("kind IN ('sale', 'order_payment', 'order_payment_group', 'refund')")
DETAILED = ("courier_hand_in", "saf_write_off", "order_exception")


def upgrade() -> None:
    """Add the column, fill it, and rename."""
    op.add_column("journal", sa.Column("detail", sa.Text(), nullable=False, server_default=""))
    journal = sa.table(
        "journal",
        *(
            sa.column(name)
            for name in ("id", "kind", "role", "stan", "order_no", "reply", "detail")
        ),
        sa.column("original_id"),
        sa.column("processing_code"),
    )
    kind, stan = journal.c.kind, journal.c.stan
    update = sa.update(journal)
    op.execute(
        update.where(kind == "refund", stan.like("%/R")).values(
            role="refund", stan=sa.func.replace(stan, "/R", "")
        )
    )
    op.execute(
        update.where(kind == "order_part").values(
            kind="order_share",
            role=sa.literal("share-").concat(sa.func.substr(stan, 8)),
            stan=sa.func.substr(stan, 1, 6),
            detail=sa.literal('{"type":"share","place":')
            .concat(sa.func.substr(stan, 8))
            .concat("}"),
        )
    )
    _fill(journal)
    op.drop_index("ix_journal_takings", "journal")
    _name_groups(journal)
    op.create_index(
        "ix_journal_takings",
        "journal",
        ["merchant_id", "business_date"],
        sqlite_where=TAKEN,
        postgresql_where=TAKEN,
    )


def _fill(journal: sa.TableClause) -> None:
    bind = op.get_bind()
    rows = bind.execute(
        sa.select(journal.c.id, journal.c.kind, journal.c.reply).where(
            journal.c.kind.in_(DETAILED), journal.c.reply != ""
        )
    ).all()
    for row in rows:
        reply = json.loads(row.reply)
        detail = _detail(row.kind, reply)
        if detail is None:
            continue
        bind.execute(
            sa.update(journal)
            .where(journal.c.id == row.id)
            .values(detail=_text(detail), reply=_text(reply))
        )


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _detail(kind: str, reply: dict[str, Any]) -> dict[str, Any] | None:
    """The detail of an entry, and the reply without what was no answer of ours."""
    if kind == "order_exception":
        reason = _item(bytes.fromhex(reply.get("59", "")), b"OX")
        return {"type": kind, "reason": reason, "note": ""} if reason else None
    if "48" not in reply or "63" not in reply:
        return None
    first, second = reply.pop("48"), reply.pop("63")
    if kind == "courier_hand_in":
        return {"type": "hand_in", "expected_minor": int(first), "station": second}
    return {"type": "write_off", "by": first, "reason": second}


def _item(items: bytes, wanted: bytes) -> str:
    """A value of DE59: tag 2, length 3 digits, value."""
    while len(items) >= 5:
        length = int(items[2:5])
        if items[:2] == wanted:
            return items[5 : 5 + length].decode("ascii")
        items = items[5 + length :]
    return ""


def _name_groups(journal: sa.TableClause) -> None:
    """A swipe for several orders is known by its shares; one that was refused before had none."""
    share = journal.alias("share")
    of_share = sa.select(share.c.original_id).where(share.c.kind == "order_share")
    bind = op.get_bind()
    for id in bind.execute(of_share.distinct()).scalars().all():
        numbers = sa.select(share.c.order_no).where(
            share.c.original_id == id, share.c.kind == "order_share"
        )
        orders = bind.execute(numbers.order_by(share.c.role)).scalars().all()
        detail = {"type": "group_payment", "order_nos": list(orders)}
        bind.execute(
            sa.update(journal)
            .where(journal.c.id == id)
            .values(kind="order_payment_group", detail=_text(detail))
        )
