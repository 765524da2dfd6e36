"""``acquirer terminal``: one POS terminal per call, its state kept in a file between calls.

Exit codes: 0 approved, 1 declined or refused by the terminal itself, 2 wrong use, 3 no answer that
can be believed. The terminal itself is ``terminals_sim/``; what is printed, ``terminal_view.py``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import trio
import typer

from acquirer.cli import terminal_run
from acquirer.cli import terminal_view as view
from acquirer.cli.terminal_setup import DECLINED, EXIT_CODES, NO_ANSWER, USAGE, Setup, fresh_stan
from acquirer.codecs.errors import CodecError
from acquirer.config.estate import Card
from acquirer.hsm_sim.crypto.errors import PinBlockError
from acquirer.terminals_sim import identity as who
from acquirer.terminals_sim.amounts import parse_amount
from acquirer.terminals_sim.cards import Entry
from acquirer.terminals_sim.client import TIMEOUT_S, TerminalClient
from acquirer.terminals_sim.errors import EstateError, LocalRefusal, StateFileError
from acquirer.terminals_sim.link import TerminalLink
from acquirer.terminals_sim.results import Result
from acquirer.terminals_sim.state import TerminalState
from acquirer.terminals_sim.store import FileStore
from acquirer.terminals_sim.terminal import Terminal

Action = Callable[[TerminalClient], Awaitable[Result]]

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

CardOption = Annotated[str, typer.Option("--card", help="Name of a card of the estate.")]
PinOption = Annotated[
    str | None, typer.Option("--pin", help="PIN to type instead of the card's own.")
]
NoPinOption = Annotated[bool, typer.Option("--no-pin", help="Type no PIN.")]
EntryOption = Annotated[str, typer.Option("--entry", help="stripe, chip, contactless or keyed.")]
CourierOption = Annotated[
    str, typer.Option("--courier", help="Courier, where it is not the one signed on.")
]
OrderArgument = Annotated[str, typer.Argument(metavar="ON", help="The order number.")]


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
        tid, host, port, data, state, estate, trace, as_json, not ignore_demands, timeout
    )


def _play(setup: Setup, action: Action) -> None:
    """Run one action on the terminal and end with its exit code."""
    path = setup.state_path()
    connect = setup.connect()
    try:
        me = who.identity(setup.estate(), setup.terminal_id)
    except EstateError as error:
        raise view.fail(str(error), USAGE) from None
    try:
        with FileStore(path) as store:
            saved = store.load() or TerminalState(setup.terminal_id, next_stan=fresh_stan())
            watch = view.tracer(me.encoding, to_stderr=setup.as_json) if setup.trace else None
            client = TerminalClient(
                Terminal(me, saved),
                store,
                TerminalLink(connect, watch),
                timeout_s=setup.timeout_s,
                follow_demands=setup.follow_demands,
            )
            result = trio.run(_one, client, action)
    except LocalRefusal as error:
        raise view.fail(f"refused by the terminal: {error}", DECLINED) from None
    except (PinBlockError, CodecError, StateFileError) as error:
        raise view.fail(str(error), USAGE) from None
    view.show_result(result, as_json=setup.as_json)
    raise typer.Exit(EXIT_CODES.get(result.outcome, NO_ANSWER))


async def _one(client: TerminalClient, action: Action) -> Result:
    async with client:
        return await action(client)


def _amount(text: str) -> int:
    try:
        return parse_amount(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--amount") from None


def _entry(text: str) -> Entry:
    for entry in ("stripe", "chip", "contactless", "keyed"):
        if text == entry:
            return entry
    raise typer.BadParameter("stripe, chip, contactless or keyed", param_hint="--entry")


def _card(setup: Setup, name: str) -> Card:
    try:
        return who.card(setup.estate(), name)
    except EstateError as error:
        raise typer.BadParameter(str(error), param_hint="--card") from None


def _pin(pin: str | None, no_pin: bool) -> str | None:
    return "" if no_pin else pin


@terminal_app.command("sign-on")
def sign_on(
    context: typer.Context,
    code: Annotated[str, typer.Option("--code", help="60.3: 001, 003 or 004.")] = "003",
) -> None:
    """Fetch working keys and the current batch."""
    _play(context.obj, lambda client: client.sign_on(code))


@terminal_app.command("sign-off")
def sign_off(context: typer.Context) -> None:
    """Give the working keys up."""
    _play(context.obj, lambda client: client.sign_off())


@terminal_app.command()
def echo(context: typer.Context) -> None:
    """Test the line."""
    _play(context.obj, lambda client: client.echo())


@terminal_app.command()
def balance(
    context: typer.Context,
    card: CardOption,
    pin: PinOption = None,
    no_pin: NoPinOption = False,
    entry: EntryOption = "stripe",
) -> None:
    """Ask for a card's balance."""
    shown, how = _card(context.obj, card), _entry(entry)
    _play(context.obj, lambda client: client.balance(shown, how, _pin(pin, no_pin)))


@terminal_app.command()
def sale(
    context: typer.Context,
    amount: Annotated[str, typer.Option("--amount", help="Such as 12.50.")],
    card: CardOption,
    pin: PinOption = None,
    no_pin: NoPinOption = False,
    entry: EntryOption = "stripe",
) -> None:
    """Sell: acquirer terminal --tid 10000003 --data demo sale --amount 12.50 --card alice."""
    amount_minor, shown, how = _amount(amount), _card(context.obj, card), _entry(entry)
    _play(context.obj, lambda client: client.sale(amount_minor, shown, how, _pin(pin, no_pin)))


@terminal_app.command()
def void(
    context: typer.Context,
    rrn: Annotated[str, typer.Option("--rrn", help="RRN of the sale, or last.")] = "last",
    card: Annotated[str, typer.Option("--card", help="Show the card again.")] = "",
) -> None:
    """Void an approved sale of this terminal."""
    number = "" if rrn == "last" else rrn
    shown = _card(context.obj, card) if card else None
    _play(context.obj, lambda client: client.void(number, shown))


@terminal_app.command()
def reverse(context: typer.Context) -> None:
    """Send the pending reversal, or reverse the last approved transaction."""
    _play(context.obj, lambda client: client.reverse())


@terminal_app.command("courier-sign-on")
def courier_sign_on(
    context: typer.Context,
    courier_id: Annotated[str, typer.Argument(metavar="ID", help="A courier of the estate.")],
    password: Annotated[
        str | None, typer.Option("--password", help="Instead of the courier's own.")
    ] = None,
) -> None:
    """Sign a courier on at this terminal."""
    if password is None:
        try:
            password = who.courier(context.obj.estate(), courier_id).password
        except EstateError as error:
            raise typer.BadParameter(str(error), param_hint="ID") from None
    typed = password
    _play(context.obj, lambda client: client.courier_sign_on(courier_id, typed))


@terminal_app.command("courier-sign-off")
def courier_sign_off(context: typer.Context, courier: CourierOption = "") -> None:
    """Sign the courier off."""
    _play(context.obj, lambda client: client.courier_sign_off(courier))


@terminal_app.command("order-query")
def order_query(
    context: typer.Context, order_no: OrderArgument, courier: CourierOption = ""
) -> None:
    """Ask what is due for an order."""

    async def action(client: TerminalClient) -> Result:
        return await client.order_query(order_no, courier)

    _play(context.obj, _with_courier(context.obj, courier, action))


@terminal_app.command("order-pay")
def order_pay(
    context: typer.Context,
    order_no: OrderArgument,
    card: Annotated[
        str, typer.Option("--card", help="Card to pay with; the estate's first by default.")
    ] = "",
    cash: Annotated[bool, typer.Option("--cash", help="Pay in cash.")] = False,
    delivery: Annotated[bool, typer.Option("--delivery", help="Nothing to pay.")] = False,
    amount: Annotated[
        str, typer.Option("--amount", help="Pay this instead of what a query says is due.")
    ] = "",
    pin: PinOption = None,
    no_pin: NoPinOption = False,
    entry: EntryOption = "stripe",
    courier: CourierOption = "",
) -> None:
    """Pay an order by card, in cash, or take it where nothing is to pay; asks what is due first."""
    setup: Setup = context.obj
    if bool(card) + cash + delivery > 1:
        raise typer.BadParameter("only one of --card, --cash, --delivery")
    way = "cash" if cash else "delivery" if delivery else "card" if card else ""
    shown = _card(setup, card) if card else setup.estate().cards[0]
    how, typed = _entry(entry), _pin(pin, no_pin)
    given = _amount(amount) if amount else None

    async def action(client: TerminalClient) -> Result:
        if given is None:
            return await client.pay_order(
                order_no, way, shown, entry=how, pin=typed, courier_id=courier
            )
        chosen = way or "card"
        presented = shown if chosen == "card" else None
        return await client.order_payment(
            order_no, given, chosen, presented, entry=how, pin=typed, courier_id=courier
        )

    _play(setup, _with_courier(setup, courier, action))


@terminal_app.command("order-confirm")
def order_confirm(context: typer.Context, order_no: OrderArgument) -> None:
    """Confirm the payment of an order."""
    _play(context.obj, lambda client: client.order_confirm(order_no))


@terminal_app.command("order-sign")
def order_sign(
    context: typer.Context,
    order_no: OrderArgument,
    by: Annotated[str, typer.Option("--by", help="Who signed for the goods.")],
) -> None:
    """Tell that the goods were signed for."""
    _play(context.obj, lambda client: client.order_receipt(order_no, by))


@terminal_app.command("order-cancel")
def order_cancel(context: typer.Context, order_no: OrderArgument) -> None:
    """Cancel a paid order and confirm the cancellation."""

    async def action(client: TerminalClient) -> Result:
        result = await client.order_cancel(order_no)
        return await client.order_cancel_confirm(order_no) if result.approved else result

    _play(context.obj, action)


@terminal_app.command("order-exception")
def order_exception(
    context: typer.Context,
    order_no: OrderArgument,
    reason: Annotated[str, typer.Option("--reason", help="01 to 06, or 99.")],
    text: Annotated[str, typer.Option("--text", help="Free text.")] = "",
) -> None:
    """Tell why an order could not be delivered."""
    _play(context.obj, lambda client: client.order_exception(order_no, reason, text))


@terminal_app.command()
def status(context: typer.Context) -> None:
    """Show what this terminal remembers."""
    setup: Setup = context.obj
    path = setup.state_path()
    try:
        with FileStore(path) as store:
            saved = store.load()
    except StateFileError as error:
        raise view.fail(str(error), USAGE) from None
    view.show_state(saved or TerminalState(setup.terminal_id), as_json=setup.as_json)


def _with_courier(setup: Setup, courier_id: str, action: Action) -> Action:
    """The action, with the merchant's first courier signed on where nobody is, or is any more."""

    async def signed_on(client: TerminalClient) -> None:
        merchant_id = client.terminal.identity.merchant_id
        for courier in setup.estate().couriers:
            if courier.merchant_id == merchant_id:
                await client.courier_sign_on(courier.courier_id, courier.password)
                return

    async def acted(client: TerminalClient) -> Result:
        if courier_id or not client.state.wrapped_keys:
            return await action(client)
        if client.state.courier_id:
            result = await action(client)
            if client.state.courier_id:
                return result
        await signed_on(client)
        return await action(client)

    return acted


terminal_app.command("run")(terminal_run.run)
