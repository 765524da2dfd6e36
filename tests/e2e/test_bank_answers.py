"""Answers of a bank that are neither an approval nor a clear refusal, and reversals it refuses."""

from __future__ import annotations

import httpx
import pytest
from world import OpenWorld

from acquirer.config.estate import load_estate
from acquirer.hosts_sim.bank.settings import Match, Rule
from acquirer.ledger.reports.saf import SafLine, saf_lines
from acquirer.ledger.store.database import Database

pytestmark = pytest.mark.anyio

SYBIL = next(card for card in load_estate().cards if card.name == "sybil")
DROP = 6601


@pytest.mark.parametrize("code", ["08", "09", "10", "32", "68", "85", "A2", "ZZ"])
async def test_an_answer_that_is_no_clear_refusal_is_undone(
    open_world: OpenWorld, code: str
) -> None:
    """The bank may have moved the money: the terminal gets 98, the bank a reversal."""
    rule = Rule(Match(processing_code="00"), response_code=code)
    async with open_world(bank_rules=[rule]) as world:
        terminal = await world.signed_on()
        reply = await world.ask(terminal.sale(SYBIL, 1_000))
        assert "98" == reply.code
        await world.until(lambda: world.state(reply) == "reversed")
        assert 1 == len(world.bank_reversals(reply[37]))
        assert 0 == world.receivable()


@pytest.mark.parametrize("by_terminal", [False, True])
@pytest.mark.parametrize("code", ["05", "58"])
async def test_a_bank_that_refuses_a_reversal_still_has_the_payment(
    open_world: OpenWorld, code: str, by_terminal: bool
) -> None:
    """Nothing is reversed: a dead letter says what is owed and why, and an alarm stands."""
    kept = Rule(Match(amount_minor=DROP, processing_code="00", mti="0200"), fault="drop")
    refuses = Rule(Match(mti="040"), response_code=code)
    async with open_world(bank_rules=[kept, refuses]) as world:
        terminal = await world.signed_on()
        frame = terminal.sale(SYBIL, 1_000 if by_terminal else DROP)
        sale = await world.ask(frame)
        assert ("00" if by_terminal else "98") == sale.code
        if by_terminal:
            assert "00" == (await world.ask(terminal.reversal(frame))).code

        def owed() -> list[SafLine]:
            with Database(world.url).read_only_engine().connect() as connection:
                return list(saf_lines(connection))

        await world.until(lambda: [line.is_dead for line in owed()] == [True])
        assert f"the bank refused it: response code {code}" == owed()[0].dead_reason
        assert ("reversing" if by_terminal else "timed_out") == world.state(sale)
        assert ["approved"] == [row["state"] for row in world.bank_rows(sale[37])]
        assert [] == world.bank_reversals(sale[37])
        async with httpx.AsyncClient() as client:
            base = f"http://{world.http}"

            async def has_alarm() -> bool:
                metrics = (await client.get(f"{base}/metrics")).text
                return 'acquirer_alarm{alarm="saf_dead_letter"} 1.0' in metrics

            await world.until(has_alarm)
