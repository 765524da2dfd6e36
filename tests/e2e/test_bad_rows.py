"""Rows that rot, and parties that have left the configuration: each fails alone, or is named."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import httpx
import msgspec
import pytest
from pos_terminal import de59
from world import OpenWorld, World

from acquirer.config.estate import load_estate
from acquirer.config.loading import ConfigError
from acquirer.hosts_sim.bank.settings import Match, Rule
from acquirer.ledger.reports.orders import event_lines
from acquirer.ledger.reports.saf import SafLine, saf_lines
from acquirer.ledger.store.database import Database
from acquirer.switch.app import run_switch

pytestmark = pytest.mark.anyio

CARDS = {card.name: card for card in load_estate().cards}
SYBIL, ALICE = CARDS["sybil"], CARDS["alice"]
ORDER, MERCHANT, AMOUNT = "SP20261121001", "898110053310001", 21_478
DECIDE = {"ask_after_s": 0.01, "decide_after_s": 0.2, "look_every_s": 0.05}


def owed(world: World) -> list[SafLine]:
    """What the bank is owed, dead letters too."""
    with Database(world.url).read_only_engine().connect() as connection:
        return list(saf_lines(connection))


def spoil(world: World, statement: str, *values: Any) -> None:
    """Change a row from outside, as a disk that rots would."""
    with closing(sqlite3.connect(world.folder / "switch.sqlite3")) as books, books:
        assert 1 == books.execute(statement, values).rowcount


async def alarms(world: World, name: str) -> bool:
    """Whether an alarm stands."""
    async with httpx.AsyncClient() as client:
        shown = (await client.get(f"http://{world.http}/metrics")).text
    return f'acquirer_alarm{{alarm="{name}"}} 1.0' in shown


async def test_a_flipped_bit_in_one_of_eight_reversals(open_world: OpenWorld) -> None:
    """It is a dead letter with its reason; the switch starts, and seven reach the bank."""
    async with open_world() as world:
        terminal = await world.signed_on()
        frames = [terminal.sale(SYBIL, 100 + number) for number in range(8)]
        sales = [await world.ask(frame) for frame in frames]
        await world.stop("bank")
        for frame in frames:
            assert "00" == (await world.ask(terminal.reversal(frame))).code
        await world.drain()
        (before,) = [line for line in world.journal() if line.rrn == sales[2][37]]
        with closing(sqlite3.connect(world.folder / "switch.sqlite3")) as books:
            (cipher,) = books.execute(
                "SELECT pan_cipher FROM journal WHERE id = ?", (before.id,)
            ).fetchone()
        flipped = cipher[:20] + bytes([cipher[20] ^ 1]) + cipher[21:]
        spoil(world, "UPDATE journal SET pan_cipher = ? WHERE id = ?", flipped, before.id)
        await world.start("bank")
        await world.start_switch()
        good = [sale for sale in sales if sale[37] != before.rrn]
        await world.until(lambda: {"reversed"} == {world.state(sale) for sale in good})
        (dead,) = owed(world)
        assert (True, before.rrn, "reversing") == (dead.is_dead, dead.rrn, dead.state)
        assert dead.dead_reason.startswith(f"card {dead.card} does not open")
        await world.until(lambda: alarms(world, "saf_dead_letter"))
        spoil(world, "UPDATE journal SET pan_cipher = ? WHERE id = ?", cipher, before.id)
        spoil(
            world,
            "UPDATE saf SET dead_at_ms = NULL, next_at_ms = 0 WHERE id = ? AND dead_reason <> ''",
            dead.id,
        )
        await world.agree()


@pytest.mark.parametrize(
    "damage", ["reply = '{\"12'", "state = 'sent' || x'f4', lease_until_ms = 0", "role = 'orig'"]
)
async def test_an_orphan_that_cannot_be_read(open_world: OpenWorld, damage: str) -> None:
    """Its reversal is owed and a dead letter; the others are undone, and the switch serves."""
    rules = [Rule(Match(amount_minor=amount), fault="delay", delay_s=60.0) for amount in (901, 902)]
    bank = {"timeout_s": 20.0}
    async with open_world(bank_rules=rules) as world:
        settings = await world.settings()
        slow = [msgspec.to_builtins(settings.banks[0]) | bank]
        await world.drain()
        world.changes["banks"] = slow
        await world.start_switch()
        terminal = await world.signed_on()
        async with world.line() as line:
            await line.send(terminal.sale(SYBIL, 901), terminal.sale(SYBIL, 902))
            await world.until(lambda: len([e for e in world.journal() if e.state == "sent"]) == 2)
            await world.stop("switch")
        bad, good = sorted(world.journal(), key=lambda entry: entry.amount_minor)
        is_read = not damage.startswith("state")
        spoil(world, f"UPDATE journal SET {damage} WHERE id = ?", bad.id)
        await world.start_switch()
        assert "00" == (await world.ask(terminal.sale(SYBIL, 903))).code
        await world.until(lambda: world.entry(good.rrn).state == "reversed")
        if is_read:
            await world.until(lambda: [(line.rrn, line.is_dead) for line in owed(world)])
            (dead,) = owed(world)
            assert f"entry {bad.id} of the journal cannot be read" in dead.dead_reason
            await world.until(lambda: alarms(world, "failed_rows"))


async def test_a_void_of_a_card_that_does_not_open(open_world: OpenWorld) -> None:
    """It is refused, as is a cancellation; neither ends the switch or leaves a claim behind."""
    async with open_world() as world:
        terminal = await world.with_courier()
        sale = await world.ask(terminal.sale(SYBIL, 1_000))
        items, card = de59(ON=ORDER, OC="C1001"), terminal.card_fields(ALICE, None)
        amount: dict[int, str | bytes] = {4: f"{AMOUNT:012d}"}
        paid = await world.ask(terminal.order("0200", "000000", "72", items, amount | card))
        for reply in (sale, paid):
            spoil(world, "UPDATE journal SET pan_cipher = x'00' WHERE rrn = ?", reply[37])
        assert "A7" == (await world.ask(terminal.void(SYBIL, 1_000, sale))).code
        about = {61: f"{terminal.batch}{paid[11]}{paid[13]}", 37: paid[37]}
        cancelled = await world.ask(terminal.order("0200", "200000", "75", items, about))
        assert ("A7", "approved", "approved") == (
            cancelled.code,
            world.state(sale),
            world.state(paid),
        )


async def test_an_unconfirmed_payment_that_cannot_be_read(open_world: OpenWorld) -> None:
    """It stays open with an alarm; another one is decided."""
    async with open_world() as world:
        terminal = await world.with_courier()
        for order_no, amount in ((ORDER, AMOUNT), ("SP20261121003", 11_528)):
            items = de59(ON=order_no, OC="C1001")
            fields = {4: f"{amount:012d}"}
            paid = await world.ask(terminal.order("0200", "900000", "72", items, fields))
            assert "00" == paid.code
        await world.drain()
        spoil(world, "UPDATE journal SET reply = '[' WHERE order_no = ? AND kind = ?", ORDER, PAID)
        world.changes["orders"] = DECIDE
        await world.start_switch()
        await world.until(lambda: world.order("SP20261121003").state == "confirmed")
        assert "paid" == world.order(ORDER).state
        await world.until(lambda: alarms(world, "failed_rows"))


PAID = "order_payment"


async def test_a_damaged_notice_is_a_dead_letter(open_world: OpenWorld) -> None:
    """The order host cannot be told of it; the notice of another order arrives."""
    async with open_world(hosted=[MERCHANT]) as world:
        terminal = await world.with_courier()
        await world.stop("orders")
        await world.start("orders")
        for order_no, amount in ((ORDER, AMOUNT), ("SP20261121003", 11_528)):
            items = de59(ON=order_no, OC="C1001")

            async def pay(items: bytes = items, amount: int = amount) -> bool:
                fields = {4: f"{amount:012d}"}
                reply = await world.ask(terminal.order("0200", "900000", "72", items, fields))
                return bool(reply.code == "00")

            await world.until(pay)
            if order_no == ORDER:
                await world.until(lambda: world.order(ORDER).state == "paid")
                await world.drain()
                spoil(
                    world,
                    "UPDATE outbox SET delivered_at_ms = NULL, body = 'x' || x'f4' || body"
                    " WHERE order_no = ?",
                    ORDER,
                )
                await world.start_switch()

        await world.until(lambda: world.order("SP20261121003").state == "paid")

        def dead() -> list[str]:
            with Database(world.url).read_only_engine().connect() as connection:
                return [line.dead_reason for line in event_lines(connection, "dead")]

        await world.until(dead)
        assert dead()[0]
        spoil(world, "UPDATE outbox SET delivered_at_ms = 1 WHERE dead_reason <> ''")


async def test_a_start_without_a_party_that_something_is_open_with(open_world: OpenWorld) -> None:
    """It is refused in one error that names who is missing and what is open."""
    async with open_world() as world:
        terminal = await world.with_courier()
        items = de59(ON=ORDER, OC="C1001")
        amount: dict[int, str | bytes] = {4: f"{AMOUNT:012d}"}
        card = terminal.card_fields(ALICE, None)
        assert (
            "00"
            == (await world.ask(terminal.order("0200", "000000", "72", items, amount | card))).code
        )
        frame = terminal.sale(SYBIL, 1_000)
        assert "00" == (await world.ask(frame)).code
        await world.until(lambda: world.order(ORDER).state == "paid")
        await world.stop("bank")
        await world.stop("orders")
        assert "00" == (await world.ask(terminal.reversal(frame))).code
        merchants = (await world.settings()).merchants
        world.changes |= {
            "routes": [],
            "instalment_plans": [],
            "merchants": [msgspec.to_builtins(one) | {"plans": []} for one in merchants],
        }
        await world.take_over()
        await world.drain()
        settings = await world.settings()
        other = msgspec.structs.replace(settings.banks[0], name="other")
        gone = msgspec.structs.replace(settings, banks=[other])
        open_ones = "1 messages owed to it, 1 unconfirmed order payments"
        refusal = f"banks: no bank 'demo', with which are open {open_ones}; put them back"
        with pytest.RaisesGroup(
            pytest.RaisesExc(ConfigError, match=refusal), flatten_subgroups=True
        ):
            await run_switch(gone, execute=world.module.execute)
        await world.start("bank")
        await world.start("orders")
        await world.start_switch()
        await world.agree()
