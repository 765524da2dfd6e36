"""The main job on both databases: a day at one counter and one doorstep, then all books agree."""

from __future__ import annotations

import pytest
from pos_terminal import de59
from world import OpenWorld

from acquirer.config.estate import load_estate

pytestmark = pytest.mark.anyio

ALICE = next(card for card in load_estate().cards if card.name == "alice")


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_main_job(
    database: str, open_world: OpenWorld, request: pytest.FixtureRequest
) -> None:
    """Sign-on, sale, void, reversal, time-out, order query to receipt: all four books agree."""
    url = request.getfixturevalue("postgresql_url") if database == "postgresql" else ""
    async with open_world(url=url) as world:
        terminal = await world.with_courier()
        sale = await world.ask(terminal.sale(ALICE, 10_000))
        assert "00" == sale.code
        voided = await world.ask(terminal.sale(ALICE, 2_500))
        assert "00" == (await world.ask(terminal.void(ALICE, 2_500, voided))).code
        frame = terminal.sale(ALICE, 700)
        assert "00" == (await world.ask(frame)).code
        assert "00" == (await world.ask(terminal.reversal(frame))).code
        assert "98" == (await world.ask(terminal.sale(ALICE, 6601))).code

        items = de59(ON="SP20261121001", OC="C1001")
        due = await world.ask(terminal.order("0200", "380000", "71", items))
        assert ("00", "000000021478") == (due.code, due[4])
        paid = await world.ask(
            terminal.order(
                "0200",
                "000000",
                "72",
                items,
                {4: due[4], **terminal.card_fields(ALICE, None)},
            )
        )
        assert "00" == paid.code
        names = {61: f"{terminal.batch}{paid[11]}{paid[13]}"}
        confirmed = await world.ask(terminal.order("0220", "000000", "73", items, names))
        assert "00" == confirmed.code
        signed = await world.ask(
            terminal.order(
                "0220", "920000", "74", de59(ON="SP20261121001", OC="C1001", OR="李雷"), names
            )
        )
        assert "00" == signed.code
        await world.until(lambda: world.order("SP20261121001").state == "signed_for")
        await world.agree()
        assert 10_000 + 21_478 == world.receivable()
        assert (
            -(10_000 - 120 + 21_478 - 258)
            == world.balances()["liabilities:merchant:898110053310001"]
        )
