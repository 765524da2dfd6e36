"""Commands about the module itself: NC, NO, B2, RA, N0."""

from __future__ import annotations

from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.errors import Refusal


def diagnostics(body: Body) -> str:
    """NC: check value of the LMK, firmware number."""
    lmk = body.end()
    return body.state.kcv_16(lmk.check_value) + body.state.settings.firmware


def status(body: Body) -> str:
    """NO, mode 00: buffer size 32 K, Ethernet, 64 sockets, firmware, two reserved fields."""
    if body.take(2) != "00":
        raise Refusal("15", "the status mode is 00")
    body.end()
    return "3" + "1" + "64" + body.state.settings.firmware + "0" + "0000"


def echo(body: Body) -> str:
    """B2: the data as it came."""
    data = body.binary(body.hex_number(4), "80")
    body.end()
    return data.decode("latin-1")


def cancel_authorised_state(body: Body) -> str:
    """RA: leave the authorised state, and take back every activity."""
    body.end()
    body.state.cancel_authorisation()
    return ""


def random_value(body: Body) -> str:
    """N0: 1 to 256 random bytes, raw."""
    size = body.number(3)
    body.end()
    if not 1 <= size <= 256:
        raise Refusal("15", "a random value has 1 to 256 bytes")
    return body.state.random(size).decode("latin-1")
