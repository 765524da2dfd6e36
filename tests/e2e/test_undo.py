"""Reversals and voids: whatever the original's state, the money is where it belongs afterwards."""

from __future__ import annotations

import pytest
from pos_terminal import Reply
from world import OpenWorld, World

from acquirer.config.estate import load_estate

pytestmark = pytest.mark.anyio

CARDS = {card.name: card for card in load_estate().cards}
SYBIL = CARDS["sybil"]
DROP, SLOW, STUBBORN, VOID_DROP, VOID_SLOW = 6601, 6604, 6609, 6610, 6611
DATE = slice(0, 4)


# --- reversal ----------------------------------------------------------------------------------


async def test_approved_sale(world: World) -> None:
    """The reversal of an approved sale is 00, undoes the books and reaches the bank once."""
    terminal = await world.signed_on()
    before = world.balances()
    frame = terminal.sale(SYBIL, 4_200)
    sale = await world.ask(frame)
    reply = await world.ask(terminal.reversal(frame, "06"))
    assert ("0410", "00", True) == (reply.mti, reply.code, terminal.sealed(reply))
    assert (sale[3], sale[4], sale[11], sale[60]) == (reply[3], reply[4], reply[11], reply[60])
    assert before == {name: world.balances()[name] for name in before}
    await world.until(lambda: world.state(sale) == "reversed")
    assert ["reversed"] == [row["state"] for row in world.bank_rows(sale[37])]
    assert [("06", "00")] == [
        (row["reason"], row["response_code"]) for row in world.bank_reversals(sale[37])
    ]


async def test_repeated(world: World) -> None:
    """A repeated reversal gets its first answer; the bank gets one reversal."""
    terminal = await world.signed_on()
    frame = terminal.sale(SYBIL, 4_300)
    sale = await world.ask(frame)
    reversal = terminal.reversal(frame)
    first = await world.ask(reversal)
    again = await world.ask(reversal)
    assert ("00", "00") == (first.code, again.code)
    assert first.without(64) == again.without(64)
    await world.until(lambda: world.state(sale) == "reversed")
    assert 1 == len(world.bank_reversals(sale[37]))


async def test_many_at_once(world: World) -> None:
    """Copies of one reversal at the same moment are all 00 and undo the sale once."""
    terminal = await world.signed_on()
    before = world.receivable()
    frame = terminal.sale(SYBIL, 4_400)
    sale = await world.ask(frame)
    replies = await world.ask_all(*[terminal.reversal(frame)] * 6)
    assert ["00"] * 6 == [reply.code for reply in replies]
    assert before == world.receivable()
    await world.until(lambda: world.state(sale) == "reversed")
    assert 1 == len(world.bank_reversals(sale[37]))


async def test_sale_after_its_reversal(world: World) -> None:
    """The same sale after its reversal gets 94, never 00."""
    terminal = await world.signed_on()
    frame = terminal.sale(SYBIL, 4_500)
    sale = await world.ask(frame)
    assert "00" == (await world.ask(terminal.reversal(frame))).code
    assert "94" == (await world.ask(frame)).code
    await world.until(lambda: world.state(sale) == "reversed")
    assert "94" == (await world.ask(frame)).code


async def test_unknown_original(world: World) -> None:
    """An unknown original gets 25, each time; arriving late it gets 94, and no bank hears of it."""
    terminal = await world.signed_on()
    before = world.receivable()
    frame = terminal.sale(SYBIL, 4_600)
    reversal = terminal.reversal(frame)
    assert ["25", "25"] == [(await world.ask(reversal)).code for _ in range(2)]
    late = await world.ask(frame)
    assert ("94", True) == (late.code, terminal.sealed(late))
    assert "25" == (await world.ask(reversal)).code
    assert before == world.receivable()


async def test_declined_original(world: World) -> None:
    """A declined original gets 00 with no effect; its answer stays what it was."""
    terminal = await world.signed_on()
    frame = terminal.sale(CARDS["ursula"], 100)
    declined = await world.ask(frame)
    assert "00" == (await world.ask(terminal.reversal(frame))).code
    assert "declined" == world.state(declined)
    assert [] == world.bank_reversals(declined[37])
    assert "41" == (await world.ask(frame)).code


async def test_refused_original(world: World) -> None:
    """An original that never went to a bank gets 00 with no effect."""
    terminal = await world.signed_on()
    frame = terminal.sale(SYBIL, 0)
    assert "13" == (await world.ask(frame)).code
    assert "00" == (await world.ask(terminal.reversal(frame))).code


async def test_timed_out_original(world: World) -> None:
    """The terminal's reversal of a sale that the switch undoes already is 00 and nothing more."""
    terminal = await world.signed_on()
    frame = terminal.sale(SYBIL, DROP)
    sale = await world.ask(frame)
    assert "98" == sale.code
    assert "00" == (await world.ask(terminal.reversal(frame))).code
    await world.until(lambda: world.state(sale) == "reversed")
    assert 1 == len(world.bank_reversals(sale[37]))


async def test_original_in_flight(world: World) -> None:
    """A reversal that overtakes its sale's answer: 00, and the sale's late approval is not told."""
    terminal = await world.signed_on()
    before = world.receivable()
    frame = terminal.sale(SYBIL, SLOW)
    stan = Reply.of(frame[2:])[11]
    async with world.line() as line:
        await line.send(frame)
        await world.until(lambda: any(entry.stan == stan for entry in world.journal()))
        assert "00" == (await world.ask(terminal.reversal(frame))).code
        late = await line.receive()
    assert ("94", True) == (late.code, terminal.sealed(late))
    assert before == world.receivable()
    (entry,) = (line for line in world.journal() if line.stan == stan and line.kind == "sale")
    await world.until(lambda: world.entry(entry.rrn).state == "reversed")
    assert ["reversed"] == [row["state"] for row in world.bank_rows(entry.rrn)]


async def test_reversal_of_another_amount(world: World) -> None:
    """A reversal of another amount undoes nothing, and does not stand in the right one's way."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 4_700)
    frame = terminal.frame("0200", fields)
    sale = await world.ask(frame)
    other = terminal.frame("0200", fields | {4: "000000000001"})
    assert "64" == (await world.ask(terminal.reversal(other))).code
    assert "approved" == world.state(sale)
    assert "00" == (await world.ask(terminal.reversal(frame))).code
    await world.until(lambda: world.state(sale) == "reversed")


async def test_balance_inquiry(world: World) -> None:
    """A balance inquiry is not reversible."""
    terminal = await world.signed_on()
    frame = terminal.balance(SYBIL)
    assert "00" == (await world.ask(frame)).code
    assert "12" == (await world.ask(terminal.reversal(frame))).code


async def test_wrong_mac(world: World) -> None:
    """A forged reversal is A0; the sale stands."""
    terminal = await world.signed_on()
    frame = terminal.sale(SYBIL, 4_800)
    sale = await world.ask(frame)
    assert "A0" == (await world.ask(terminal.reversal(frame)[:-8] + b"00000000")).code
    assert "approved" == world.state(sale)


# --- void --------------------------------------------------------------------------------------


async def test_void(world: World) -> None:
    """A void posts the sale back, at the bank too; again it gets its first answer."""
    terminal = await world.signed_on()
    before = world.balances()
    sale = await world.ask(terminal.sale(SYBIL, 5_000))
    frame = terminal.void(SYBIL, 5_000, sale)
    reply = await world.ask(frame)
    assert ("0210", "00", True) == (reply.mti, reply.code, terminal.sealed(reply))
    assert {3, 4, 11, 12, 13, 15, 25, 37, 38, 39, 41, 42, 49, 60, 64} == set(reply.fields)
    assert ("voided", "approved") == (world.state(sale), world.state(reply))
    assert ["voided"] == [row["state"] for row in world.bank_rows(sale[37])]
    assert before == {name: world.balances()[name] for name in before}
    assert reply.without(12, 13, 64) == (await world.ask(frame)).without(12, 13, 64)


async def test_void_twice(world: World) -> None:
    """A second void of a sale gets 12."""
    terminal = await world.signed_on()
    sale = await world.ask(terminal.sale(SYBIL, 5_100))
    assert "00" == (await world.ask(terminal.void(SYBIL, 5_100, sale))).code
    assert "12" == (await world.ask(terminal.void(SYBIL, 5_100, sale))).code


async def test_void_race(world: World) -> None:
    """Of several voids of one sale at the same moment one is 00, the others 12."""
    terminal = await world.signed_on()
    before = world.receivable()
    sale = await world.ask(terminal.sale(SYBIL, 5_200))
    replies = await world.ask_all(*[terminal.void(SYBIL, 5_200, sale) for _ in range(5)])
    assert ["00", "12", "12", "12", "12"] == sorted(reply.code for reply in replies)
    assert before == world.receivable()


async def test_void_refusals(world: World) -> None:
    """Unknown original 25, another card 14, more than the original 61, less 13; all leave it."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 5_300)
    sale = await world.ask(terminal.frame("0200", fields))
    declined = await world.ask(terminal.sale(CARDS["ursula"], 5_300))
    nowhere = Reply(sale.tpdu, sale.header, sale.mti, {**sale.fields, 11: "987654"}, sale.raw)
    misnamed = Reply(sale.tpdu, sale.header, sale.mti, {**sale.fields, 37: "0" * 12}, sale.raw)
    codes = {
        "unknown": terminal.void(SYBIL, 5_300, nowhere),
        "rrn": terminal.void(SYBIL, 5_300, misnamed),
        "card": terminal.void(CARDS["nina"], 5_300, sale),
        "more": terminal.void(SYBIL, 5_301, sale),
        "less": terminal.void(SYBIL, 5_299, sale),
        "state": terminal.void(CARDS["ursula"], 5_300, declined),
    }
    answers = {name: (await world.ask(frame)).code for name, frame in codes.items()}
    expected = {
        "unknown": "25",
        "rrn": "25",
        "card": "14",
        "more": "61",
        "less": "13",
        "state": "12",
    }
    assert expected == answers
    assert "approved" == world.state(sale)


async def test_void_of_another_terminals_sale(world: World) -> None:
    """A terminal voids its own sales only."""
    one, other = await world.signed_on("10000001"), await world.signed_on("10000009")
    sale = await world.ask(one.sale(SYBIL, 5_400))
    assert "25" == (await world.ask(other.void(SYBIL, 5_400, sale))).code


async def test_void_of_a_reversed_sale(world: World) -> None:
    """A reversed sale cannot be voided."""
    terminal = await world.signed_on()
    frame = terminal.sale(SYBIL, 5_500)
    sale = await world.ask(frame)
    assert "00" == (await world.ask(terminal.reversal(frame))).code
    assert "12" == (await world.ask(terminal.void(SYBIL, 5_500, sale))).code


async def test_reversal_of_a_voided_sale(world: World) -> None:
    """A voided sale is undone already: its reversal is 00, adds nothing, and closes it for good."""
    terminal = await world.signed_on()
    before = world.receivable()
    frame = terminal.sale(SYBIL, 5_600)
    sale = await world.ask(frame)
    void = terminal.void(SYBIL, 5_600, sale)
    assert "00" == (await world.ask(void)).code
    assert "00" == (await world.ask(terminal.reversal(frame))).code
    assert ("reversed", before) == (world.state(sale), world.receivable())
    assert [] == world.bank_reversals(sale[37])
    assert "00" == (await world.ask(terminal.reversal(void))).code
    assert ("reversed", before) == (world.state(sale), world.receivable())


async def test_reversal_of_a_void(world: World) -> None:
    """A reversed void gives the sale its effect back, here and at the bank."""
    terminal = await world.signed_on()
    before = world.receivable()
    sale = await world.ask(terminal.sale(SYBIL, 5_700))
    frame = terminal.void(SYBIL, 5_700, sale)
    void = await world.ask(frame)
    assert "00" == (await world.ask(terminal.reversal(frame))).code
    await world.until(lambda: world.state(void) == "reversed")
    assert ("approved", before + 5_700) == (world.state(sale), world.receivable())
    assert ["approved"] == [row["state"] for row in world.bank_rows(sale[37])]
    assert "94" == (await world.ask(frame)).code


async def test_void_again_after_its_reversal(world: World) -> None:
    """Once the bank has taken a void back, the sale may be voided anew."""
    terminal = await world.signed_on()
    before = world.receivable()
    sale = await world.ask(terminal.sale(SYBIL, 5_800))
    frame = terminal.void(SYBIL, 5_800, sale)
    void = await world.ask(frame)
    assert "00" == (await world.ask(terminal.reversal(frame))).code
    await world.until(lambda: world.state(void) == "reversed")
    assert "00" == (await world.ask(terminal.void(SYBIL, 5_800, sale))).code
    assert ("voided", before) == (world.state(sale), world.receivable())
    assert ["voided"] == [row["state"] for row in world.bank_rows(sale[37])]


async def test_void_against_reversal(world: World) -> None:
    """A void and a reversal of one sale at the same moment: it is undone exactly once."""
    terminal = await world.signed_on()
    before = world.receivable()
    for _ in range(5):
        frame = terminal.sale(SYBIL, 5_900)
        sale = await world.ask(frame)
        void, reversal = await world.ask_all(
            terminal.void(SYBIL, 5_900, sale), terminal.reversal(frame)
        )
        assert ("00", True) == (reversal.code, void.code in ("00", "12"))
        assert before == world.receivable()
    await world.agree()


async def test_void_times_out(world: World) -> None:
    """A void without an answer: 98, the sale stands, and the bank is brought back to that."""
    terminal = await world.signed_on()
    before = world.receivable()
    sale = await world.ask(terminal.sale(SYBIL, VOID_DROP))
    void = await world.ask(terminal.void(SYBIL, VOID_DROP, sale))
    assert "98" == void.code
    await world.until(lambda: world.state(void) == "reversed")
    assert ("approved", before + VOID_DROP) == (world.state(sale), world.receivable())
    assert ["approved"] == [row["state"] for row in world.bank_rows(sale[37])]


async def test_reversal_of_a_sale_while_its_void_is_being_undone(open_world: OpenWorld) -> None:
    """While a timed-out void is not undone at the bank, the sale can be reversed, not voided."""
    async with open_world() as world:
        terminal = await world.signed_on()
        frame = terminal.sale(SYBIL, VOID_DROP)
        sale = await world.ask(frame)
        void = terminal.void(SYBIL, VOID_DROP, sale)
        async with world.line() as line:
            await line.send(void)
            await world.until(
                lambda: any(row["state"] == "voided" for row in world.bank_rows(sale[37]))
            )
            await world.stop("bank")
            timed_out = await line.receive()
        assert "98" == timed_out.code
        assert "timed_out" == world.state(timed_out)
        held = await world.ask(terminal.void(SYBIL, VOID_DROP, sale))
        assert held.code in ("12", "91")
        assert "00" == (await world.ask(terminal.reversal(frame))).code
        await world.start("bank")
        await world.until(lambda: world.state(sale) == "reversed")
        await world.agree()
        assert 0 == world.receivable()


async def test_second_void_cannot_overtake_the_undoing_of_the_first(open_world: OpenWorld) -> None:
    """A void is refused while the bank has not yet answered the reversal of an earlier one."""
    from acquirer.hosts_sim.bank.settings import Match, Rule

    hold = Rule(Match(mti="0400"), fault="drop", times=1)
    async with open_world(bank_rules=[hold]) as world:
        terminal = await world.signed_on()
        sale = await world.ask(terminal.sale(SYBIL, 5_000))
        frame = terminal.void(SYBIL, 5_000, sale)
        first = await world.ask(frame)
        assert "00" == (await world.ask(terminal.reversal(frame))).code
        assert "12" == (await world.ask(terminal.void(SYBIL, 5_000, sale))).code
        await world.until(lambda: world.state(first) == "reversed")
        assert "00" == (await world.ask(terminal.void(SYBIL, 5_000, sale))).code
        await world.agree()
        assert ["voided"] == [row["state"] for row in world.bank_rows(sale[37])]
