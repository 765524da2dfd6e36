"""Downloads: what terminals fetch, when they are asked to, and what changes nothing."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx
import pytest
from pos_terminal import PosTerminal, Reply
from world import OpenWorld, World, card

from acquirer.codecs import bertlv

pytestmark = pytest.mark.anyio

SYBIL = card("sybil")
MODULUS = "A1" * 128
KEYS = [
    {"rid": "A000000333", "index": f"{index:02X}", "expiry": "20301231", "modulus": MODULUS}
    for index in range(30)
]
AID = "A000000333010101"
AIDS: list[dict[str, Any]] = [{"aid": AID, "objects": {"DF11": "D84000A800", "9F09": "0020"}}]
PARAMETERS, UPLOAD, SIGN_ON, CA_KEYS, IC = 1, 2, 3, 4, 5


async def load(world: World, **document: Any) -> httpx.Response:
    """An operator's load of one or several kinds."""
    body = {"document": document, "kinds": list(document), "reason": "the test's"}
    headers = {"authorization": "Bearer demo-admin-token", "acquirer-by": "demo-admin"}
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"http://{world.http}/operator/config/import"
        return await client.post(url, headers=headers, json=body)


def asked(terminal: PosTerminal, mti: str, code: str, de62: bytes | None = None) -> bytes:
    """A message of a download, which has no MAC."""
    fields: dict[int, str | bytes] = {11: terminal.next_stan(), 60: f"00{terminal.batch}{code}"}
    return terminal.frame(mti, fields | ({} if de62 is None else {62: de62}), mac=False)


async def demand(world: World, terminal: PosTerminal) -> int:
    """What the next reply asks for."""
    return (await world.ask(terminal.balance(SYBIL))).demand


async def sends(world: World, frame: bytes) -> Reply:
    """An approved reply."""
    reply = await world.ask(frame)
    assert "00" == reply.code
    return reply


async def test_what_is_loaded_is_asked_for_until_it_is_fetched(open_world: OpenWorld) -> None:
    """In the order of the demands; the same once more asks for nothing, another version again."""
    async with open_world() as world:
        terminal = await world.signed_on()
        assert 0 == await demand(world, terminal)
        parameters = {"time_out_s": 45}
        done = await load(world, parameters=[parameters], ca_keys=KEYS[:1], ic_parameters=AIDS)
        assert 200 == done.status_code
        assert PARAMETERS == await demand(world, terminal)
        await sends(world, asked(terminal, "0800", "360"))
        assert CA_KEYS == await demand(world, terminal)
        await sends(world, asked(terminal, "0820", "372", b"100"))
        assert CA_KEYS == await demand(world, terminal)
        await sends(world, asked(terminal, "0800", "371"))
        assert IC == await demand(world, terminal)
        assert IC == (await world.ask(terminal.sign_on())).demand
        await sends(world, asked(terminal, "0800", "381"))
        assert 0 == await demand(world, terminal)
        await load(world, parameters=[parameters])
        assert 0 == await demand(world, terminal)
        await load(world, parameters=[{"time_out_s": 46}])
        assert PARAMETERS == await demand(world, terminal)
        await sends(world, asked(terminal, "0800", "360"))
        await world.stop("switch")
        await world.start_switch()
        assert 0 == await demand(world, terminal)


async def test_a_version_that_came_while_the_old_one_was_fetched(open_world: OpenWorld) -> None:
    """It is asked for: the terminal has what it began with."""
    async with open_world() as world:
        terminal = await world.signed_on()
        await load(world, ca_keys=KEYS[:1])
        await sends(world, asked(terminal, "0820", "372", b"100"))
        await load(world, ca_keys=KEYS[:2])
        await sends(world, asked(terminal, "0800", "371"))
        assert CA_KEYS == await demand(world, terminal)


async def test_parameters(open_world: OpenWorld) -> None:
    """Tags of two digits with fixed lengths; the merchant's terms and name are in them."""
    async with open_world() as world:
        terminal = await world.signed_on()
        loaded = {"time_out_s": 5, "application": "07", "transaction_switches": "1010"}
        await load(world, parameters=[loaded])
        reply = await sends(world, asked(terminal, "0800", "360"))
        name = "Swift Parcel 迅达快递".encode("gb18030").ljust(40)
        text = b"11071205133181192020121022" + name
        assert text + b"233241250261010" == reply[62]


async def test_keys_come_in_pages(open_world: OpenWorld) -> None:
    """2 where more follow, 1 with the last; each is fetched by RID and index, with its checksum."""
    async with open_world() as world:
        terminal = await world.signed_on()
        await load(world, ca_keys=KEYS)
        found: list[bytes] = []
        marks = b""
        for _ in range(3):
            query = asked(terminal, "0820", "372", b"1%02d" % len(found))
            listing = (await sends(world, query))[62]
            marks += listing[:1]
            assert len(listing) <= 512
            objects = bertlv.parse(listing[1:])
            found += [item.value for item in objects if item.tag == "9F22"]
            assert {"9F06", "9F22", "DF05"} >= {item.tag for item in objects}
        assert (b"210", [bytes([index]) for index in range(30)]) == (marks, found)
        name = bertlv.build([("9F06", bytes.fromhex("A000000333")), ("9F22", b"\x1d")])
        whole = (await sends(world, asked(terminal, "0800", "370", name)))[62]
        values = {item.tag: item.value for item in bertlv.parse(whole[1:])}
        checked = bytes.fromhex("A000000333" + "1D" + MODULUS + "03")
        assert (b"1", hashlib.sha1(checked).digest(), b"20301231", bytes.fromhex(MODULUS)) == (
            whole[:1],
            values["DF03"],
            values["DF05"],
            values["DF02"],
        )
        strange = bertlv.build([("9F06", bytes(5)), ("9F22", b"\x00")])
        assert b"0" == (await sends(world, asked(terminal, "0800", "370", strange)))[62]


async def test_applications_and_the_blacklist(open_world: OpenWorld) -> None:
    """An application with its objects; tokens by forty."""
    async with open_world() as world:
        terminal = await world.signed_on()
        for code in ("372", "382", "390"):
            assert b"0" == (await sends(world, asked(terminal, "0820", code, b"100")))[62]
        tokens = [f"{number:016X}" for number in range(50)]
        await load(world, ic_parameters=AIDS, blacklist=[{"tokens": tokens}])
        name = bertlv.build([("9F06", bytes.fromhex(AID))])
        assert b"1" + name == (await sends(world, asked(terminal, "0820", "382", b"100")))[62]
        rest = bertlv.build([("DF11", bytes.fromhex("D84000A800")), ("9F09", b"\x00\x20")])
        whole = (await sends(world, asked(terminal, "0800", "380", name)))[62]
        assert b"1" + name + rest == whole
        pages = [
            (await sends(world, asked(terminal, "0820", "390", b"1%02d" % known)))[62]
            for known in range(3)
        ]
        listed = bytes.fromhex("".join(tokens))
        assert [b"2" + listed[:320], b"1" + listed[320:], b"0"] == pages
        assert "00" == (await world.ask(asked(terminal, "0800", "391"))).code


async def test_queries_that_are_none(open_world: OpenWorld) -> None:
    """30, and nothing has been fetched."""
    async with open_world() as world:
        terminal = await world.signed_on()
        await load(world, ca_keys=KEYS[:1])
        for de62 in (None, b"", b"1", b"1000", b"200", b"1x0"):
            assert "30" == (await world.ask(asked(terminal, "0820", "372", de62))).code
        for de62 in (None, b"\x9f\x06", bertlv.build([("9F06", bytes(5))]), b"\x9f"):
            assert "30" == (await world.ask(asked(terminal, "0800", "370", de62))).code
        assert CA_KEYS == await demand(world, terminal)


async def test_what_is_wrong_changes_nothing(open_world: OpenWorld) -> None:
    """Validated whole: the place is named, and what was loaded before stays."""
    async with open_world() as world:
        terminal = await world.signed_on()
        await load(world, ca_keys=KEYS[:1])
        wrong: list[dict[str, Any]] = [
            {"ca_keys": [KEYS[0], KEYS[1] | {"modulus": "A1"}]},
            {"ca_keys": [KEYS[0], KEYS[0]]},
            {"ca_keys": [KEYS[0] | {"expiry": "20301301"}]},
            {"ic_parameters": [AIDS[0] | {"objects": {"DF11": "00" * 512}}]},
            {"ic_parameters": [AIDS[0] | {"objects": {"1F": "00"}}]},
            {"blacklist": [{"tokens": ["12"]}]},
            {"blacklist": [{"tokens": ["0" * 16] * 4000}]},
            {"parameters": [{"time_out_s": 0}]},
            {"parameters": [{}, {}]},
        ]
        for document in wrong:
            refused = await load(world, **document)
            assert 422 == refused.status_code, document
        listing = (await sends(world, asked(terminal, "0820", "372", b"100")))[62]
        assert 1 == len([item for item in bertlv.parse(listing[1:]) if item.tag == "9F22"])
