"""DUKPT terminals, TDES and AES: their messages, their PINs, and counters that only grow."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from dukpt_terminal import AesDukpt, DukptTerminal, TdesDukpt
from pos_terminal import Reply, de59
from served import at_once, opened_pair
from world import OpenWorld, World

from acquirer.config.estate import load_estate

pytestmark = pytest.mark.anyio

ESTATE = load_estate()
SYBIL = next(card for card in ESTATE.cards if card.name == "sybil")
MALLORY = next(card for card in ESTATE.cards if card.name == "mallory")
COURIER = ESTATE.couriers[0]
TDES, AES = "10000014", "10000015"
BOTH = pytest.mark.parametrize("terminal_id", [TDES, AES])


def terminal_of(terminal_id: str) -> DukptTerminal:
    """A terminal of the estate, before its first message."""
    one = next(found for found in ESTATE.terminals if found.terminal_id == terminal_id)
    profile = next(found for found in ESTATE.profiles if found.name == one.profile)
    bdk, ksn = bytes.fromhex(profile.bdk), bytes.fromhex(one.ksn)
    return DukptTerminal(one.terminal_id, one.merchant_id, b"", bdk=bdk, initial=ksn)


async def signed_on(world: World, terminal_id: str) -> DukptTerminal:
    """The world's terminal, signed on if it is not."""
    known = world.terminals.get(terminal_id)
    if isinstance(known, DukptTerminal):
        return known
    terminal = world.terminals[terminal_id] = terminal_of(terminal_id)
    terminal.take_keys(await world.ask(terminal.sign_on("001")))
    return terminal


def test_the_tests_own_derivation_is_the_published_one() -> None:
    """X9.24-1's and X9.24-3's test vectors: the first keys of the published terminals."""
    ksn = bytes.fromhex("FFFF9876543210E00001")
    tdes = TdesDukpt(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"), ksn)
    assert "6AC292FAA1315B4D858AB3A3D7D5933A" == tdes.initial.hex().upper()
    assert "042666B49184CFA368DE9628D0397BC9" == (
        bytes(a ^ b for a, b in zip(tdes.keys(ksn).pin, bytes([0] * 7 + [255]) * 2, strict=True))
        .hex()
        .upper()
    )
    ksn = bytes.fromhex("123456789012345600000001")
    aes = AesDukpt(bytes.fromhex("FEDCBA9876543210F1F1F1F1F1F1F1F1"), ksn)
    assert "1273671EA26AC29AFA4D1084127652A1" == aes.initial.hex().upper()
    assert "AF8CB133A78F8DC2D1359F18527593FB" == aes.keys(ksn).pin.hex().upper()


@BOTH
async def test_a_sale_with_a_pin(world: World, terminal_id: str) -> None:
    """Each message is under the next key, its reply under the same number's response key."""
    terminal = await signed_on(world, terminal_id)
    for amount_minor in (100, 200, 300):
        reply = await world.ask(terminal.sale(SYBIL, amount_minor))
        assert ("00", True) == (reply.code, terminal.sealed(reply))
        assert not {52, 53, 59, 62} & set(reply.fields)
    before = world.balances()
    assert "55" == (await world.ask(terminal.sale(MALLORY, 100, pin="9999"))).code
    assert "99" == (await _with_pin_of_another_message(world, terminal)).code
    assert before == world.balances()


async def _with_pin_of_another_message(world: World, terminal: DukptTerminal) -> Reply:
    fields = terminal.sale_fields(SYBIL, 100)
    terminal.advance()
    return await world.ask(terminal.frame("0200", fields))


@BOTH
async def test_every_row_of_the_table(world: World, terminal_id: str) -> None:
    """Balance, void, refund, reversal and a courier go as at any terminal."""
    terminal = await signed_on(world, terminal_id)
    assert "00" == (await world.ask(terminal.balance(SYBIL))).code
    sold = await world.ask(terminal.sale(SYBIL, 400))
    reply = await world.ask(terminal.void(SYBIL, 400, sold))
    assert ("00", True) == (reply.code, terminal.sealed(reply))
    sold = await world.ask(terminal.sale(SYBIL, 500))
    assert "00" == (await world.ask(terminal.refund(SYBIL, 100, sold))).code
    frame = terminal.sale(SYBIL, 600)
    assert "00" == (await world.ask(frame)).code
    undo = terminal.frame("0400", _undo(terminal, 600))
    reply = await world.ask(undo)
    assert ("00", True) == (reply.code, terminal.sealed(reply))
    assert "00" == (await world.ask(undo)).code
    reply = await world.ask(terminal.courier(COURIER.courier_id, COURIER.password))
    assert ("00", True) == (reply.code, terminal.sealed(reply))
    assert "55" == (await world.ask(terminal.courier(COURIER.courier_id, "000000"))).code


def _undo(terminal: DukptTerminal, amount_minor: int) -> dict[int, str | bytes]:
    return {
        3: "000000",
        4: f"{amount_minor:012d}",
        11: f"{terminal.stan:06d}",
        39: "98",
        49: "156",
        60: f"22{terminal.batch}00050",
    }


@BOTH
async def test_a_copy_gets_the_first_answer(world: World, terminal_id: str) -> None:
    """What repeats a stored answer is answered, under its own number or a new one; once posted."""
    terminal = await signed_on(world, terminal_id)
    fields = terminal.sale_fields(SYBIL, 700)
    frame = terminal.frame("0200", fields)
    first = await world.ask(frame)
    before = world.balances()
    await world.ask(terminal.balance(SYBIL))
    assert ("00", first[37]) == ((await world.ask(frame)).code, (await world.ask(frame))[37])
    again = await world.ask(terminal.frame("0200", fields))
    assert ("00", first[37], True) == (again.code, again[37], terminal.sealed(again))
    assert before == world.balances()


@BOTH
async def test_a_counter_only_grows(world: World, terminal_id: str) -> None:
    """A new message under a number that was used, or a lower one, gets A0 and changes nothing."""
    terminal = await signed_on(world, terminal_id)
    old = terminal.copy()
    await world.ask(terminal.sale(SYBIL, 800))
    await world.ask(terminal.sale(SYBIL, 810))
    before = world.balances()
    for _ in range(2):
        old.stan = terminal.stan
        terminal.next_stan()
        reply = await world.ask(old.sale(SYBIL, 820))
        assert ("A0", False) == (reply.code, 64 in reply.fields)
    used = terminal.copy()
    used.counter -= 1
    reply = await world.ask(used.frame("0200", {**used.sale_fields(SYBIL, 830), 11: "000001"}))
    assert "A0" == reply.code
    assert before == world.balances()
    assert "00" == (await world.ask(terminal.sale(SYBIL, 840))).code
    terminal.counter += 1000
    assert "00" == (await world.ask(terminal.sale(SYBIL, 850))).code


@BOTH
async def test_serial_numbers_that_are_none(world: World, terminal_id: str) -> None:
    """Without one, or cut, or with more behind it: 30; another terminal's: A0."""
    terminal = await signed_on(world, terminal_id)
    before = world.balances()
    right = len(terminal.initial)
    for ksn in (b"", bytes(right - 1), bytes(right + 1)):
        reply = await world.ask(terminal.frame("0200", terminal.sale_fields(SYBIL, 900), ksn=ksn))
        assert ("30", False) == (reply.code, 64 in reply.fields)
    number = bytearray(terminal.initial)
    number[-5] ^= 0x80
    thief = DukptTerminal(
        terminal.terminal_id, terminal.merchant_id, b"", bdk=terminal.bdk, initial=bytes(number)
    )
    thief.counter, thief.stan = terminal.counter + 5, terminal.stan
    terminal.next_stan()
    assert "A0" == (await world.ask(thief.sale(SYBIL, 900))).code
    zero = terminal.copy()
    zero.counter = -1
    assert "A0" == (await world.ask(zero.sale(SYBIL, 900, pin=""))).code
    broken = bytearray(terminal.sale(SYBIL, 900))
    broken[-1] ^= 1
    assert "A0" == (await world.ask(bytes(broken))).code
    assert before == world.balances()


async def test_pin_blocks_where_they_cannot_be(world: World) -> None:
    """Under AES the PIN stands in PB, 32 digits, and not in DE52."""
    terminal = await signed_on(world, AES)
    fields = terminal.sale_fields(SYBIL, 900)
    for change in ({52: bytes(8)}, {59: de59(PB="0" * 31)}, {59: de59(PB="X" * 32)}):
        assert "30" == (await world.ask(terminal.frame("0200", fields | change))).code
    assert "99" == (await world.ask(terminal.frame("0200", fields | {59: de59(PB="0" * 32)}))).code


@BOTH
async def test_no_enciphered_tracks(world: World, terminal_id: str) -> None:
    """There is no track key: A7."""
    terminal = await signed_on(world, terminal_id)
    fields = terminal.sale_fields(SYBIL, 900, pin="") | {53: "0610000000000000"}
    reply = await world.ask(terminal.frame("0200", fields))
    assert ("A7", True) == (reply.code, terminal.sealed(reply))


@BOTH
async def test_sign_on_and_off(open_world: OpenWorld, terminal_id: str) -> None:
    """Before a sign-on 77; only 001 is one; a sign-off with a MAC ends it, its copy does not."""
    async with open_world() as world:
        terminal = terminal_of(terminal_id)
        reply = await world.ask(terminal.sale(SYBIL, 100))
        assert ("77", 3, False) == (reply.code, reply.demand, 64 in reply.fields)
        assert ["40", "40"] == [
            (await world.ask(terminal.sign_on(code))).code for code in ("003", "004")
        ]
        terminal.take_keys(await world.ask(terminal.sign_on("001")))
        assert "00" == (await world.ask(terminal.sale(SYBIL, 100))).code
        unsealed = terminal.sign_off()
        assert "00" == (await world.ask(unsealed)).code
        assert "00" == (await world.ask(terminal.sale(SYBIL, 110))).code
        fields = {11: terminal.next_stan(), 60: f"00{terminal.batch}002"}
        sealed = terminal.frame("0820", fields)
        reply = await world.ask(sealed)
        assert ("00", True) == (reply.code, terminal.sealed(reply))
        assert "77" == (await world.ask(terminal.sale(SYBIL, 120))).code
        terminal.take_keys(await world.ask(terminal.sign_on("001")))
        assert "A0" == (await world.ask(sealed)).code
        assert "00" == (await world.ask(terminal.sale(SYBIL, 130))).code
        await world.agree()


async def test_two_switches_take_a_number_once(tmp_path: Path, postgresql_url: str) -> None:
    """The same number for two sales at two switches side by side: one is approved, one gets A0."""
    async with opened_pair(tmp_path, postgresql_url, ESTATE, {}) as (one, other):
        terminal = terminal_of(TDES)
        terminal.take_keys(await one.ask(terminal.sign_on("001")))
        for amount_minor in range(100, 500, 100):
            rival = terminal.copy()
            rival.stan = terminal.stan + 500
            frames = terminal.sale(SYBIL, amount_minor), rival.sale(SYBIL, amount_minor + 1)
            replies = await at_once(partial(one.ask, frames[0]), partial(other.ask, frames[1]))
            assert ["00", "A0"] == sorted(reply.code for reply in replies)
            frame = terminal.sale(SYBIL, amount_minor + 2)
            replies = await at_once(partial(one.ask, frame), partial(other.ask, frame))
            assert ["00", "00"] == [reply.code for reply in replies]
            assert replies[0][37] == replies[1][37]
        await one.agree()
