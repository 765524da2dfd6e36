"""Enciphered tracks: DE53's third digit, a track key by sign-on 004, and all that can be wrong."""

from __future__ import annotations

import pytest
from pos_terminal import PosTerminal, sealed_track
from world import World

from acquirer.config.estate import load_estate

pytestmark = pytest.mark.anyio

CARDS = {card.name: card for card in load_estate().cards}
SYBIL = CARDS["sybil"]
TID = "10000011"


async def with_track_key(world: World) -> PosTerminal:
    """The estate's terminal that enciphers its tracks."""
    terminal = await world.signed_on(TID, "004")
    assert 16 == len(terminal.keys.track)
    return terminal


async def test_the_module_opens_the_track(world: World) -> None:
    """A sale with an enciphered track is approved, for the card that was swiped."""
    terminal = await with_track_key(world)
    fields = terminal.sale_fields(SYBIL, 4_711)
    assert SYBIL.track2 != fields[35]
    assert "2610000000000000" == fields[53]
    reply = await world.ask(terminal.frame("0200", fields))
    assert ("00", True) == (reply.code, terminal.sealed(reply))
    assert not {35, 53} & set(reply.fields)
    assert ["approved"] == [row["state"] for row in world.bank_rows(reply[37])]


async def test_every_message_about_a_card_may_have_one(world: World) -> None:
    """Balance inquiry, void and refund open it too; a sale without PIN says so in DE53."""
    terminal = await with_track_key(world)
    assert "00" == (await world.ask(terminal.balance(SYBIL))).code
    fields = terminal.sale_fields(SYBIL, 500, pin="")
    assert "0610000000000000" == fields[53]
    sold = await world.ask(terminal.frame("0200", fields))
    assert "00" == sold.code
    assert "00" == (await world.ask(terminal.void(SYBIL, 500, sold))).code
    sold = await world.ask(terminal.sale(SYBIL, 600))
    assert "14" == (await world.ask(terminal.void(CARDS["alice"], 600, sold))).code
    assert "00" == (await world.ask(terminal.refund(SYBIL, 100, sold))).code


async def test_the_same_request_under_a_new_track_key_is_the_same(world: World) -> None:
    """A repeat is known by its card, though a later sign-on has made another cryptogram of it."""
    terminal = await with_track_key(world)
    fields = terminal.sale_fields(SYBIL, 700)
    first = await world.ask(terminal.frame("0200", fields))
    terminal.take_keys(await world.ask(terminal.sign_on("004")), "004")
    again = fields | {35: sealed_track(terminal.keys.track, SYBIL.track2)}
    assert again[35] != fields[35]
    reply = await world.ask(terminal.frame("0200", again))
    assert ("00", first[37]) == (reply.code, reply[37])


async def test_each_generation_of_keys_opens_its_own_tracks(world: World) -> None:
    """Keys that wait do not take the old track key away."""
    terminal = await with_track_key(world)
    assert "00" == (await world.ask(terminal.sale(SYBIL, 750))).code
    assert "00" == (await world.ask(terminal.sign_on("004"))).code
    assert "00" == (await world.ask(terminal.sale(SYBIL, 760))).code


async def test_without_a_track_key(world: World) -> None:
    """A terminal that signed on with 003 has none: A7, sealed and on record, and nothing moves."""
    terminal = await world.signed_on("10000002", "003")
    before = world.balances()
    fields = terminal.sale_fields(SYBIL, 800)
    fields |= {35: sealed_track(bytes(range(1, 17)), SYBIL.track2), 53: "2610000000000000"}
    reply = await world.ask(terminal.frame("0200", fields))
    assert ("A7", True, "refused") == (reply.code, terminal.sealed(reply), world.state(reply))
    assert before == world.balances()


@pytest.mark.parametrize(
    ("track", "control"),
    [
        (SYBIL.track2, "2610000000000000"),
        (SYBIL.track2[:16], "2610000000000000"),
        (SYBIL.track2[:17], "2610000000000000"),
        ("6225880000000007D", "2610000000000000"),
        (sealed_track(bytes(range(1, 17)), SYBIL.track2), "2610000000000000"),
        (sealed_track(bytes(range(1, 17)), SYBIL.track2), "2600000000000000"),
        (SYBIL.track2, "2620000000000000"),
    ],
)
async def test_nonsense(world: World, track: str, control: str) -> None:
    """A track in clear that is said to be none, one too short, one under another key: 30."""
    terminal = await with_track_key(world)
    before = world.balances()
    fields = terminal.sale_fields(SYBIL, 900) | {35: track, 53: control}
    reply = await world.ask(terminal.frame("0200", fields))
    assert ("30", False) == (reply.code, 64 in reply.fields)
    assert before == world.balances()


async def test_a_reversal_needs_no_track(world: World) -> None:
    """A reversal is told by its numbers, whatever track it carries."""
    terminal = await with_track_key(world)
    frame = terminal.sale(SYBIL, 1_000)
    assert "00" == (await world.ask(frame)).code
    fields: dict[int, str | bytes] = {
        3: "000000",
        4: f"{1_000:012d}",
        11: f"{terminal.stan:06d}",
        35: "6225880000000007A",
        39: "98",
        49: "156",
        53: "2610000000000000",
        60: f"22{terminal.batch}00050",
    }
    assert "00" == (await world.ask(terminal.frame("0400", fields))).code
