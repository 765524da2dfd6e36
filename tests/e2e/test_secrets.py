"""What a run leaves behind holds no card number, PIN, track or clear key; nor does what it logs."""

from __future__ import annotations

import pytest
from pos_terminal import PosTerminal, WorkKeys, pin_block
from world import OpenWorld, World

from acquirer.config.estate import Card, load_estate

pytestmark = pytest.mark.anyio

CARDS = {card.name: card for card in load_estate().cards}
SYBIL, NINA = CARDS["sybil"], CARDS["nina"]
DROP = 6601


def forms_of(secret: bytes) -> list[bytes]:
    """Raw, and as hexadecimal in both cases."""
    return [secret, secret.hex().encode(), secret.hex().upper().encode()]


def card_forms(card: Card) -> list[bytes]:
    """A card number as text and as BCD in both paddings."""
    even = card.pan if len(card.pan) % 2 == 0 else card.pan + "0"
    odd = card.pan if len(card.pan) % 2 == 0 else "0" + card.pan
    return [card.pan.encode(), bytes.fromhex(even), bytes.fromhex(odd), card.track2.encode()]


def key_forms(keys: WorkKeys) -> list[bytes]:
    """Working keys, raw and in hexadecimal."""
    return [form for key in (keys.pin, keys.mac, keys.track) if key for form in forms_of(key)]


async def play(world: World, terminal: PosTerminal) -> list[bytes]:
    """Everything that could go wrong with a secret; gives the PIN blocks that were sent."""
    frames = [
        terminal.sale(SYBIL, 1_000),
        terminal.sale(SYBIL, DROP),
        terminal.sale(NINA, 2_000, pin="9999"),
        terminal.balance(NINA),
        terminal.frame("0200", terminal.sale_fields(SYBIL, 100) | {2: NINA.pan}),
        terminal.frame("0200", terminal.sale_fields(SYBIL, 100) | {52: b"notapinb"}),
        terminal.frame("0200", terminal.sale_fields(SYBIL, 100) | {35: SYBIL.pan}),
        terminal.frame("0200", terminal.sale_fields(SYBIL, 100) | {2: SYBIL.pan, 3: "770000"}),
    ]
    broken = bytearray(terminal.frame("0200", terminal.sale_fields(SYBIL, 100) | {2: SYBIL.pan}))
    broken[-20] ^= 0xF0
    frames += [bytes(broken), frames[0]]
    replies = [await world.ask(frame) for frame in frames]
    assert "00" == (await world.ask(terminal.void(SYBIL, 1_000, replies[0]))).code
    assert "00" == (await world.ask(terminal.courier("C1001", "270475"))).code
    return [pin_block(terminal.keys.pin, SYBIL.pin, SYBIL.pan)]


async def test_nothing_is_left_behind(
    open_world: OpenWorld, capfd: pytest.CaptureFixture[str]
) -> None:
    """After a run with every kind of trouble neither data folder nor logs hold a secret."""
    async with open_world() as world:
        terminal = await world.signed_on()
        blocks = await play(world, terminal)
        ciphering = await world.signed_on("10000011", "004")
        await play(world, ciphering)
        await world.agree()
    estate = load_estate()
    secrets = [form for card in estate.cards for form in card_forms(card)]
    secrets += [form for block in blocks for form in forms_of(block)]
    secrets += key_forms(terminal.keys) + key_forms(ciphering.keys)
    secrets += [SYBIL.track2[20:36].encode(), *forms_of(bytes.fromhex(SYBIL.track2[20:36]))]
    keys = [one.tmk for one in estate.terminals] + [one.bdk for one in estate.profiles]
    for key in filter(None, keys):
        secrets += forms_of(bytes.fromhex(key))
    secrets += forms_of(bytes.fromhex(estate.banks[0].zmk))
    secrets += forms_of(bytes.fromhex(estate.banks[0].zpk))
    written = {str(path): path.read_bytes() for path in world.folder.rglob("*") if path.is_file()}
    assert any(path.endswith("switch.sqlite3") for path in written)
    printed = capfd.readouterr()
    written["logs"] = (printed.out + printed.err).encode()
    assert b"transaction" in written["logs"]
    found = {
        (path, form.hex()) for path, text in written.items() for form in secrets if form in text
    }
    assert set() == found
