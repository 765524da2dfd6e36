"""What operators see of the bank links, and what they may do to one.

Holding and releasing, new zone keys and cut-over change no books; what is in flight on a link
is not disturbed by any of them. ``operator_api.py`` offers these over HTTP.
"""

from __future__ import annotations

from dataclasses import asdict

from acquirer.routing.outcomes import LinkStatus
from acquirer.switch.context import Context
from acquirer.switch.operators.operations import Done, Refused


async def list_links(context: Context) -> Done:
    """All links with state and counters, and the replies that nobody waited for."""
    return {
        "links": [_shown(status) for status in context.banks.states()],
        "unmatched": [asdict(one) for one in context.banks.unmatched],
    }


async def command_link(context: Context, name: str, command: str) -> Done | Refused:
    """Do something to one link.

    Args:
        name: the link's; of a bank without listed links, the bank's.
        command: ``hold``, ``release``, ``rekey`` or ``cut-over``.
    """
    try:
        link = context.banks.link(name)
    except KeyError:
        return Refused(f"no link {name!r}; `acquirer links` shows all")
    if not context.banks.is_here(name):
        return Refused(f"link {name!r} is moving from one worker to another; ask again")
    if command == "hold":
        await link.hold()
    elif command == "release":
        link.release()
    elif command == "rekey":
        if not await link.change_keys():
            why = "it is not up, has no zone security, or was refused"
            return Refused(f"no new keys for link {name!r}: {why}; `acquirer links` shows more")
    elif command == "cut-over":
        if not await link.cut_over():
            why = "it is not up, or the bank does not agree"
            return Refused(f"no cut-over on link {name!r}: {why}; `acquirer links` shows more")
    else:
        return Refused(f"no command {command!r} for a link")
    return _shown(link.status())


def _shown(status: LinkStatus) -> Done:
    return {
        "bank": status.bank,
        "link": status.link,
        "address": status.address,
        "state": status.state.value,
        "is_held": status.is_held,
        "in_flight": status.in_flight,
        **asdict(status.counters),
    }
