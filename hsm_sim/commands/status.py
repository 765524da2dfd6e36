"""Commands about the module itself and about no key: NC, NO, B2, RA, N0, GM."""

from __future__ import annotations

import hashlib

from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.state import Settings

_HASHES = {
    "01": "sha1",
    "02": "md5",
    "05": "sha224",
    "06": "sha256",
    "07": "sha384",
    "08": "sha512",
}


def diagnostics(body: Body) -> str:
    """NC: check value of the LMK, firmware number."""
    lmk = body.end()
    return body.state.kcv_16(lmk.check_value) + body.state.settings.firmware


def status(body: Body) -> str:
    """NO, mode 00: buffer size 32 K, Ethernet, 64 sockets, firmware, two reserved fields.

    Mode 01: 1 where all settings are as PCI HSM has them; else 2, or 0 where key type 002 is not
    separated.
    """
    mode = body.take(2)
    body.end()
    if mode == "01":
        return _compliance(body.state.settings)
    if mode != "00":
        raise Refusal("15", "the status mode is 00 or 01")
    return "3" + "1" + "64" + body.state.settings.firmware + "0" + "0000"


def _compliance(settings: Settings) -> str:
    if not settings.pci_key_separation:
        return "0"
    strict = settings.kcv_digits_max == 6 and not settings.pin_format_downgrade
    return "1" if strict and not settings.test_lmk else "2"


def hash_data(body: Body) -> str:
    """GM: a hash of data, raw."""
    name = _HASHES.get(body.take(2))
    if name is None:
        raise Refusal("05", f"the hash identifiers are {', '.join(_HASHES)}")
    data = body.binary(body.number(5), "80")
    body.end()
    return hashlib.new(name, data, usedforsecurity=False).digest().decode("latin-1")


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
