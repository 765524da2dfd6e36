"""A terminal's settlement at two switches: one answer, and no payment beside the sums."""

from __future__ import annotations

from functools import partial

import pytest
from limits import ROUNDS
from pos_terminal import PosTerminal, Reply
from race_estate import OpenPair
from served import ServedWorld, asked, at_once

from acquirer.ledger.journal.batches import BatchState
from acquirer.ledger.reports.batches import BatchReport, batch_reports
from acquirer.ledger.store.database import Database

pytestmark = pytest.mark.anyio

TERMINAL = "10000001"
CLOSE = f"terminals/{TERMINAL}/close-batch"


def sale(switch: ServedWorld, terminal: PosTerminal) -> bytes:
    """A sale of 1.00 without a PIN."""
    return terminal.sale(switch.estate.cards[0], 100, pin="")


def debit(reply: Reply) -> int:
    """Of the domestic half of a 0510."""
    return int(reply[48][:12])


def reports(switch: ServedWorld) -> list[BatchReport]:
    """All batches of the terminal."""
    with Database(switch.url).read_only_engine().connect() as connection:
        return list(batch_reports(connection, TERMINAL))


async def signed_on(switch: ServedWorld) -> PosTerminal:
    """The terminal with fresh keys, in its newest batch."""
    terminal = switch.terminal(TERMINAL)
    terminal.take_keys(await switch.ask(terminal.sign_on()))
    return terminal


async def test_a_settlement_at_both(open_pair: OpenPair) -> None:
    """The same 0500 gets the same answer at both; the upload's end at both closes one batch."""
    async with open_pair() as (one, other):
        for turn in range(ROUNDS):
            terminal = await signed_on((one, other)[turn % 2])
            assert "00" == (await one.ask(sale(one, terminal))).code
            frame = terminal.settlement((100, 1))
            replies = await asked((one, frame), (other, frame), (one, frame))
            assert [100] * 3 == [debit(reply) for reply in replies]
            assert 1 == len({reply[48] for reply in replies})
            end = terminal.upload_end(1, "207")
            assert ["00"] * 3 == [
                reply.code for reply in await asked((other, end), (one, end), (other, end))
            ]
        found = reports(one)
        assert [BatchState.BALANCED] * ROUNDS == [report.state for report in found]
        assert ROUNDS == len({report.batch for report in found})
        await one.agree()


async def test_a_sale_beside_the_settlement(open_pair: OpenPair) -> None:
    """It is in the sums or it is refused, at whichever switch it is asked for."""
    async with open_pair() as (one, other):
        for turn in range(ROUNDS):
            near, far = ((one, other), (other, one))[turn % 2]
            terminal = await signed_on(near)
            assert ["00", "00"] == [
                (await switch.ask(sale(one, terminal))).code for switch in (near, far)
            ]
            beside = [(switch, sale(one, terminal)) for switch in (far, near, far)]
            settlement = terminal.settlement((200, 2))
            reply, *sales = await asked((near, settlement), *beside)
            assert {one.code for one in sales} <= {"00", "90"}
            approved = 200 + 100 * sum(one.code == "00" for one in sales)
            assert approved == debit(reply)
            code = "207" if approved == 200 else "202"
            assert "00" == (await far.ask(terminal.upload_end(0, code))).code
            assert approved == reports(one)[-1].switch_totals.debit_minor
        assert not any(report.changed_after_close for report in reports(one))
        await one.agree()


async def test_an_operator_closes_beside_the_terminal(open_pair: OpenPair) -> None:
    """One of them closes the batch, and no sale is in it that its sums do not have."""
    async with open_pair() as (one, other):
        for turn in range(ROUNDS):
            near, far = ((one, other), (other, one))[turn % 2]
            terminal = await signed_on(near)
            assert "00" == (await near.ask(sale(one, terminal))).code
            assert 100 == debit(await near.ask(terminal.settlement((100, 1))))
            end = terminal.upload_end(1, "207")

            async def ended(switch: ServedWorld, frame: bytes) -> str:
                return str((await switch.ask(frame)).code)

            async def closed(switch: ServedWorld) -> str:
                status, _ = await switch.operate(CLOSE)
                return str(status)

            told = await at_once(partial(ended, near, end), partial(closed, far))
            assert ("00", True) == (told[0], told[1] in ("200", "409"))
        found = reports(one)
        assert ROUNDS == len(found)
        assert {one.state for one in found} <= {BatchState.BALANCED, BatchState.UNSETTLED}
        await one.agree()
