"""The estate of the races: enough orders and cards for each of their rounds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec
import psycopg
from limits import ROUNDS
from served import Pair
from world import World

from acquirer.codecs.pan import luhn_ok
from acquirer.config.estate import Card, Estate, Order, load_estate

AMOUNT_MINOR = 1_000
"""Of each order."""
CASH_LIMIT_MINOR = 2_500
"""Of courier C1001."""
ORDERS_A_ROUND = 6
RICH_MINOR = 10**11

OpenPair = Callable[..., AbstractAsyncContextManager[Pair]]


def order_no(merchant_id: str, number: int) -> str:
    """The order of a merchant that has this number."""
    return f"R{merchant_id[-4:]}{number:06d}"


def race_estate() -> Estate:
    """The demo estate with orders and a card for each round, and cards that never run dry."""
    demo = load_estate()
    return msgspec.structs.replace(
        demo,
        orders=[
            Order(order_no(one.merchant_id, number), one.merchant_id, AMOUNT_MINOR, "12", "")
            for one in demo.merchants
            for number in range(ROUNDS * ORDERS_A_ROUND)
        ],
        cards=[msgspec.structs.replace(card, balance_minor=RICH_MINOR) for card in demo.cards]
        + [_card(demo.cards[0], number) for number in range(ROUNDS)],
        couriers=[
            msgspec.structs.replace(
                one, cash_limit_minor=CASH_LIMIT_MINOR if one.courier_id == "C1001" else None
            )
            for one in demo.couriers
        ],
    )


def _card(first: Card, number: int) -> Card:
    pans = (f"622588{number:09d}{digit}" for digit in range(10))
    return msgspec.structs.replace(first, name=f"round-{number}", pan=next(filter(luhn_ok, pans)))


def account(switch: World, name: str) -> int:
    """An account's debits less its credits, minor units."""
    query = "SELECT debits_posted - credits_posted FROM accounts WHERE name = %s"
    with psycopg.connect(switch.url) as books:
        row = books.execute(query, [name]).fetchone()
    return int(row[0]) if row else 0
