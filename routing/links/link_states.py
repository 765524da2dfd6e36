"""The life of a bank link as a table. Pure: no socket, no clock.

Each state stands for what the link does while it is in it; what comes of that is an event, and
the table gives the next state. The shell (``link.py``) does the doing.
Source: docs/interfaces/bank-link.md, "Life of a link".

    DOWN → SIGNING_ON → UP                                     security none
    DOWN → SIGNING_ON → REQUESTING_KEYS [→ AWAITING_KEYS] → UP   security zone
"""

from __future__ import annotations

from enum import Enum

from acquirer.routing.errors import LocalProtocolError
from acquirer.routing.settings import Security


class LinkState(Enum):
    """Where a link is in its life; transactions go out in ``UP`` only.

    The bank signed off in ``SIGNED_OFF``, our operator in ``HELD``.
    """

    DOWN = "down"
    SIGNING_ON = "signing_on"
    REQUESTING_KEYS = "requesting_keys"
    AWAITING_KEYS = "awaiting_keys"
    UP = "up"
    SIGNED_OFF = "signed_off"
    HELD = "held"


class LinkEvent(Enum):
    """What happened to a link."""

    CONNECTED = "connected"
    SIGNED_ON = "signed_on"
    PEER_SIGNED_ON = "peer_signed_on"
    PEER_SIGNED_OFF = "peer_signed_off"
    KEYS_INSTALLED = "keys_installed"
    KEYS_PROMISED = "keys_promised"
    SILENT = "silent"
    IDLE = "idle"
    REFUSED = "refused"
    HELD = "held"
    RELEASED = "released"
    LOST = "lost"


_S, _E = LinkState, LinkEvent

_COMMON: dict[tuple[LinkState, LinkEvent], LinkState] = {
    (_S.DOWN, _E.CONNECTED): _S.SIGNING_ON,
    (_S.DOWN, _E.LOST): _S.DOWN,
    (_S.SIGNING_ON, _E.REFUSED): _S.DOWN,
    (_S.SIGNING_ON, _E.SILENT): _S.DOWN,
    (_S.SIGNING_ON, _E.PEER_SIGNED_ON): _S.SIGNING_ON,
    (_S.SIGNING_ON, _E.PEER_SIGNED_OFF): _S.SIGNING_ON,
    (_S.UP, _E.PEER_SIGNED_ON): _S.UP,
    (_S.UP, _E.PEER_SIGNED_OFF): _S.SIGNED_OFF,
    (_S.UP, _E.IDLE): _S.UP,
    (_S.UP, _E.SILENT): _S.DOWN,
    # It is there, and does not say that it serves: it is asked to sign us on again.
    (_S.UP, _E.REFUSED): _S.SIGNING_ON,
    (_S.SIGNED_OFF, _E.IDLE): _S.SIGNING_ON,
    (_S.SIGNED_OFF, _E.PEER_SIGNED_OFF): _S.SIGNED_OFF,
    (_S.SIGNING_ON, _E.HELD): _S.HELD,
    (_S.UP, _E.HELD): _S.HELD,
    (_S.SIGNED_OFF, _E.HELD): _S.HELD,
    (_S.HELD, _E.IDLE): _S.HELD,
    (_S.HELD, _E.PEER_SIGNED_ON): _S.HELD,
    (_S.HELD, _E.PEER_SIGNED_OFF): _S.HELD,
    (_S.HELD, _E.RELEASED): _S.SIGNING_ON,
    **{(state, _E.LOST): _S.DOWN for state in LinkState},
}

_NONE = {
    **_COMMON,
    (_S.SIGNING_ON, _E.SIGNED_ON): _S.UP,
    (_S.SIGNED_OFF, _E.PEER_SIGNED_ON): _S.UP,
}

_ZONE = {
    **_COMMON,
    (_S.SIGNING_ON, _E.SIGNED_ON): _S.REQUESTING_KEYS,
    # Keys that come early are kept; REQUESTING_KEYS finds them and asks for none.
    (_S.SIGNING_ON, _E.KEYS_INSTALLED): _S.SIGNING_ON,
    (_S.REQUESTING_KEYS, _E.HELD): _S.HELD,
    (_S.AWAITING_KEYS, _E.HELD): _S.HELD,
    (_S.HELD, _E.KEYS_INSTALLED): _S.HELD,
    (_S.REQUESTING_KEYS, _E.KEYS_INSTALLED): _S.UP,
    (_S.REQUESTING_KEYS, _E.KEYS_PROMISED): _S.AWAITING_KEYS,
    (_S.REQUESTING_KEYS, _E.REFUSED): _S.DOWN,
    (_S.REQUESTING_KEYS, _E.SILENT): _S.DOWN,
    (_S.REQUESTING_KEYS, _E.PEER_SIGNED_ON): _S.REQUESTING_KEYS,
    (_S.REQUESTING_KEYS, _E.PEER_SIGNED_OFF): _S.SIGNED_OFF,
    (_S.AWAITING_KEYS, _E.KEYS_INSTALLED): _S.UP,
    (_S.AWAITING_KEYS, _E.REFUSED): _S.DOWN,
    (_S.AWAITING_KEYS, _E.SILENT): _S.DOWN,
    (_S.AWAITING_KEYS, _E.PEER_SIGNED_ON): _S.AWAITING_KEYS,
    (_S.AWAITING_KEYS, _E.PEER_SIGNED_OFF): _S.SIGNED_OFF,
    (_S.UP, _E.KEYS_INSTALLED): _S.UP,
    (_S.SIGNED_OFF, _E.KEYS_INSTALLED): _S.SIGNED_OFF,
    (_S.SIGNED_OFF, _E.PEER_SIGNED_ON): _S.REQUESTING_KEYS,
}

_TABLES: dict[Security, dict[tuple[LinkState, LinkEvent], LinkState]] = {
    "none": _NONE,
    "zone": _ZONE,
}


def next_state(state: LinkState, event: LinkEvent, security: Security) -> LinkState:
    """The state after an event.

    Raises:
        LocalProtocolError: the table has no such step; the shell must not let it happen.

    >>> next_state(LinkState.SIGNING_ON, LinkEvent.SIGNED_ON, "zone")
    <LinkState.REQUESTING_KEYS: 'requesting_keys'>
    """
    try:
        return _TABLES[security][state, event]
    except KeyError:
        raise LocalProtocolError(f"no {event.value} in state {state.value}") from None
