"""Limits at two switches: a courier's passwords, a card's stand-in payments, a merchant's money."""

from __future__ import annotations

from functools import partial
from itertools import cycle

import pytest
from limits import AT_ONCE, ROUNDS
from pos_terminal import PosTerminal, Reply, de59
from race_estate import AMOUNT_MINOR, OpenPair, account, order_no
from served import PATIENCE_S, asked, at_once

from acquirer.config.estate import Card, load_estate
from acquirer.hosts_sim.bank.settings import Match, Rule

pytestmark = pytest.mark.anyio

MERCHANT, CARD_MERCHANT = "898110059610003", "898110053310001"
PAYABLE = f"liabilities:merchant:{MERCHANT}"
STAND_IN_MAX = 3
KEPT = ("merchant_id", "name", "mcc", "mdr_basis_points", "event_secret")


async def test_wrong_passwords_lock_after_three(open_pair: OpenPair) -> None:
    """Of four guesses at once two are told that they were wrong, and two that it is locked."""
    async with open_pair() as (one, other):
        terminal = await one.signed_on()
        right = next(c.password for c in one.estate.couriers if c.courier_id == "C1001")
        for turn in range(ROUNDS):
            guesses = [terminal.courier("C1001", f"{4 * turn + place:04d}") for place in range(4)]
            replies = await asked(*zip((one, other) * 2, guesses, strict=True))
            assert ["55", "55", "75", "75"] == sorted(reply.code for reply in replies)
            replies = await asked(
                (one, terminal.courier("C1001", right)), (other, terminal.courier("C1001", right))
            )
            assert ["75", "75"] == [reply.code for reply in replies]
            unlocked = await at_once(
                partial(one.operate, "couriers/C1001/unlock"),
                partial(other.operate, "couriers/C1001/unlock"),
            )
            assert [False, True] == sorted(done["was_locked"] for _, done in unlocked)
            assert "00" == (await (one, other)[turn % 2].ask(terminal.courier("C1001", right))).code


async def test_a_card_is_stood_in_for_so_often_and_no_more(open_pair: OpenPair) -> None:
    """Of six payments at once three are approved in the bank's place, and it is told of those."""
    rule = {
        "floor_limit_minor": 5_000,
        "known_cards_only": False,
        "daily_count_max": STAND_IN_MAX,
        "daily_amount_max_minor": 50_000,
    }
    async with open_pair({"stand_in": [rule]}) as (one, other):
        terminals = [await one.signed_on(), await one.signed_on("10000002")]
        await one.stop("bank")
        for switch in (one, other):
            await one.until(switch.is_without_bank)
        for turn in range(ROUNDS):
            card = next(c for c in one.estate.cards if c.name == f"round-{turn}")
            frames = [terminal.sale(card, 100, pin="") for terminal in terminals * 3]
            replies = await asked(*zip((one, other) * 3, frames, strict=True))
            assert ["00"] * STAND_IN_MAX + ["91"] * 3 == sorted(reply.code for reply in replies)
        await one.start("bank")
        advised = ROUNDS * STAND_IN_MAX
        await one.until(lambda: advised == len(one.bank_rows()))
        assert 100 * advised == one.receivable()


@pytest.mark.parametrize("measure", ["count_max_daily", "amount_max_daily_minor"])
async def test_of_many_payments_at_once_five_are_let_through(
    open_pair: OpenPair, measure: str
) -> None:
    """At both together, four times over as each five are given back."""
    most = 5 if measure == "count_max_daily" else 500
    rules = [{"merchant_id": CARD_MERCHANT, measure: most}, {"each_card": True, measure: most}]
    code = "65" if measure == "count_max_daily" else "61"
    limits = {"per_terminal_max": AT_ONCE, "terminal_s": PATIENCE_S}
    async with open_pair({"limit": rules, "limits": limits}) as (one, other):
        terminals = [await one.signed_on(), await one.signed_on("10000002")]
        for _ in range(4):
            frames = [
                terminals[place % 2].sale(one.estate.cards[0], 100, pin="")
                for place in range(AT_ONCE)
            ]
            replies = await asked(*zip(cycle((one, other, other, one)), frames, strict=False))
            codes = [reply.code for reply in replies]
            assert ["00"] * 5 + [code] * (AT_ONCE - 5) == sorted(codes)
            back = [
                (other, terminals[place % 2].reversal(frames[place]))
                for place in range(AT_ONCE)
                if codes[place] == "00"
            ]
            assert ["00"] * 5 == [reply.code for reply in await asked(*back)]
        await one.agree()
        assert 0 == one.receivable()


async def test_a_merchant_is_refunded_from_what_he_is_owed(open_pair: OpenPair) -> None:
    """Two orders of one swipe are given back at once: each once, and he never owes by surprise."""
    refuses = Rule(Match(mti="0200", processing_code="20"), response_code="12")
    # What the fee took is missing for the second of the refunds.
    merchants = [
        {name: getattr(one, name) for name in KEPT} | {"refund_fee": "keep"}
        for one in load_estate().merchants
    ]
    async with open_pair({"merchants": merchants}, bank_rules=[refuses]) as (one, other):
        terminal = await one.with_courier("10000004", "C3001")
        for turn in range(ROUNDS):
            numbers = [order_no(MERCHANT, 2 * turn + place) for place in range(2)]
            paid = await one.ask(swipe(one.estate.cards[0], terminal, numbers))
            assert "00" == paid.code
            # Each at both switches: a copy takes nothing.
            frames = [cancellation(terminal, number, paid) for number in numbers]
            replies = await asked(*[(switch, frame) for switch in (one, other) for frame in frames])
            assert ["00"] * 4 == [reply.code for reply in replies]
            assert 0 >= account(one, PAYABLE)
        refunds = [line for line in one.journal() if line.kind == "refund"]
        assert 2 * ROUNDS == len(refunds) == len({line.order_no for line in refunds})
        await one.agree()
        assert 0 == one.receivable()


def swipe(card: Card, terminal: PosTerminal, numbers: list[str]) -> bytes:
    """Row 4 by card, for two orders."""
    first, second = numbers
    items = de59(ON=first, OC="C3001", N2=second)
    fields = {4: f"{2 * AMOUNT_MINOR:012d}", **terminal.card_fields(card, None)}
    return terminal.order("0200", "000000", "72", items, fields)


def cancellation(terminal: PosTerminal, number: str, paid: Reply) -> bytes:
    """Row 7."""
    about = {61: f"{terminal.batch}{paid[11]}{paid[13]}", 37: paid[37]}
    return terminal.order("0200", "200000", "75", de59(ON=number), about)
