"""Operators and terminals: working keys that end by an operator's word."""

from __future__ import annotations

import httpx
import pytest
from operated import TOKEN, operated, run
from pos_terminal import PosTerminal
from world import OpenWorld

from acquirer.config.estate import load_estate

pytestmark = pytest.mark.anyio

SYBIL = next(card for card in load_estate().cards if card.name == "sybil")
END_KEYS = ("terminals", "end-keys")


async def test_an_operator_ends_a_terminals_keys(open_world: OpenWorld) -> None:
    """Confirmed and waiting keys end, other terminals' do not; a new sign-on works."""
    async with operated(open_world) as world:
        terminal, other = await world.signed_on("10000003"), await world.signed_on("10000004")
        assert "00" == (await world.ask(terminal.sale(SYBIL, 100))).code
        confirmed = terminal.keys
        waiting = terminal.take_keys(await world.ask(terminal.sign_on()))
        done = {"terminal_id": "10000003", "had_keys": True}
        assert (0, done) == await run(world.folder, *END_KEYS, "10000003")
        for keys in (confirmed, waiting):
            terminal.keys = keys
            reply = await world.ask(terminal.sale(SYBIL, 100))
            assert ("77", 3, False) == (reply.code, reply.demand, 64 in reply.fields)
        assert "00" == (await world.ask(other.sale(SYBIL, 100))).code

        assert (0, done | {"had_keys": False}) == await run(world.folder, *END_KEYS, "10000003")
        terminal.take_keys(await world.ask(terminal.sign_on()))
        assert "00" == (await world.ask(terminal.sale(SYBIL, 100))).code
        await world.agree()


async def test_keys_of_an_unknown_terminal_are_refused(open_world: OpenWorld) -> None:
    """The complaint names it, and where all stand."""
    async with operated(open_world) as world:
        code, complaint = await run(world.folder, *END_KEYS, "99999999")
        assert 1 == code
        assert "no terminal '99999999'; `acquirer terminals list` shows all" in complaint


@pytest.mark.parametrize("how", ["operator", "sign_off"])
async def test_keys_that_end_in_one_process_end_in_all(
    open_world: OpenWorld, postgresql_url: str, how: str
) -> None:
    """The second, whose copy of the row is old, takes nothing under them, and refuses nothing."""
    async with operated(open_world, url=postgresql_url) as world, world.sibling() as second:
        terminal = await world.signed_on("10000003")
        sale = terminal.sale(SYBIL, 100)
        for switch in (world, second):
            assert "00" == (await switch.ask(terminal.sale(SYBIL, 100))).code
        assert "00" == (await second.ask(sale)).code
        entries = len(world.journal())
        if how == "operator":
            headers = {"authorization": f"Bearer {TOKEN}"}
            async with httpx.AsyncClient(trust_env=False) as client:
                url = f"http://{world.http}/operator/terminals/10000003/end-keys"
                assert (await client.post(url, headers=headers)).json()["had_keys"]
        else:
            fields: dict[int, str | bytes] = {11: terminal.next_stan()}
            sign_off = terminal.frame("0820", fields | {60: f"00{terminal.batch}002"})
            assert "00" == (await world.ask(sign_off)).code
        unfit = terminal.frame("0200", terminal.sale_fields(SYBIL, 100) | {3: "990000"})
        for frame in (terminal.sale(SYBIL, 100), unfit, terminal.reversal(sale)):
            reply = await second.ask(frame)
            assert ("77", 3, False) == (reply.code, reply.demand, 64 in reply.fields)
        assert entries == len(world.journal())
        terminal.take_keys(await second.ask(terminal.sign_on()))
        for switch in (second, world):
            assert "00" == (await switch.ask(terminal.sale(SYBIL, 100))).code
        assert "00" == (await world.ask(terminal.reversal(sale))).code
        await world.agree()


async def test_keys_handed_out_in_one_process_cost_the_other_nothing(
    open_world: OpenWorld, postgresql_url: str
) -> None:
    """Its copy of the row is old, the keys are good: the payment is taken at once."""
    async with operated(open_world, url=postgresql_url) as world, world.sibling() as second:
        terminal = await world.signed_on("10000003")
        assert "00" == (await second.ask(terminal.sale(SYBIL, 100))).code
        for _ in range(3):
            await world.ask(terminal.sign_on())
            assert "00" == (await second.ask(terminal.sale(SYBIL, 100))).code
        await world.agree()


async def test_a_terminal_is_asked_to_sign_on_after_so_many_transactions(
    open_world: OpenWorld,
) -> None:
    """From the reply to the last of them until new keys are proved; 0 ends it, a refused N is 2."""
    async with operated(open_world) as world:
        terminal, other = await world.signed_on("10000003"), await world.signed_on("10000004")
        keys = ("terminals", "keys", "10000003")
        code, done = await run(world.folder, *keys, "--every", "2")
        assert (0, "terminal") == (code, done["versions"][0]["kind"])

        async def demand(one: PosTerminal = terminal) -> int:
            reply = await world.ask(one.sale(SYBIL, 100))
            assert "00" == reply.code
            return reply.demand

        assert [0, 3, 3] == [await demand() for _ in range(3)]
        assert [0, 0] == [await demand(other) for _ in range(2)]
        terminal.take_keys(await world.ask(terminal.sign_on()))
        assert [0, 3] == [await demand() for _ in range(2)]
        assert 0 == (await run(world.folder, *keys, "--every", "0"))[0]
        assert 0 == await demand()
        assert 2 == (await run(world.folder, *keys, "--every", "3", "--now"))[0]
        assert 2 == (await run(world.folder, *keys, "--every", "-1"))[0]
        await world.agree()
