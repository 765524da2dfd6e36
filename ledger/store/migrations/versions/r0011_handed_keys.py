"""The keys that a terminal's sign-ons handed out stand in one column, with what it was sent."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

KINDS = ("tpk", "tak", "tdk")


def upgrade() -> None:
    """Add the column, fill it and drop what it takes the place of.

    What the terminals were sent was not kept, so that these keys are never handed out again; they
    are good until a message bears newer ones.
    """
    op.add_column("terminals", sa.Column("waiting", sa.Text(), nullable=False, server_default=""))
    old: list[sa.ColumnClause[str]] = [sa.column(f"next_{kind}") for kind in KINDS]
    terminals = sa.table("terminals", sa.column("terminal_id"), sa.column("waiting"), *old)
    bind = op.get_bind()
    rows = bind.execute(
        sa.select(terminals.c.terminal_id, *old).where(terminals.c.next_tak != "")
    ).all()
    for terminal_id, *keys in rows:
        waiting = [
            {
                **dict(zip(KINDS, generation, strict=True)),
                "network_code": "",
                "de62": "",
                "made_at_ms": 0,
            }
            for generation in zip(*(text.split(",") for text in keys), strict=True)
        ]
        bind.execute(
            sa.update(terminals)
            .where(terminals.c.terminal_id == terminal_id)
            .values(waiting=json.dumps(waiting, separators=(",", ":")))
        )
    for kind in KINDS:
        op.drop_column("terminals", f"next_{kind}")
