"""Sign-on, sign-off and echo over real sockets: layouts, key generations, whose key seals what."""

from __future__ import annotations

import pytest
from pos_terminal import PosTerminal, Reply, WorkKeys, des
from world import OpenWorld, World

from acquirer.config.estate import load_estate

pytestmark = pytest.mark.anyio

SYBIL = next(card for card in load_estate().cards if card.name == "sybil")
TIMES = (12, 13, 15, 37)


@pytest.mark.parametrize(("code", "size"), [("001", 24), ("003", 40), ("004", 60)])
async def test_key_layouts(world: World, code: str, size: int) -> None:
    """Each network code brings keys of its layout, whose KCVs hold under the master key."""
    terminal: PosTerminal = world.terminal("10000002")
    reply = await world.ask(terminal.sign_on(code))
    keys = terminal.take_keys(reply, code)
    assert size == len(reply[62])
    assert (8 if code == "001" else 16) == len(keys.pin) == len(keys.mac)
    assert (16 if code == "004" else 0) == len(keys.track)
    assert "00" == (await world.ask(terminal.sale(SYBIL, 100))).code


async def test_reply_fields(world: World) -> None:
    """The reply is 0810 with the echoed fields, the current batch, the time, and no MAC."""
    terminal = world.terminal("10000002")
    terminal.batch = "000777"
    frame = terminal.sign_on()
    reply = await world.ask(frame)
    terminal.batch = "000001"
    assert "0810" == reply.mti
    assert {11, 12, 13, 37, 39, 41, 42, 60, 62} == set(reply.fields)
    assert "00000001003" == reply[60]
    assert (terminal.terminal_id, terminal.merchant_id) == (reply[41], reply[42])
    assert bytes.fromhex("6001020003") == reply.tpdu
    assert (bytes.fromhex("603100310000"), 0) == (reply.header, reply.demand)


async def test_single_length_mac_key(world: World) -> None:
    """A single-length MAC key stands in the first half; the second half is eight zero bytes."""
    terminal = world.terminal("10000005")
    reply = await world.ask(terminal.sign_on("003"))
    assert bytes(8) == reply[62][28:36]
    assert 8 == len(terminal.take_keys(reply).mac)
    sale = await world.ask(terminal.sale(SYBIL, 100))
    assert ("00", True) == (sale.code, terminal.sealed(sale))


async def test_x919_terminal(world: World) -> None:
    """A terminal whose profile says X9.19 is understood and answered with that MAC."""
    terminal = await world.signed_on("10000006")
    sale = await world.ask(terminal.sale(SYBIL, 100))
    assert ("00", True) == (sale.code, terminal.sealed(sale))


async def test_old_keys_stay_good(world: World) -> None:
    """Old keys serve until the first message under the new ones; a reply has its request's key."""
    terminal = world.terminal("10000009")
    old = terminal.take_keys(await world.ask(terminal.sign_on()))
    assert "00" == (await world.ask(terminal.sale(SYBIL, 100))).code
    new = terminal.take_keys(await world.ask(terminal.sign_on()))

    terminal.keys = old
    reply = await world.ask(terminal.sale(SYBIL, 200))
    assert ("00", True) == (reply.code, terminal.sealed(reply, old))
    terminal.keys = new
    reply = await world.ask(terminal.sale(SYBIL, 300))
    assert ("00", True) == (reply.code, terminal.sealed(reply, new))
    terminal.keys = old
    reply = await world.ask(terminal.sale(SYBIL, 400))
    assert "A0" == reply.code
    assert not terminal.sealed(reply, old)
    terminal.keys = new


async def test_unused_sign_on_hurts_nobody(world: World) -> None:
    """Any number of sign-ons by somebody else leave a working terminal's keys good."""
    terminal = await world.signed_on("10000008")
    assert "00" == (await world.ask(terminal.sale(SYBIL, 100))).code
    for _ in range(3):
        assert "00" == (await world.ask(terminal.sign_on())).code
    reply = await world.ask(terminal.sale(SYBIL, 200))
    assert ("00", True) == (reply.code, terminal.sealed(reply))


async def test_before_sign_on(world: World) -> None:
    """A financial message before any sign-on gets 77 with demand 3, and no MAC."""
    terminal = world.terminal("10000010")
    terminal.keys = type(terminal.keys)(bytes(range(16)), bytes(range(1, 17)))
    reply = await world.ask(terminal.sale(SYBIL, 100))
    assert ("77", 3, False) == (reply.code, reply.demand, 64 in reply.fields)


@pytest.mark.parametrize("code", ["001", "003", "004"])
async def test_strangers_sign_ons_do_not_push_out_fresh_keys(
    open_world: OpenWorld, code: str
) -> None:
    """The keys of a sign-on are good however often somebody else signs on; so are the next ones."""
    async with open_world() as world:
        terminal = world.terminal("10000002")
        stranger = PosTerminal(terminal.terminal_id, terminal.merchant_id, bytes(16))
        terminal.take_keys(await world.ask(terminal.sign_on(code)), code)
        for other in ("001", "003", "004"):
            frames = [stranger.sign_on(other) for _ in range(10)]
            assert {"00"} == {reply.code for reply in await world.ask_all(*frames)}
        assert "00" == (await world.ask(terminal.sale(SYBIL, 100))).code
        for _ in range(4):
            terminal.take_keys(await world.ask(terminal.sign_on(code)), code)
        assert "00" == (await world.ask(terminal.sale(SYBIL, 100))).code


async def test_who_signs_on_again_gets_the_keys_that_wait(open_world: OpenWorld) -> None:
    """The second time new ones, then the same again until a message bears them."""
    async with open_world() as world:
        terminal = world.terminal("10000002")
        given = [(await world.ask(terminal.sign_on()))[62] for _ in range(4)]
        assert given[0] != given[1] == given[2] == given[3]
        terminal.take_keys(await world.ask(terminal.sign_on()))
        assert "00" == (await world.ask(terminal.sale(SYBIL, 100))).code
        assert (await world.ask(terminal.sign_on()))[62] not in given


async def test_sign_ons_at_two_processes(open_world: OpenWorld, postgresql_url: str) -> None:
    """Both hand out the same keys, and neither hands out keys that were proved at the other."""
    async with open_world(url=postgresql_url) as world, world.sibling() as other:
        terminal = world.terminal("10000002")
        given = [(await world.ask(terminal.sign_on()))[62] for _ in range(2)]
        again = await other.ask(terminal.sign_on())
        assert given[1] == again[62]
        terminal.take_keys(again)
        assert "00" == (await world.ask(terminal.sale(SYBIL, 100))).code
        fresh = await other.ask(terminal.sign_on())
        assert fresh[62] not in given
        terminal.take_keys(fresh)
        assert "00" == (await world.ask(terminal.sale(SYBIL, 100))).code
        assert "00" == (await other.ask(terminal.sale(SYBIL, 100))).code
        await world.agree()


async def test_what_anybody_can_send_uses_up_no_numbers(open_world: OpenWorld) -> None:
    """RRNs and STANs of a day are finite, and sign-ons in a terminal's name are free."""
    async with open_world() as world:
        terminal = await world.signed_on()
        first = await world.ask(terminal.sale(SYBIL, 100))
        frames = [terminal.sign_on() for _ in range(10)] + [terminal.sign_off() for _ in range(10)]
        assert 20 == len({reply[37] for reply in await world.ask_all(*frames)})
        second = await world.ask(terminal.sale(SYBIL, 100))
        assert int(first[37]) + 1 == int(second[37])


async def test_sign_off(world: World) -> None:
    """Anybody can sign a terminal off, so that its keys stay good."""
    terminal = await world.signed_on("10000004")
    stranger = PosTerminal(terminal.terminal_id, terminal.merchant_id, bytes(16))
    forged = stranger.frame(
        "0820", {11: "000001", 60: "00000001002"}, keys=WorkKeys(b"", bytes(range(16)))
    )
    for frame in (terminal.sign_off(), stranger.sign_off(), forged):
        reply = await world.ask(frame)
        assert ("0830", "00", False) == (reply.mti, reply.code, 64 in reply.fields)
        assert "00" == (await world.ask(terminal.sale(SYBIL, 100))).code


async def test_sealed_sign_off(world: World) -> None:
    """A sign-off that bears the terminal's MAC ends its keys, and answers under them."""
    terminal = await world.signed_on("10000003")
    await world.ask(terminal.sign_on())
    frame = terminal.frame("0820", {11: terminal.next_stan(), 60: "00000001002"})
    reply = await world.ask(frame)
    assert ("00", True) == (reply.code, terminal.sealed(reply))
    assert "77" == (await world.ask(terminal.sale(SYBIL, 100))).code
    terminal.take_keys(await world.ask(terminal.sign_on()))
    assert "00" == (await world.ask(frame)).code, "a copy, whose keys are gone"
    assert "00" == (await world.ask(terminal.sale(SYBIL, 100))).code


async def test_echo(world: World) -> None:
    """An echo test has neither STAN nor MAC, in either direction."""
    reply: Reply = await world.ask(world.terminal("10000003").echo())
    assert ("0830", "00") == (reply.mti, reply.code)
    assert {12, 13, 39, 41, 42, 60} == set(reply.fields)


async def test_unknown_terminal(world: World) -> None:
    """An unknown terminal gets 97 without MAC, whatever it asks."""
    stranger = PosTerminal("99999999", "898110053310001", bytes(16))
    stranger.keys = type(stranger.keys)(bytes(range(16)), bytes(range(1, 17)))
    for frame in (stranger.sign_on(), stranger.echo(), stranger.sale(SYBIL, 100)):
        reply = await world.ask(frame)
        assert ("97", False) == (reply.code, 64 in reply.fields)


async def test_wrong_merchant(world: World) -> None:
    """A known terminal under another merchant's number gets 03."""
    terminal = world.terminal("10000003")
    frame = terminal.frame(
        "0800", {11: "900001", 42: "898110053310001", 60: "00000001003"}, mac=False
    )
    assert "03" == (await world.ask(frame)).code


def test_terminal_of_the_tests() -> None:
    """The tests' own MAC agrees with the worked example of the terminal interface."""
    key = bytes.fromhex("C24A8FB57AA20123")
    first = des(key).encrypt(b"4D08F434")
    assert "6A4DF084B6D23759" == first.hex().upper()
