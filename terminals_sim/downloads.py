"""A whole download, from the first query to its end.

Source: docs/interfaces/terminal.md, part 4 ("Downloads").
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from acquirer.codecs.tpdu import ProcessingDemand
from acquirer.terminals_sim import kinds
from acquirer.terminals_sim.download_requests import (
    DOWNLOADS,
    MORE,
    NOTHING,
    DownloadRequests,
    items_in,
    names_in,
)
from acquirer.terminals_sim.kinds import Kind
from acquirer.terminals_sim.messages import Request
from acquirer.terminals_sim.results import Result

# A query says with two digits how many are known.
ITEMS_MAX = 99
# What the switch can ask a terminal to fetch.
DEMANDED = {
    ProcessingDemand.DOWNLOAD_PARAMETERS: "parameters",
    ProcessingDemand.DOWNLOAD_CA_KEYS: "ca_keys",
    ProcessingDemand.DOWNLOAD_IC_PARAMETERS: "ic_parameters",
}
OF_DOWNLOADS = frozenset({kinds.DOWNLOAD.name, kinds.DOWNLOAD_QUERY.name})
Once = Callable[[Kind, Callable[[], Request]], Awaitable[Result]]


async def fetch(
    kind: str, terminal: DownloadRequests, once: Once
) -> tuple[Result, tuple[bytes, ...]]:
    """Fetch all of a kind.

    Args:
        once: sends one request.

    Returns:
        The last result, and what came, an item or page each; with a result that is no approval, as
        far as that.

    Raises:
        RemoteFormatError: a list of items cannot be read.
    """
    codes = DOWNLOADS[kind]
    if not codes.query:
        result = await once(kinds.DOWNLOAD, lambda: terminal.download_item(kind))
        return result, (_de62(result),) if result.approved else ()
    came: list[bytes] = []
    known, listing = 0, MORE
    while listing[:1] == MORE and known < ITEMS_MAX:
        result = await once(kinds.DOWNLOAD_QUERY, partial(terminal.download_query, kind, known))
        listing = _de62(result)
        if not result.approved:
            return result, tuple(came)
        if listing == NOTHING:
            break
        if not codes.item:
            came.append(listing[1:])
        for name in names_in(kind, listing) if codes.item else ():
            result = await once(kinds.DOWNLOAD, partial(terminal.download_item, kind, name))
            if not result.approved:
                return result, tuple(came)
            came.append(_de62(result)[1:])
        known += items_in(kind, listing)
    return await once(kinds.DOWNLOAD, lambda: terminal.download_end(kind)), tuple(came)


def _de62(result: Result) -> bytes:
    return result.reply.binary(62) if result.reply is not None else b""
