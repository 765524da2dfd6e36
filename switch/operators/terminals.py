"""What operators do to terminals: end their working keys, or a batch that is not settled.

Source: docs/pos.md, "Keys"; docs/operations.md, "Batches of terminals".
"""

from __future__ import annotations

import structlog

from acquirer.ledger.errors import BookBusy
from acquirer.switch.context import Context
from acquirer.switch.operators.operations import TRIES_MAX, Done, Refused
from acquirer.switch.terminals.settlement import close_unsettled
from acquirer.switch.terminals.terminals import without_keys

log = structlog.get_logger("acquirer.operator")


async def end_keys(context: Context, terminal_id: str) -> Done | Refused:
    """End a terminal's working keys, confirmed and waiting ones, until its next sign-on.

    Raises:
        BookBusy, BookUnavailable: the keys stay good.
    """
    terminal = context.current().terminals.get(terminal_id)
    if terminal is None:
        return Refused(f"no terminal {terminal_id!r}; `acquirer terminals list` shows all")
    # Another process may have handed keys out, or ended them while this one still takes them.
    await context.terminals.refresh(terminal)
    for _ in range(TRIES_MAX):
        had_keys = terminal.is_signed_on
        if not had_keys or await context.terminals.save(terminal, without_keys(terminal.row)):
            log.info("terminal_keys_ended", terminal_id=terminal_id, had_keys=had_keys)
            return {"terminal_id": terminal_id, "had_keys": had_keys}
    raise BookBusy("the terminal's keys kept changing")


async def close_batch(context: Context, terminal_id: str) -> Done | Refused:
    """Close a batch that its terminal has not settled, as ``unsettled``.

    Raises:
        BookBusy, BookUnavailable: it is not closed.
    """
    terminal = context.current().terminals.get(terminal_id)
    if terminal is None:
        return Refused(f"no terminal {terminal_id!r}; `acquirer terminals list` shows all", "R05")
    batch = await close_unsettled(context, terminal, context.clock.now_ms())
    if batch is None:
        return Refused(f"{terminal_id} has no batch open; `acquirer batches` shows all", "R04")
    return {"terminal_id": terminal_id, "batch": batch, "state": "unsettled"}
