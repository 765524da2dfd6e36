"""A terminal's batch: its sums, its settlement, what differs, and what a closed one still takes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from operated import operated, run
from pos_terminal import PosTerminal, Reply
from world import REFUSED, SLOW, OpenWorld, World, card

from acquirer.ledger.journal.batches import BatchState
from acquirer.ledger.reports.batches import BatchReport, batch_reports
from acquirer.ledger.store.database import Database

pytestmark = pytest.mark.anyio

SYBIL, ALICE = card("sybil"), card("alice")
TID = "10000001"


@pytest.fixture
async def world(open_world: OpenWorld) -> AsyncIterator[World]:
    """An estate of the test's own."""
    async with open_world() as world:
        yield world
        await world.agree()


def batches(world: World, terminal_id: str = TID) -> list[BatchReport]:
    """What an operator sees."""
    with Database(world.url).read_only_engine().connect() as connection:
        return list(batch_reports(connection, terminal_id))


def sums(reply: Reply) -> tuple[int, int, int, int, int]:
    """The domestic half of a 0510, with its flag."""
    text = reply[48]
    return int(text[:12]), int(text[12:15]), int(text[15:27]), int(text[27:30]), int(text[30])


async def next_batch(world: World, terminal: PosTerminal) -> None:
    """Sign on once more."""
    terminal.take_keys(await world.ask(terminal.sign_on()))


async def a_day(world: World, terminal: PosTerminal) -> dict[str, Reply]:
    """Sales of 500 and 700 and one of 900 that is voided, a refund of 200, and what counts not."""
    found = {"one": await world.ask(terminal.sale(SYBIL, 500))}
    found["two"] = await world.ask(terminal.sale(ALICE, 700))
    void = await world.ask(terminal.sale(SYBIL, 900))
    assert "00" == (await world.ask(terminal.void(SYBIL, 900, void))).code
    found["refund"] = await world.ask(terminal.refund(SYBIL, 200, found["one"]))
    assert "05" == (await world.ask(terminal.sale(SYBIL, REFUSED))).code
    undone = terminal.sale(SYBIL, 300)
    assert ["00", "00"] == [
        (await world.ask(frame)).code for frame in (undone, terminal.reversal(undone))
    ]
    await world.ask(terminal.balance(SYBIL))
    return found | {"void": void}


async def test_a_balanced_batch(world: World) -> None:
    """Voids and refunds are credit, what was undone is nothing; then the next batch is open."""
    terminal = await world.signed_on()
    await a_day(world, terminal)
    (report,) = batches(world)
    assert (BatchState.OPEN, 2_100, 3, 1_100, 2) == (
        report.state,
        report.switch_totals.debit_minor,
        report.switch_totals.debit_count,
        report.switch_totals.credit_minor,
        report.switch_totals.credit_count,
    )
    frame = terminal.settlement((2_100, 3), (1_100, 2))
    reply = await world.ask(frame)
    assert ("0510", False, (2_100, 3, 1_100, 2, 1)) == (reply.mti, 39 in reply.fields, sums(reply))
    assert (terminal.batch, "1") == (reply[60][2:8], reply[48][61])
    assert reply[48] == (await world.ask(frame))[48]
    for refused in (terminal.sale(SYBIL, 100), terminal.sale(SYBIL, 100)):
        assert "90" == (await world.ask(refused)).code
    end = terminal.upload_end(4, "207")
    assert ["00", "00"] == [(await world.ask(end)).code for _ in range(2)]
    assert reply[48] == (await world.ask(frame))[48]
    (report,) = batches(world)
    assert (BatchState.BALANCED, (), False) == (
        report.state,
        report.differences,
        report.changed_after_close,
    )
    told = await world.ask(terminal.sale(SYBIL, 100))
    assert ("77", 3, "000002") == (told.code, told.demand, told[60][2:8])
    await next_batch(world, terminal)
    assert "000002" == terminal.batch
    assert "00" == (await world.ask(terminal.sale(SYBIL, 100))).code


async def test_every_difference_is_told(world: World) -> None:
    """What one side has not, other amounts, other cards, and what was undone here."""
    terminal = await world.signed_on()
    day = await a_day(world, terminal)
    reply = await world.ask(terminal.settlement((1, 1)))
    assert (2_100, 3, 1_100, 2, 2) == sums(reply)
    one, two, void = day["one"][11], day["two"][11], day["void"][11]
    first = terminal.upload((one, SYBIL.pan, 501), ("000999", SYBIL.pan, 5))
    for frame in (first, first, terminal.upload((two, SYBIL.pan, 700), (void, SYBIL.pan, 900))):
        assert "00" == (await world.ask(frame)).code
    assert "00" == (await world.ask(terminal.upload_end(4))).code
    (report,) = batches(world)
    assert BatchState.UNBALANCED is report.state
    assert {
        ("amount_differs", one, 501, 500),
        ("missing_here", "000999", 5, None),
        ("card_differs", two, 700, 700),
        ("state_differs", void, 900, 900),
        ("missing_at_terminal", day["refund"][11], None, 200),
    } == {(d.kind, d.stan, d.terminal_minor, d.switch_minor) for d in report.differences}
    assert "00" == (await world.ask(first)).code
    assert 5 == len(batches(world)[0].differences)


async def test_what_belongs_to_a_closed_batch(world: World) -> None:
    """A void gets 12, a refund goes on, a reversal works and marks the batch."""
    terminal = await world.signed_on()
    first = terminal.sale(SYBIL, 500)
    sale, other = await world.ask(first), await world.ask(terminal.sale(SYBIL, 700))
    await world.ask(terminal.settlement((1_200, 2)))
    await world.ask(terminal.upload_end(2, "207"))
    void = terminal.sale_fields(SYBIL, 700, pin="") | {
        3: "200000",
        37: other[37],
        38: other[38],
        61: f"{terminal.batch}{other[11]}{other[13]}",
    }
    settled = terminal.batch
    await next_batch(world, terminal)
    frame = terminal.frame("0200", void | {60: f"23{terminal.batch}00050"})
    assert "12" == (await world.ask(frame)).code
    terminal.batch = settled
    assert "00" == (await world.ask(terminal.refund(SYBIL, 200, other))).code
    assert "00" == (await world.ask(terminal.reversal(first))).code
    await world.until(lambda: "reversed" == world.state(sale))
    report = batches(world)[0]
    assert (BatchState.BALANCED, True, 1_200) == (
        report.state,
        report.changed_after_close,
        report.switch_totals.debit_minor,
    )


async def test_a_settlement_waits_for_what_is_under_way(world: World) -> None:
    """A sale that is at the bank is in the sums, whichever came first."""
    terminal = await world.signed_on()
    slow, settlement = terminal.sale(SYBIL, SLOW), terminal.settlement((SLOW, 1))
    sale, reply, *_ = await world.ask_all(slow, settlement)
    counted = SLOW if sale.code == "00" else 0
    assert sale.code in ("00", "90")
    assert counted == sums(reply)[0]
    assert counted == batches(world)[0].switch_totals.debit_minor


async def test_a_crash_between_question_and_answer(world: World) -> None:
    """The same 0500 gets the answer from the next process; nothing was settled twice."""
    terminal = await world.signed_on()
    assert "00" == (await world.ask(terminal.sale(SYBIL, 500))).code
    frame = terminal.settlement((500, 1))
    first = await world.ask(frame)
    await world.stop("switch")
    await world.start_switch()
    assert "90" == (await world.ask(terminal.sale(SYBIL, 100))).code
    assert first[48] == (await world.ask(frame))[48]
    assert "00" == (await world.ask(terminal.upload_end(1, "207"))).code
    assert [BatchState.BALANCED] == [report.state for report in batches(world)]


async def test_what_is_no_settlement(world: World) -> None:
    """30 what does not parse, 12 an upload without settlement, 77 another batch: none is taken."""
    terminal = await world.signed_on()
    assert "00" == (await world.ask(terminal.sale(SYBIL, 500))).code
    numbered = {11: terminal.next_stan(), 60: f"00{terminal.batch}201"}
    for de48 in ("1" * 61, "0900"):
        for mti in ("0500", "0320"):
            frame = terminal.frame(mti, numbered | {48: de48}, mac=False)
            assert ("30", 0) == ((reply := await world.ask(frame)).code, reply.demand)
    assert "12" == (await world.ask(terminal.upload((terminal.next_stan(), "", 1)))).code
    assert "12" == (await world.ask(terminal.upload_end(1))).code
    terminal.batch = "000777"
    stray = await world.ask(terminal.settlement())
    assert ("77", 3, "000001") == (stray.code, stray.demand, stray[60][2:8])
    assert [BatchState.OPEN] == [report.state for report in batches(world)]


async def test_certificates_are_kept_enciphered(world: World) -> None:
    """Without card number, track and name, once each."""
    terminal = await world.signed_on()
    assert "00" == (await world.ask(terminal.sale(SYBIL, 500))).code
    await world.ask(terminal.settlement((1, 1)))
    chip = bytes.fromhex("5A08" + SYBIL.pan[:16] + "9F2608" + "A1" * 8)
    fields: dict[int, str | bytes] = {11: terminal.next_stan(), 55: chip}
    fields[60] = f"00{terminal.batch}203"
    for _ in range(2):
        assert "00" == (await world.ask(terminal.frame("0320", fields, mac=False))).code
    with Database(world.url).read_only_engine().connect() as connection:
        rows = connection.exec_driver_sql("SELECT cipher FROM batch_certificates").all()
    assert [12 + 11 + 16] == [len(row[0]) for row in rows]
    assert bytes.fromhex("A1" * 8) not in rows[0][0]


async def test_with_settlement_mac_a_wrong_one_changes_nothing(open_world: OpenWorld) -> None:
    """A0 without or with a wrong MAC; the answers are sealed."""
    async with open_world() as world:
        profiles = msgspec.to_builtins((await world.settings()).profiles)
        world.changes["profiles"] = [one | {"settlement_mac": True} for one in profiles]
        await world.stop("switch")
        await world.start_switch()
        terminal = await world.signed_on()
        assert "00" == (await world.ask(terminal.sale(SYBIL, 500))).code
        wrong = terminal.settlement((500, 1), mac=True)[:-1] + b"\0"
        for frame in (terminal.settlement((500, 1)), wrong, terminal.upload_end(1)):
            assert "A0" == (await world.ask(frame)).code
        assert "00" == (await world.ask(terminal.sale(SYBIL, 500))).code
        reply = await world.ask(terminal.settlement((1_000, 2), mac=True))
        assert ((1_000, 2, 0, 0, 1), True) == (sums(reply), terminal.sealed(reply))
        end = await world.ask(terminal.upload_end(2, "207", mac=True))
        assert ("00", True) == (end.code, terminal.sealed(end))
        await world.agree()


async def test_an_operator_closes_what_is_not_settled(open_world: OpenWorld) -> None:
    """Open or half settled; the terminal gets the next batch at its sign-on; R04 where none is."""
    async with operated(open_world) as world:
        close = ("batches", "close", TID)
        assert 1 == (await run(world.folder, *close))[0]
        terminal = await world.signed_on()
        for settles in (False, True):
            assert "00" == (await world.ask(terminal.sale(SYBIL, 500))).code
            if settles:
                await world.ask(terminal.settlement((1, 1)))
            batch = terminal.batch
            done = {"terminal_id": TID, "batch": batch, "state": "unsettled"}
            assert (0, done) == await run(world.folder, *close)
            assert "77" == (await world.ask(terminal.sale(SYBIL, 100))).code
            await next_batch(world, terminal)
        code, told = await run(world.folder, "batches", "--terminal", TID)
        assert (0, ["unsettled", "unsettled"]) == (code, [one["state"] for one in told["batches"]])
        first: dict[str, Any] = told["batches"][0]
        assert (None, 500, [], False) == (
            first["terminal_totals"],
            first["switch_totals"]["debit_minor"],
            first["differences"],
            first["changed_after_close"],
        )
        await world.agree()
