"""Terminals of every key scheme that the estate has: what they send is understood, and sealed."""

from __future__ import annotations

import json
from pathlib import Path

import psec
import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.cmac import CMAC
from pos_terminal import cmac, x919
from world import World

from acquirer.config.estate import load_estate
from acquirer.terminals_sim.security import message_mac

pytestmark = pytest.mark.anyio

SYBIL = next(card for card in load_estate().cards if card.name == "sybil")
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "crypto.json").read_text())
KEY = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
MESSAGES = [b"", b"1", b"12345678", b"123456789", bytes(range(100))]

# Terminal, sign-on, bytes of its master key and of the PIN and MAC keys that it is handed.
SCHEMES = [
    ("10000012", "001", 8, 8, 8),
    ("10000012", "003", 8, 16, 8),
    ("10000001", "003", 16, 16, 16),
    ("10000011", "004", 16, 16, 16),
    ("10000006", "003", 16, 16, 16),
    ("10000006", "001", 16, 8, 8),
    ("10000013", "003", 16, 16, 16),
    ("10000013", "001", 16, 8, 8),
]


@pytest.mark.parametrize(("terminal_id", "code", "tmk", "pin", "mac"), SCHEMES)
async def test_a_terminal_of_each_scheme(
    world: World, terminal_id: str, code: str, tmk: int, pin: int, mac: int
) -> None:
    """It signs on, sells with a PIN and is answered under its MAC; a wrong MAC gets A0."""
    terminal = world.terminal(terminal_id)
    keys = terminal.take_keys(await world.ask(terminal.sign_on(code)), code)
    assert (tmk, pin, mac) == (len(terminal.tmk), len(keys.pin), len(keys.mac))
    reply = await world.ask(terminal.sale(SYBIL, 100))
    assert ("00", True) == (reply.code, terminal.sealed(reply))
    frame = bytearray(terminal.sale(SYBIL, 200))
    frame[-1] ^= 1
    reply = await world.ask(bytes(frame))
    assert ("A0", False) == (reply.code, 64 in reply.fields)


def test_cmac_over_tdes_is_the_published_one() -> None:
    """SP 800-38B's examples, OpenSSL's CMAC, and one written for the tests agree."""
    published = [one for one in VECTORS["cmac"] if one["cipher"] == "tdes"]
    assert published
    for one in published:
        key, data = bytes.fromhex(one["key"]), bytes.fromhex(one["data"])
        expected = bytes.fromhex(one["mac"])
        assert [expected] * 2 == [message_mac("cmac", key, data), cmac(key, data)]
    for data in MESSAGES:
        openssls = CMAC(TripleDES(KEY + KEY[:8]))
        openssls.update(data)
        assert [openssls.finalize()] * 2 == [message_mac("cmac", KEY, data), cmac(KEY, data)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_x919_is_the_published_one() -> None:
    """ISO 9797-1's example, psec's retail MAC, and one written for the tests agree."""
    text = b"Now is the time for all "
    expected = bytes.fromhex("A1C72E74EA3FA9B6")
    assert [expected] * 2 == [message_mac("x919", KEY, text), x919(KEY, text)]
    for data in MESSAGES[1:]:
        psecs = psec.mac.generate_retail_mac(KEY[:8], KEY[8:], data, 1)
        assert [psecs] * 2 == [message_mac("x919", KEY, data), x919(KEY, data)]
