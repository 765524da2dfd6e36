"""The link's state table."""

from __future__ import annotations

import pytest

from acquirer.routing.errors import LocalProtocolError
from acquirer.routing.links.link_states import LinkEvent, LinkState, next_state


def test_without_zone_security_sign_on_is_enough() -> None:
    """DOWN, SIGNING_ON, UP."""
    state = next_state(LinkState.DOWN, LinkEvent.CONNECTED, "none")
    assert LinkState.SIGNING_ON is state
    assert LinkState.UP is next_state(state, LinkEvent.SIGNED_ON, "none")


def test_with_zone_security_keys_come_first() -> None:
    """A link is up only after sign-on and keys."""
    state = next_state(LinkState.SIGNING_ON, LinkEvent.SIGNED_ON, "zone")
    assert LinkState.REQUESTING_KEYS is state
    state = next_state(state, LinkEvent.KEYS_PROMISED, "zone")
    assert LinkState.AWAITING_KEYS is state
    assert LinkState.UP is next_state(state, LinkEvent.KEYS_INSTALLED, "zone")


@pytest.mark.parametrize("security", ["none", "zone"])
@pytest.mark.parametrize("state", list(LinkState))
def test_a_lost_connection_is_down_from_everywhere(state: LinkState, security: str) -> None:
    """Every state knows LOST."""
    assert LinkState.DOWN is next_state(state, LinkEvent.LOST, security)  # type: ignore[arg-type]


@pytest.mark.parametrize("security", ["none", "zone"])
@pytest.mark.parametrize("event", [LinkEvent.PEER_SIGNED_ON, LinkEvent.PEER_SIGNED_OFF])
def test_the_peer_can_speak_in_every_connected_state(event: LinkEvent, security: str) -> None:
    """What the peer sends must never be a step that the table lacks."""
    states = set(LinkState) - {LinkState.DOWN}
    if security == "none":
        states -= {LinkState.REQUESTING_KEYS, LinkState.AWAITING_KEYS}
    for state in states:
        next_state(state, event, security)  # type: ignore[arg-type]


def test_an_unknown_step_is_our_bug() -> None:
    """The table refuses what must not happen."""
    with pytest.raises(LocalProtocolError, match="no signed_on in state up"):
        next_state(LinkState.UP, LinkEvent.SIGNED_ON, "none")


@pytest.mark.parametrize("security", ["none", "zone"])
def test_a_refused_echo_is_answered_by_a_sign_on(security: str) -> None:
    """The connection stays, the keys are asked for anew."""
    state = next_state(LinkState.UP, LinkEvent.REFUSED, security)  # type: ignore[arg-type]
    assert LinkState.SIGNING_ON is state
