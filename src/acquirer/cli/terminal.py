"""``acquirer terminal``: one POS terminal per call, its state kept in a file between calls.

Exit codes: 0 approved, 1 declined or refused by the terminal itself, 2 wrong use, 3 no answer that
can be believed. The terminal itself is ``terminals_sim/``; what is printed, ``terminal_view.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acquirer.cli import terminal_run
from acquirer.cli import terminal_view as view
from acquirer.cli.terminal_options import (
    AmountOption,
    CardOption,
    EntryOption,
    NoPinOption,
    PinOption,
    RrnOption,
    amount_of,
    card_of,
    entry_of,
    pin_of,
    play,
    rrn_of,
)
from acquirer.cli.terminal_orders import order_app
from acquirer.cli.terminal_preauths import preauth_app
from acquirer.cli.terminal_sales import sales_app
from acquirer.cli.terminal_self_test import self_test
from acquirer.cli.terminal_setup import USAGE, Setup
from acquirer.cli.terminal_shop import shop_app
from acquirer.terminals_sim.client import TIMEOUT_S
from acquirer.terminals_sim.errors import StateFileError
from acquirer.terminals_sim.state import TerminalState
from acquirer.terminals_sim.store import FileStore

terminal_app = typer.Typer(
    name="terminal",
    help="A POS terminal in software.",
    no_args_is_help=True,
    epilog="""
Examples:

acquirer terminal --tid 10000003 --data demo sign-on

acquirer terminal --tid 10000003 --data demo sale --amount 12.50 --card alice

acquirer terminal --tid 10000003 --data demo --trace void

acquirer terminal --tid 10000001 --port 9000 order-pay SP20261121001 --cash

acquirer terminal --data demo run config/demo/scenarios/happy-sale.toml
""",
)


@terminal_app.callback()
def terminal(
    context: typer.Context,
    tid: Annotated[str, typer.Option("--tid", help="Terminal id of the estate.")] = "",
    host: Annotated[str, typer.Option("--host", help="The switch's host.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Its POS port.")] = 0,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of a running estate; has up.json.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option("--state", help="State file of this terminal.")
    ] = None,
    estate: Annotated[
        str, typer.Option("--estate", help="Estate file; the demo estate by default.")
    ] = "",
    trace: Annotated[bool, typer.Option("--trace", help="Show each message, masked.")] = False,
    in_hex: Annotated[
        bool, typer.Option("--hex", help="With --trace, its bytes too; those of card data as dots.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    ignore_demands: Annotated[
        bool, typer.Option("--ignore-demands", help="Do not follow processing demands.")
    ] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, help="Seconds to wait for an answer.")
    ] = TIMEOUT_S,
) -> None:
    """A POS terminal in software: each call is one transaction, its state lies in a file."""
    context.obj = Setup(
        tid,
        host,
        port,
        data,
        state,
        estate,
        trace or in_hex,
        in_hex,
        as_json,
        not ignore_demands,
        timeout,
    )


@terminal_app.command("sign-on")
def sign_on(
    context: typer.Context,
    code: Annotated[
        str, typer.Option("--code", help="60.3: 001, 003 or 004; as its profile says if absent.")
    ] = "",
) -> None:
    """Fetch working keys and the current batch.

    Example: acquirer terminal --tid 10000003 --data shop sign-on
    """
    play(context.obj, lambda client: client.sign_on(code))


@terminal_app.command("sign-off")
def sign_off(context: typer.Context) -> None:
    """Give the working keys up.

    Example: acquirer terminal --tid 10000003 --data shop sign-off
    """
    play(context.obj, lambda client: client.sign_off())


@terminal_app.command()
def echo(context: typer.Context) -> None:
    """Test the line.

    Example: acquirer terminal --tid 10000003 --data shop echo
    """
    play(context.obj, lambda client: client.echo())


@terminal_app.command()
def balance(
    context: typer.Context,
    card: CardOption,
    pin: PinOption = None,
    no_pin: NoPinOption = False,
    entry: EntryOption = "",
) -> None:
    """Ask for a card's balance.

    Example: acquirer terminal --tid 10000003 --data shop balance --card alice
    """
    shown, how = card_of(context.obj, card), entry_of(entry)
    play(context.obj, lambda client: client.balance(shown, how, pin_of(pin, no_pin)))


@terminal_app.command()
def sale(
    context: typer.Context,
    amount: AmountOption,
    card: CardOption,
    pin: PinOption = None,
    no_pin: NoPinOption = False,
    entry: EntryOption = "",
) -> None:
    """Sell.

    Example: acquirer terminal --tid 10000003 --data shop sale --amount 12.50 --card alice
    """
    amount_minor, shown, how = amount_of(amount), card_of(context.obj, card), entry_of(entry)
    play(context.obj, lambda client: client.sale(amount_minor, shown, how, pin_of(pin, no_pin)))


@terminal_app.command()
def void(
    context: typer.Context,
    rrn: RrnOption = "last",
    card: Annotated[str, typer.Option("--card", help="Show the card again.")] = "",
) -> None:
    """Void an approved sale of this terminal.

    Example: acquirer terminal --tid 10000003 --data shop void
    """
    number = rrn_of(rrn)
    shown = card_of(context.obj, card) if card else None
    play(context.obj, lambda client: client.void(number, shown))


@terminal_app.command()
def refund(
    context: typer.Context,
    amount: AmountOption,
    card: Annotated[
        str, typer.Option("--card", help="Name of a card of the estate; none where a code paid.")
    ] = "",
    rrn: RrnOption = "last",
    entry: EntryOption = "stripe",
) -> None:
    """Give a card back what it has paid, or a part of it.

    The payment may be of any terminal of the merchant, an order's too, if named by its RRN. One by
    a code needs no card.

    Example: acquirer terminal --tid 10000003 --data shop refund --amount 5.00 --card alice
    """
    amount_minor, how, number = amount_of(amount), entry_of(entry), rrn_of(rrn)
    shown = card_of(context.obj, card) if card else None
    play(context.obj, lambda client: client.refund(amount_minor, shown, number, how))


@terminal_app.command()
def offline(
    context: typer.Context,
    amount: AmountOption,
    card: CardOption,
    code: Annotated[str, typer.Option("--code", help="Approval code given by phone, 6 letters.")],
) -> None:
    """Tell of a sale that was approved by phone.

    Example: acquirer terminal --tid 10000001 --data shop offline --amount 12.50 --card alice --code
    A1B2C3
    """
    amount_minor, shown = amount_of(amount), card_of(context.obj, card)
    play(context.obj, lambda client: client.offline_sale(amount_minor, shown, code))


@terminal_app.command()
def reverse(context: typer.Context) -> None:
    """Send the pending reversal, or reverse the last approved transaction.

    Example: acquirer terminal --tid 10000003 --data shop --trace reverse
    """
    play(context.obj, lambda client: client.reverse())


@terminal_app.command()
def status(context: typer.Context) -> None:
    """Show what this terminal remembers.

    Example: acquirer terminal --tid 10000003 --data shop status
    """
    setup: Setup = context.obj
    path = setup.state_path()
    setup.identity()
    try:
        with FileStore(path) as store:
            saved = store.load()
    except StateFileError as error:
        raise view.fail(str(error), USAGE) from None
    view.show_state(saved or TerminalState(setup.terminal_id), as_json=setup.as_json)


terminal_app.command("run")(terminal_run.run)
terminal_app.add_typer(sales_app)
terminal_app.add_typer(preauth_app)
terminal_app.add_typer(order_app)
terminal_app.add_typer(shop_app)


terminal_app.command("self-test")(self_test)
