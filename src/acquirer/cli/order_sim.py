"""``acquirer order-sim``: serve the merchant order system simulator, and read its books.

Without a subcommand it serves until SIGINT or SIGTERM; the subcommands read its books, also
while it runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import trio
import typer

from acquirer.cli.lists import Column, print_table
from acquirer.cli.logs import configure_logging
from acquirer.cli.process import fail, print_ready, run_service, until_signalled
from acquirer.cli.screen import print_json
from acquirer.config.children import die_with_parent
from acquirer.config.estate import load_estate
from acquirer.config.loading import ConfigError
from acquirer.hosts_sim.orders.errors import NoBooksError, StoreError
from acquirer.hosts_sim.orders.iso_link import serve_iso
from acquirer.hosts_sim.orders.server import opened_app, serve_http
from acquirer.hosts_sim.orders.settings import OrderSimSettings, load_settings
from acquirer.hosts_sim.orders.stock import ItemRow, MovementRow, StockRow
from acquirer.hosts_sim.orders.store import (
    EventRow,
    OrderRow,
    read_events,
    read_items,
    read_movements,
    read_orders,
    read_stock,
)

order_sim_app = typer.Typer(
    name="order-sim", help="The merchant order system simulator.", invoke_without_command=True
)
Data = Annotated[Path, typer.Option("--data", help="Folder of the simulator's books.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")]

HEADINGS = {
    "order_no": "order",
    "merchant_id": "merchant",
    "terminal_id": "terminal",
    "courier_id": "courier",
    "approval_code": "approval",
}
NOT_SHOWN = frozenset({"currency_code", "status"})  # --json has them


@order_sim_app.callback()
def order_sim(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option("--config", help="TOML settings.")] = None,
) -> None:
    """A merchant's order system in software: serves until SIGINT or SIGTERM.

    Over HTTP, and over ISO 8583 where the settings have a table `iso`. One JSON line
    on stdout says when, and where.

    Example: acquirer order-sim --config order-sim.toml
    """
    if context.invoked_subcommand is not None:
        return
    if config is None:
        fail("order-sim needs --config FILE, or a subcommand")
    die_with_parent()
    configure_logging()
    try:
        settings = load_settings(config)
    except ConfigError as error:
        fail(error)
    run_service(_serve, settings)


@order_sim_app.command()
def orders(data: Data, as_json: Json = False) -> None:
    """List the orders and what became of them.

    Example: acquirer order-sim orders --data shop
    """
    _list("orders", read_orders, OrderRow, data, as_json)


@order_sim_app.command()
def events(data: Data, as_json: Json = False) -> None:
    """List every event that came, what was made of it, and how often it was delivered.

    Example: acquirer order-sim events --data shop --json
    """
    _list("events", read_events, EventRow, data, as_json)


@order_sim_app.command()
def items(data: Data, as_json: Json = False) -> None:
    """List the merchants' price lists, with what is in stock.

    Example: acquirer order-sim items --data shop
    """
    _list("items", read_items, ItemRow, data, as_json)


@order_sim_app.command()
def stock(data: Data, as_json: Json = False) -> None:
    """List what was in stock at first, what sales, deliveries and counts changed, and what is.

    Example: acquirer order-sim stock --data shop
    """
    _list("stock", read_stock, StockRow, data, as_json)


@order_sim_app.command()
def movements(data: Data, as_json: Json = False) -> None:
    """List every movement of goods, and the order that moved them.

    Example: acquirer order-sim movements --data shop --json
    """
    _list("movements", read_movements, MovementRow, data, as_json)


async def _serve(settings: OrderSimSettings) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(until_signalled, nursery.cancel_scope.cancel)
        try:
            addresses = await nursery.start(_run, settings)
        except StoreError as error:
            raise ConfigError("order-sim", "data", str(error)) from None
        print_ready(**addresses)


async def _run(
    settings: OrderSimSettings,
    *,
    task_status: trio.TaskStatus[dict[str, str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    with opened_app(settings) as app:
        async with trio.open_nursery() as nursery:
            addresses = {"orders": await nursery.start(partial(serve_http, app, settings))}
            if settings.iso is not None:
                banks = load_estate(settings.estate).banks
                if not banks:
                    raise ConfigError(settings.estate, "banks", "iso needs one, for its zmk")
                zmk = bytes.fromhex(banks[0].zmk)
                serve = partial(serve_iso, app, settings.iso, zmk, time.time)
                addresses["order_host"] = await nursery.start(serve)
            task_status.started(addresses)


def _list(
    title: str,
    read: Callable[[Path], Sequence[msgspec.Struct]],
    row_type: type[msgspec.Struct],
    data: Path,
    as_json: bool,
) -> None:
    try:
        rows = read(data)
    except (NoBooksError, StoreError) as error:
        fail(error)
    if as_json:
        print_json({title: rows})
        return
    # A merchant's books are wide; what no row has is left out.
    columns = [
        column
        for column in row_type.__struct_fields__
        if column not in NOT_SHOWN and (not rows or any(getattr(row, column) != "" for row in rows))
    ]
    shown = [
        Column(
            HEADINGS.get(column, column.replace("_", " ")),
            partial(_cell, column),
            right=any(isinstance(getattr(row, column), int) for row in rows),
        )
        for column in columns
    ]
    print_table(title.capitalize(), rows, shown)


def _cell(column: str, row: msgspec.Struct) -> str:
    return str(getattr(row, column))
