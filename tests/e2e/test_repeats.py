"""The order of checks, and what a STAN that comes again gets. Source:
docs/interfaces/terminal.md, part 4."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from pos_terminal import MACS, Reply, WorkKeys, de59
from world import OpenWorld, World

from acquirer.config.estate import load_estate
from acquirer.switch.surroundings import Surroundings, wall_ms

pytestmark = pytest.mark.anyio

CARDS = {card.name: card for card in load_estate().cards}
SYBIL = CARDS["sybil"]
DROP, SLOW = 6601, 6604


def spoiled(frame: bytes) -> bytes:
    """The frame with another MAC."""
    return frame[:-8] + (b"00000000" if frame[-8:] != b"00000000" else b"11111111")


def same(one: Reply, other: Reply) -> bool:
    """Byte for byte but for MAC and time."""
    return (
        one.tpdu + one.header == other.tpdu + other.header
        and one.mti == other.mti
        and one.without(12, 13, 64) == other.without(12, 13, 64)
        and len(one.raw) == len(other.raw)
    )


# --- order of checks ---------------------------------------------------------------------------


async def test_mac_before_batch(world: World) -> None:
    """Wrong MAC and wrong batch: A0."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100) | {60: "2200009900050"}
    assert "A0" == (await world.ask(spoiled(terminal.frame("0200", fields)))).code
    reply = await world.ask(terminal.frame("0200", fields))
    assert ("77", 3, True) == (reply.code, reply.demand, terminal.sealed(reply))


async def test_format_before_terminal(world: World) -> None:
    """What does not decode gets 30, even from a terminal that is not known."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100) | {41: "99999999"}
    frame = bytearray(terminal.frame("0200", fields))
    at = frame.index(bytes.fromhex("000000000100"))
    frame[at] = 0xAB
    reply = await world.ask(bytes(frame))
    assert ("30", False) == (reply.code, 64 in reply.fields)
    assert (fields[11], "99999999") == (reply[11], reply[41])


async def test_terminal_before_merchant_before_mac(world: World) -> None:
    """An unknown terminal is told 97, a wrong merchant 03, though the MAC is wrong too."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100)
    other: dict[int, str | bytes] = {42: "898110055410002"}
    frame = spoiled(terminal.frame("0200", fields | other | {41: "99999999"}))
    assert "97" == (await world.ask(frame)).code
    assert "03" == (await world.ask(spoiled(terminal.frame("0200", fields | other)))).code


async def test_batch_before_duplicate(world: World) -> None:
    """A used STAN in another batch is a wrong batch."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100)
    assert "00" == (await world.ask(terminal.frame("0200", fields))).code
    assert "77" == (await world.ask(terminal.frame("0200", fields | {60: "2200000200050"}))).code


async def test_duplicate_before_rules(world: World) -> None:
    """A used STAN for a card without a route is a duplicate, not 92; for nothing, not 13."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100)
    assert "00" == (await world.ask(terminal.frame("0200", fields))).code
    unrouted = fields | {35: "4999990000000004D3001101"}
    assert "94" == (await world.ask(terminal.frame("0200", unrouted))).code
    assert "94" == (await world.ask(terminal.frame("0200", fields | {4: "0" * 12}))).code


# --- MAC ---------------------------------------------------------------------------------------


async def test_wrong_mac(world: World) -> None:
    """A wrong MAC is answered A0, unsealed, and changes nothing; the STAN stays free."""
    terminal = await world.signed_on()
    journal, balances = world.journal(), world.balances()
    frame = terminal.sale(SYBIL, 100)
    reply = await world.ask(spoiled(frame))
    assert ("0210", "A0") == (reply.mti, reply.code)
    assert {3, 4, 11, 12, 13, 25, 39, 41, 42, 49, 60} == set(reply.fields)
    assert (journal, balances) == (world.journal(), world.balances())
    assert "00" == (await world.ask(frame)).code


async def test_missing_mac(world: World) -> None:
    """A message that needs a MAC and has none is one whose MAC is wrong."""
    terminal = await world.signed_on()
    reply = await world.ask(terminal.frame("0200", terminal.sale_fields(SYBIL, 100), mac=False))
    assert "A0" == reply.code


@pytest.mark.parametrize("mti", ["0200", "0220", "0400"])
async def test_any_changed_byte_breaks_the_mac(world: World, mti: str) -> None:
    """A changed amount, merchant's or other field under an old MAC is A0."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100)
    frame = terminal.frame(mti, fields)
    changed = frame.replace(bytes.fromhex("000000000100"), bytes.fromhex("000000009900"), 1)
    assert "A0" == (await world.ask(changed)).code


async def test_lower_case_mac(world: World) -> None:
    """The MAC is upper-case hexadecimal; lower case is another MAC."""
    terminal = await world.signed_on()
    frame = terminal.sale(SYBIL, 100)
    while not any(c in b"ABCDEF" for c in frame[-8:]):
        frame = terminal.sale(SYBIL, 100)
    assert "A0" == (await world.ask(frame[:-8] + frame[-8:].lower())).code


# --- batch -------------------------------------------------------------------------------------


async def test_reversal_of_another_batch(world: World) -> None:
    """0400 may belong to another batch: it is judged by its original, not refused with 77."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100) | {60: "2200009900050"}
    assert "25" == (await world.ask(terminal.frame("0400", fields | {39: "98"}))).code


async def test_management_of_another_batch(world: World) -> None:
    """Echo and sign-off carry whatever batch the terminal has."""
    terminal = world.terminal("10000002")
    frame = terminal.frame("0820", {60: "00000099301"}, mac=False)
    assert "00" == (await world.ask(frame)).code


# --- repeats -----------------------------------------------------------------------------------


async def test_same_sale_again(world: World) -> None:
    """The same sale gets the first answer again, on any connection; the money moves once."""
    terminal = await world.signed_on()
    before = world.receivable()
    frame = terminal.sale(SYBIL, 1_230)
    async with world.line() as line:
        replies = [await line.ask(frame), await line.ask(frame)]
    replies.append(await world.ask(frame))
    assert ["00"] * 3 == [reply.code for reply in replies]
    assert same(replies[0], replies[1])
    assert same(replies[0], replies[2])
    assert all(terminal.sealed(reply) for reply in replies)
    assert before + 1_230 == world.receivable()
    assert 1 == len(world.bank_rows(replies[0][37]))


async def test_declined_sale_again(world: World) -> None:
    """A declined sale is declined again without asking the bank, and a refused one refused."""
    terminal = await world.signed_on()
    for card, amount in ((CARDS["ursula"], 100), (SYBIL, 0)):
        frame = terminal.sale(card, amount)
        first, again = await world.ask(frame), await world.ask(frame)
        assert same(first, again)
        assert len(world.bank_rows(first[37])) <= 1


async def test_timed_out_sale_again(world: World) -> None:
    """A sale that timed out and was undone is never approved under its STAN again: 98 or 94."""
    terminal = await world.signed_on()
    frame = terminal.sale(SYBIL, DROP)
    first = await world.ask(frame)
    assert "98" == first.code
    await world.until(lambda: world.state(first) == "reversed")
    assert "94" == (await world.ask(frame)).code


async def test_same_sale_while_in_flight(world: World) -> None:
    """Copies of a sale in flight, on its connection and on others, wait for its answer."""
    terminal = await world.signed_on()
    before = world.receivable()
    frame = terminal.sale(SYBIL, SLOW)
    async with world.line() as line:
        await line.send(frame, frame)
        replies = await world.ask_all(frame, frame)
        replies += [await line.receive(), await line.receive()]
    assert ["00"] * 4 == [reply.code for reply in replies]
    assert all(same(replies[0], reply) for reply in replies)
    assert before + SLOW == world.receivable()


async def test_other_amount_while_in_flight(world: World) -> None:
    """Of two amounts under one STAN side by side one is a sale, and the other gets 94."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, SLOW)
    other = terminal.frame("0200", fields | {4: "000000000001"})
    async with world.line() as line:
        await line.send(terminal.frame("0200", fields), other)
        replies = [await line.receive(), await line.receive()]
    assert ["00", "94"] == sorted(reply.code for reply in replies)


@pytest.mark.parametrize(
    "change",
    [
        {4: "000000000999"},
        {3: "310000"},
        {35: f"{CARDS['nina'].pan}D{CARDS['nina'].expiry}201"},
        {60: "2200000100051", 61: "000001000001"},
        {59: b"ON003X-1"},
    ],
)
async def test_used_stan(world: World, change: dict[int, Any]) -> None:
    """Another amount, processing code, card, original or order under a used STAN gets 94."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100)
    assert "00" == (await world.ask(terminal.frame("0200", fields))).code
    before = world.balances()
    if 3 in change:
        change = change | {60: "0100000100050"}
    reply = await world.ask(terminal.frame("0200", fields | change))
    assert ("94", True) == (reply.code, terminal.sealed(reply))
    assert before == world.balances()


async def test_what_may_differ(world: World) -> None:
    """The same request with another time of day, entry mode or PIN block is still the same."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100)
    first = await world.ask(terminal.frame("0200", fields))
    again = await world.ask(terminal.frame("0200", fields | {12: "235959", 22: "022"}))
    assert ("00", first[37]) == (again.code, again[37])


async def test_stan_of_another_terminal(world: World) -> None:
    """A STAN belongs to its terminal: another one's sale under it is a sale of its own."""
    one, other = await world.signed_on("10000001"), await world.signed_on("10000009")
    frames = [terminal.sale(SYBIL, 100, stan="777777") for terminal in (one, other)]
    replies = await world.ask_all(*frames)
    assert ["00", "00"] == [reply.code for reply in replies]
    assert replies[0][37] != replies[1][37]


# --- many at once ------------------------------------------------------------------------------


async def test_pipelined(world: World) -> None:
    """Requests in one write are all answered, each once, matched by STAN, in whatever order."""
    terminal = await world.signed_on()
    frames = {f"{8_000_00 + n}": n for n in range(1, 40)}
    async with world.line() as line:
        await line.send(*(terminal.sale(SYBIL, 100 + n, stan=stan) for stan, n in frames.items()))
        replies = [await line.receive() for _ in frames]
    assert {stan: f"{100 + n:012d}" for stan, n in frames.items()} == {
        reply[11]: reply[4] for reply in replies
    }
    assert {"00"} == {reply.code for reply in replies}


@pytest.mark.parametrize("size", [1, 2, 7, 13])
async def test_any_split(world: World, size: int) -> None:
    """Bytes may arrive in any split."""
    terminal = await world.signed_on()
    frames = terminal.sale(SYBIL, 100) + terminal.balance(SYBIL)
    async with world.line() as line:
        for at in range(0, len(frames), size):
            await line.send(frames[at : at + size])
            await trio.lowlevel.checkpoint()
        codes = {(await line.receive()).code, (await line.receive()).code}
    assert {"00"} == codes


async def test_half_closed(world: World) -> None:
    """A terminal that has said all it wants to say still gets its answer."""
    terminal = await world.signed_on()
    async with world.line() as line:
        await line.send(terminal.sale(SYBIL, SLOW))
        await line.finish()
        assert "00" == (await line.receive()).code


async def test_hung_up(world: World) -> None:
    """A sale whose terminal hangs up is carried out, and the same sale is answered from it."""
    terminal = await world.signed_on()
    frame = terminal.sale(SYBIL, SLOW)
    async with world.line() as line:
        await line.send(frame)
    await world.until(lambda: any(line.stan == Reply.of(frame[2:])[11] for line in world.journal()))
    assert "00" == (await world.ask(frame)).code


def test_macs_are_distinct() -> None:
    """The terminal's two MACs differ, so that a test cannot pass under the wrong one."""
    keys = WorkKeys(b"", bytes(range(16)))
    assert MACS["cup_ecb"](keys.mac, b"x") != MACS["x919"](keys.mac, b"x")


# --- repeats of old ----------------------------------------------------------------------------


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_a_copy_of_old_gets_no_old_approval(
    open_world: OpenWorld, request: pytest.FixtureRequest, database: str
) -> None:
    """Within a week a repeat gets its first answer; after 400 days none, and no money moves.

    Nothing else is said either, since the time may be wrong: it is the first answer again then.
    """
    url = request.getfixturevalue("postgresql_url") if database == "postgresql" else ""
    off_ms = [0]
    around = Surroundings(wall_ms=lambda: wall_ms() + off_ms[0])
    async with open_world(url=url, around=around) as world:
        terminal = await world.with_courier()
        sale, declined = terminal.sale(SYBIL, 1_230), terminal.sale(CARDS["ursula"], 100)
        items, amount = de59(ON="SP20261121001", OC="C1001"), {4: f"{21_478:012d}"}
        cash = terminal.order("0200", "900000", "72", items, amount)
        query = terminal.order("0200", "380000", "71", de59(ON="SP20261121003", OC="C1001"))
        frames = [sale, declined, cash, query]
        first = [await world.ask(frame) for frame in frames]
        names: dict[int, str | bytes] = {61: f"{terminal.batch}{first[2][11]}{first[2][13]}"}
        confirm = terminal.order("0220", "900000", "73", de59(ON="SP20261121001"), names)
        assert "00" == (await world.ask(confirm)).code
        voided = await world.ask(terminal.sale(SYBIL, 600))
        void = terminal.void(SYBIL, 600, voided)
        assert "00" == (await world.ask(void)).code
        undone = terminal.sale(SYBIL, 700)
        assert "00" == (await world.ask(undone)).code
        reversal = terminal.reversal(undone)
        assert "00" == (await world.ask(reversal)).code
        balances = world.balances()
        for days in (6, 400, 6):
            await world.drain()
            off_ms[0] = days * 86_400_000
            await world.start_switch()
            for frame, answer in zip(frames, first, strict=True):
                if days == 400:
                    assert await world.is_silent(frame)
                    continue
                again = await world.ask(frame)
                assert same(answer, again)
                assert terminal.sealed(again)
            # These mean the same whenever they come, and have no effect again.
            for frame in (confirm, void, reversal):
                assert "00" == (await world.ask(frame)).code
            assert balances == world.balances()
        assert 1 == len(world.bank_rows(first[0][37]))
        assert "00" == (await world.ask(terminal.sale(SYBIL, 800))).code
        await world.until(lambda: "reversed" in {line.state for line in world.journal()})
