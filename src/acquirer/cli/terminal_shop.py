"""The commands of ``acquirer terminal`` for a shop's till; ``terminal.py`` takes them in.

Source: docs/orders.md, "A shop's sales".
"""

from __future__ import annotations

from typing import Annotated

import typer

from acquirer.cli.terminal_options import (
    CourierOption,
    EntryOption,
    NoPinOption,
    PinOption,
    card_of,
    entry_of,
    pin_of,
    play,
)
from acquirer.cli.terminal_orders import with_courier
from acquirer.cli.terminal_setup import Setup
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.results import Result
from acquirer.terminals_sim.shop import TODAY, Product, deal

shop_app = typer.Typer()

LinesArgument = Annotated[
    list[str],
    typer.Argument(metavar="CODE*QUANTITY", help="Item code or barcode; alone it is one."),
]


@shop_app.command("shop-find")
def shop_find(
    context: typer.Context,
    code: Annotated[str, typer.Argument(metavar="CODE", help="Item code or barcode.")],
    courier: CourierOption = "",
) -> None:
    """Look an item up: its name, price and stock.

    Example: acquirer terminal --tid 10000003 --data shop shop-find 2000000000015
    """
    _look_up(context.obj, code, courier)


@shop_app.command("shop-sell")
def shop_sell(
    context: typer.Context,
    lines: LinesArgument,
    card: Annotated[str, typer.Option("--card", help="Card to pay with.")] = "",
    cash: Annotated[bool, typer.Option("--cash", help="Pay in cash.")] = False,
    pin: PinOption = None,
    no_pin: NoPinOption = False,
    entry: EntryOption = "",
    courier: CourierOption = "",
) -> None:
    """Sell from the price list, by card or in cash, and confirm it.

    The order stands under the number shown: order-pay pays it after a decline, order-cancel takes
    the goods back.

    Example: acquirer terminal --tid 10000003 --data shop shop-sell '1001*2' 1003 --card alice
    """
    setup: Setup = context.obj
    if bool(card) + cash != 1:
        raise typer.BadParameter("one of --card and --cash")
    shown = card_of(setup, card) if card else None
    how, typed = entry_of(entry), pin_of(pin, no_pin)

    async def action(client: TerminalClient) -> Result:
        way = "card" if shown else "cash"
        return await deal(
            client, "sale", lines, way, shown, entry=how, pin=typed, courier_id=courier
        )

    play(setup, with_courier(setup, courier, action))


@shop_app.command("shop-stock-in")
def shop_stock_in(
    context: typer.Context, lines: LinesArgument, courier: CourierOption = ""
) -> None:
    """Take goods in.

    Example: acquirer terminal --tid 10000003 --data shop shop-stock-in '1001*24' '1002*10'
    """
    _without_money(context.obj, "stock_in", lines, courier)


@shop_app.command("shop-count")
def shop_count(context: typer.Context, lines: LinesArgument, courier: CourierOption = "") -> None:
    """Tell what was counted; the stock is that from then on.

    Example: acquirer terminal --tid 10000003 --data shop shop-count '1001*22' '1004*0'
    """
    _without_money(context.obj, "count", lines, courier)


@shop_app.command("shop-today")
def shop_today(context: typer.Context, courier: CourierOption = "") -> None:
    """Show what was taken in today, by means of payment.

    Example: acquirer terminal --tid 10000003 --data shop shop-today
    """
    _look_up(context.obj, TODAY, courier)


def _look_up(setup: Setup, shown_no: str, courier: str) -> None:
    async def action(client: TerminalClient) -> Result:
        return await client.order_query(shown_no, courier)

    play(setup, with_courier(setup, courier, action))


def _without_money(setup: Setup, product: Product, lines: list[str], courier: str) -> None:
    async def action(client: TerminalClient) -> Result:
        return await deal(client, product, lines, courier_id=courier)

    play(setup, with_courier(setup, courier, action))
