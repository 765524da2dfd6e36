"""Batches that their terminals have not settled for days are closed without them.

Source: docs/operations.md, "Batches of terminals".
"""

from __future__ import annotations

from functools import partial

import structlog

from acquirer.payments.kernel.looking import look_for_ever
from acquirer.switch.context import Context
from acquirer.switch.terminals.settlement import close_unsettled

log = structlog.get_logger("acquirer.switch")

EVERY_S = 600.0
DAY_MS = 86_400_000


async def keep_closing(context: Context) -> None:
    """Look every few minutes, for ever."""
    await look_for_ever(EVERY_S, partial(close_old, context), log)


async def close_old(context: Context) -> None:
    """Close each batch that is older than its terminal's profile allows.

    Raises:
        BookError: the books cannot be read or written.
    """
    for terminal in context.current().terminals.values():
        opened = await context.book.batch_opened_at_ms(terminal.terminal_id, terminal.row.batch)
        if opened is None or context.clock.age_ms(opened) < terminal.profile.batch_days * DAY_MS:
            continue
        await close_unsettled(context, terminal, context.clock.now_ms())
