"""Standing in for a bank that is away: by rule, owed as advices, and dead letters of all kinds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest
import trio
from world import OpenWorld, World

from acquirer.config.estate import Card, load_estate
from acquirer.hosts_sim.bank.settings import Match, Rule

pytestmark = pytest.mark.anyio

CARDS = {card.name: card for card in load_estate().cards}
SYBIL, NINA = CARDS["sybil"], CARDS["nina"]
RULE = {"floor_limit_minor": 5_000, "daily_count_max": 2, "daily_amount_max_minor": 6_000}
DEAD, LATE = 7_701, 6_602
TOKEN = "an-operators-token-of-this-test"


async def operate(world: World, path: str, **body: str) -> httpx.Response:
    """An operator's call."""
    async with httpx.AsyncClient(base_url=f"http://{world.http}") as client:
        headers = {"authorization": f"Bearer {TOKEN}"}
        return await client.post(f"/operator/{path}", json=body, headers=headers)


async def test_by_rule_and_with_advices_afterwards(open_world: OpenWorld) -> None:
    """Small amounts of known cards without a PIN, twice a day; the bank learns of each."""
    async with open_world(changes={"stand_in": [RULE]}) as world:
        terminal = await world.signed_on()

        async def pay(card: Card, amount_minor: int, **more: Any) -> Any:
            return await world.ask(terminal.sale(card, amount_minor, **more))

        assert "00" == (await pay(SYBIL, 100, pin="")).code
        await world.stop("bank")
        await world.until(lambda: _bank_is_down(world))
        stood_in = await pay(SYBIL, 2_000, pin="")
        assert ("00", "S") == (stood_in.code, stood_in[38][0])
        frame = terminal.sale(SYBIL, 2_500, pin="")
        assert "00" == (await world.ask(frame)).code
        assert "91" == (await pay(SYBIL, 100, pin="")).code, "the third of the day"
        assert "91" == (await pay(NINA, 100, pin="")).code, "not known"
        assert "91" == (await pay(SYBIL, 100)).code, "with a PIN"
        assert "00" == (await world.ask(terminal.reversal(frame))).code
        assert 100 + 2_000 == world.receivable()

        await world.start("bank")
        await world.until(lambda: not _owed(world))
        kinds = [(row["kind"], row["amount_minor"], row["state"]) for row in world.bank_rows()]
        assert [
            ("sale", 100, "approved"),
            ("advice", 2_000, "approved"),
            ("advice", 2_500, "reversed"),
        ] == sorted(kinds, key=lambda row: row[1])


async def test_two_switches_hold_one_limit(open_world: OpenWorld, postgresql_url: str) -> None:
    """However many payments of a card come to both at once, so many are approved and no more."""
    rule = RULE | {
        "known_cards_only": False,
        "daily_count_max": 3,
        "daily_amount_max_minor": 50_000,
    }
    async with open_world(url=postgresql_url, changes={"stand_in": [rule]}) as world:
        sibling = replace(world, changes={"stand_in": [rule], "instance": "switch-2"})
        sibling._data_key = world._data_key
        await sibling.start_switch()
        one, two = await world.signed_on(), await world.signed_on("10000002")
        await world.stop("bank")
        await world.until(lambda: _bank_is_down(world))
        await world.until(lambda: _bank_is_down(sibling))
        doors = ((world, one), (sibling, two))
        for door, terminal in doors:
            assert "91" == (await door.ask(terminal.sale(SYBIL, 100))).code, "with a PIN"
        codes: dict[str, list[str]] = {}

        async def pay(door: Any, terminal: Any, card: Card) -> None:
            frame = terminal.sale(card, 100, pin="")
            codes.setdefault(card.name, []).append((await door.ask(frame)).code)

        cards = [card for card in CARDS.values() if not card.status]
        async with trio.open_nursery() as nursery:
            for card in cards:
                for door, terminal in doors * 3:
                    nursery.start_soon(pay, door, terminal, card)
        for card in cards:
            assert ["00"] * 3 + ["91"] * 3 == sorted(codes[card.name])
        await sibling.drain()


async def test_off_by_default(open_world: OpenWorld) -> None:
    """Without a rule a bank that is away is a refusal."""
    async with open_world() as world:
        terminal = await world.signed_on()
        assert "00" == (await world.ask(terminal.sale(SYBIL, 100, pin=""))).code
        await world.stop("bank")
        await world.until(lambda: _bank_is_down(world))
        assert "91" == (await world.ask(terminal.sale(SYBIL, 100, pin=""))).code


async def test_a_dead_letter_alarms_and_is_retried_or_written_off(
    open_world: OpenWorld,
) -> None:
    """From a bank that never answers reversals to books that show what it cost."""
    rules = [Rule(Match(amount_minor=DEAD, mti=mti), fault="drop") for mti in ("0200", "0400")]
    rules.append(Rule(Match(amount_minor=DEAD, mti="0401"), fault="drop", times=1))
    saf = {"first_s": 0.05, "attempts_max": 2}
    async with open_world(changes={"saf": saf, "operator_token": TOKEN}, bank_rules=rules) as world:
        terminal = await world.signed_on()
        assert "98" == (await world.ask(terminal.sale(SYBIL, DEAD, pin=""))).code
        await world.until(lambda: [line.is_dead for line in _owed(world)] == [True])
        (dead,) = _owed(world)
        metrics = await _metrics(world)
        assert 'acquirer_saf_events_total{bank="demo",event="expired"} 1.0' in metrics
        assert 400 == (await operate(world, f"saf/{dead.id}/write-off", name="x")).status_code
        answer = await operate(world, f"saf/{dead.id}/retry")
        assert {"id": dead.id, "retried": True} == answer.json()
        await world.until(lambda: not _owed(world))
        assert 409 == (await operate(world, f"saf/{dead.id}/retry")).status_code
        assert "reversed" == world.entry(dead.rrn).state


async def test_a_late_approval_shows_in_the_journal(open_world: OpenWorld) -> None:
    """The payment is undone; the operator sees that the bank had approved it, and an alarm."""
    async with open_world() as world:
        terminal = await world.signed_on()
        reply = await world.ask(terminal.sale(SYBIL, LATE))
        assert "98" == reply.code
        await world.until(lambda: world.entry(reply[37]).late_response_code == "00")
        await world.until(lambda: world.entry(reply[37]).state == "reversed")
        assert "acquirer_late_bank_replies_total 1.0" in await _metrics(world)
        await world.agree()


async def test_links_by_the_operators_interface(open_world: OpenWorld) -> None:
    """States, a hold that refuses payments, and a release."""
    async with open_world(changes={"operator_token": TOKEN}) as world:
        terminal = await world.signed_on()
        (link,) = (await operate(world, "links")).json()["links"]
        assert ("demo", "up") == (link["link"], link["state"])
        assert "held" == (await operate(world, "links/demo/hold")).json()["state"]
        assert "91" == (await world.ask(terminal.sale(SYBIL, 100))).code
        assert 409 == (await operate(world, "links/demo/rekey")).status_code
        await operate(world, "links/demo/release")
        await world.until(lambda: _is_ready(world))
        assert "up" == (await operate(world, "links/demo/rekey")).json()["state"]
        assert "up" == (await operate(world, "links/demo/cut-over")).json()["state"]
        assert 409 == (await operate(world, "links/demo/dance")).status_code
        assert "00" == (await world.ask(terminal.sale(SYBIL, 100))).code


async def _is_ready(world: World) -> bool:
    async with httpx.AsyncClient() as client:
        ready = await client.get(f"http://{world.http}/readyz")
    return bool(ready.json()["ready"])


async def _bank_is_down(world: World) -> bool:
    return not await _is_ready(world)


async def _metrics(world: World) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://{world.http}/metrics")).text


def _owed(world: World) -> Any:
    from acquirer.ledger.reports.saf import saf_lines
    from acquirer.ledger.store.database import Database

    with Database(world.url).read_only_engine().connect() as connection:
        return list(saf_lines(connection))
