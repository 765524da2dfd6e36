"""What ``/metrics`` tells of payments, over real sockets: each counts once, however often sent."""

from __future__ import annotations

import re

import httpx
import pytest
from pos_terminal import PosTerminal, Reply, de59
from world import OpenWorld, World

from acquirer.config.estate import load_estate
from acquirer.hosts_sim.bank.settings import Match, Rule

pytestmark = pytest.mark.anyio

ALICE = next(card for card in load_estate().cards if card.name == "alice")
ORDERS = {order.order_no: order.amount_minor for order in load_estate().orders}
SHOP = "898110053310001"
WAYS = {"card": "000000", "cash": "900000", "none": "910000"}


async def metrics(world: World) -> dict[str, float]:
    """Series of this shop → value; labels by name, its own and the currency's left out."""
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"http://{world.http}/metrics")).text
    found = {}
    for name, labels, value in re.findall(r"^acquirer_(\w+){(.*)} (\S+)$", text, re.MULTILINE):
        pairs = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if pairs.pop("merchant_id", "") == SHOP:
            pairs.pop("currency_code", "")
            found[" ".join((name, *pairs.values()))] = float(value)
    return found


def pay(terminal: PosTerminal, order_no: str, means: str) -> bytes:
    """Row 4."""
    fields: dict[int, str | bytes] = {4: f"{ORDERS[order_no]:012d}"}
    if means == "card":
        fields |= terminal.card_fields(ALICE, None)
    return terminal.order("0200", WAYS[means], "72", de59(ON=order_no, OC="C1001"), fields)


def about(
    terminal: PosTerminal, order_no: str, paid: Reply
) -> tuple[bytes, dict[int, str | bytes]]:
    """DE59, DE37 and DE61 of a cancellation."""
    names = {37: paid[37], 61: f"{terminal.batch}{paid[11]}{paid[13]}"}
    return de59(ON=order_no, OC="C1001"), names


async def test_payments_by_means_and_what_was_given_back(open_world: OpenWorld) -> None:
    """Repeats, refusals and undone undoings do not add up twice."""
    void = Match(mti="0200", amount_minor=ORDERS["SP20261121005"], processing_code="20")
    async with open_world(bank_rules=[Rule(void, response_code="12")]) as world:
        terminal = await world.with_courier()

        async def ask(frame: bytes, code: str = "00") -> Reply:
            reply: Reply = await world.ask(frame)
            assert code == reply.code
            return reply

        by_card = pay(terminal, "SP20261121001", "card")
        in_cash = pay(terminal, "SP20261121003", "cash")
        paid = {no: await ask(frame) for no, frame in (("1", by_card), ("3", in_cash))}
        assert paid["1"][37] == (await ask(by_card))[37]
        await ask(pay(terminal, "SP20261121012", "none"))
        await ask(pay(terminal, "SP20261121001", "card"), "94")
        await ask(
            terminal.order("0200", "200000", "75", *about(terminal, "SP20261121003", paid["3"]))
        )
        undo = terminal.reversal(by_card)
        await ask(undo)
        await ask(undo)
        sold = await ask(terminal.sale(ALICE, 2_000))
        await ask(terminal.sale(ALICE, 500))
        undoing = terminal.void(ALICE, 2_000, sold)
        await ask(undoing)
        await ask(terminal.reversal(undoing))
        items = de59(ON="SP20261121002", OX="02", OC="C1001")
        await ask(terminal.order("0220", "930000", "77", items))

        paid["5"] = await ask(pay(terminal, "SP20261121005", "card"))
        cancel = about(terminal, "SP20261121005", paid["5"])
        await ask(terminal.order("0200", "200000", "75", *cancel))

        card, cash = float(ORDERS["SP20261121001"]), float(ORDERS["SP20261121003"])
        expected = {
            "payments_total order card": 2,
            "payments_total order cash": 1,
            "payments_total order none": 1,
            "payments_total sale card": 2,
            "payments_minor_total order card": card + ORDERS["SP20261121005"],
            "payments_minor_total order cash": cash,
            "payments_minor_total order none": 0,
            "payments_minor_total sale card": 2_500,
            "given_back_total reversal order card": 1,
            "given_back_total refund order card": 1,
            "given_back_minor_total refund order card": ORDERS["SP20261121005"],
            "given_back_total cancellation order cash": 1,
            "given_back_total void sale card": 1,
            "given_back_total void_undone sale card": 1,
            "given_back_minor_total reversal order card": card,
            "given_back_minor_total cancellation order cash": cash,
            "given_back_minor_total void sale card": 2_000,
            "given_back_minor_total void_undone sale card": 2_000,
            "order_exceptions_total": 1,
        }
        shown = await metrics(world)
        counted = {name: value for name, value in shown.items() if "_total" in name}
        assert expected == counted

        await ask(pay(terminal, "SP20261121006", "cash"))
        await world.drain()
        await world.start_switch()
        await world.until(lambda: _holds_open(world))
        after = await metrics(world)
        assert ORDERS["SP20261121006"] == after["courier_cash_minor"]
        assert not [name for name in after if "_total" in name]
        await world.agree()


async def _holds_open(world: World) -> bool:
    """What was open before the restart shows: one paid in cash, one with nothing to pay."""
    return (await metrics(world)).get("unconfirmed_payments") == 2


async def test_what_an_order_system_does_wrong_is_counted(world: World) -> None:
    """By merchant, system and what was asked."""
    terminal = await world.with_courier()
    await world.stop("orders")
    try:
        await world.ask(
            terminal.order("0200", "380000", "71", de59(ON="SP20261121006", OC="C1001"))
        )
    finally:
        await world.start("orders")
    found = {k: v for k, v in (await metrics(world)).items() if "faults_total" in k}
    assert found == {"order_system_faults_total query down  orders": 1}
