"""``acquirer terminal … --json status``: what waits to be sent, without card data."""

import json

import pytest

from acquirer.cli.terminal_view import show_state
from acquirer.terminals_sim.state import StoredRequest, TerminalState

TRACK = "6225882202982730907D310610100000000000"
PAN = TRACK.partition("D")[0]


def test_card_data_of_waiting_requests_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    """An offline sale that no answer came for, and a reversal of a keyed sale."""
    state = TerminalState(
        "10000001",
        reversal=StoredRequest("sale", "0400", {2: PAN, 4: "000000001555", 11: "000005"}),
        last_reversible=StoredRequest("sale", "0400", {2: PAN}),
        advices=(StoredRequest("offline_sale", "0220", {11: "000019", 35: TRACK, 38: "A1B2C3"}),),
    )

    show_state(state, as_json=True)

    shown = capsys.readouterr().out
    assert PAN not in shown
    document = json.loads(shown)
    assert {"2": "622588*********0907", "4": "000000001555", "11": "000005"} == (
        document["reversal"]["fields"]
    )
    assert {"11": "000019", "35": "622588*********0907D*", "38": "A1B2C3"} == (
        document["advices"][0]["fields"]
    )
