"""The commands of ``acquirer terminal`` about couriers and orders; ``terminal.py`` takes them in.

Source: docs/interfaces/terminal.md, part 5.
"""

from __future__ import annotations

from typing import Annotated

import typer

from acquirer.cli.terminal_options import (
    Action,
    CourierOption,
    EntryOption,
    NoPinOption,
    OrderArgument,
    PinOption,
    amount_of,
    card_of,
    entry_of,
    fields_of,
    pin_of,
    play,
)
from acquirer.cli.terminal_setup import Setup
from acquirer.terminals_sim import identity as who
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.errors import EstateError, LocalRefusal
from acquirer.terminals_sim.results import Result

order_app = typer.Typer()


@order_app.command("courier-sign-on")
def courier_sign_on(
    context: typer.Context,
    courier_id: Annotated[str, typer.Argument(metavar="ID", help="A courier of the estate.")],
    password: Annotated[
        str | None, typer.Option("--password", help="Instead of the courier's own.")
    ] = None,
) -> None:
    """Sign a courier on at this terminal.

    Example: acquirer terminal --tid 10000001 --data shop courier-sign-on C1001
    """
    if password is None:
        try:
            password = who.courier(context.obj.estate(), courier_id).password
        except EstateError as error:
            raise typer.BadParameter(str(error), param_hint="ID") from None
    typed = password
    play(context.obj, lambda client: client.courier_sign_on(courier_id, typed))


@order_app.command("courier-sign-off")
def courier_sign_off(context: typer.Context, courier: CourierOption = "") -> None:
    """Sign the courier off.

    Example: acquirer terminal --tid 10000001 --data shop courier-sign-off
    """
    play(context.obj, lambda client: client.courier_sign_off(courier))


@order_app.command("order-query")
def order_query(
    context: typer.Context, order_no: OrderArgument, courier: CourierOption = ""
) -> None:
    """Ask what is due for an order.

    Example: acquirer terminal --tid 10000001 --data shop order-query SP20261121001
    """

    async def action(client: TerminalClient) -> Result:
        return await client.order_query(order_no, courier)

    play(context.obj, with_courier(context.obj, courier, action))


@order_app.command("order-pay")
def order_pay(
    context: typer.Context,
    order_nos: Annotated[
        list[str], typer.Argument(metavar="ON...", help="The order; several in one swipe.")
    ],
    card: Annotated[
        str, typer.Option("--card", help="Card to pay with; the estate's first by default.")
    ] = "",
    cash: Annotated[bool, typer.Option("--cash", help="Pay in cash.")] = False,
    delivery: Annotated[bool, typer.Option("--delivery", help="Nothing to pay.")] = False,
    amount: Annotated[
        str, typer.Option("--amount", help="Pay this instead of what a query says is due.")
    ] = "",
    part: Annotated[
        str, typer.Option("--part", help="Pay so much of the order, as an order of its own.")
    ] = "",
    pin: PinOption = None,
    no_pin: NoPinOption = False,
    entry: EntryOption = "",
    courier: CourierOption = "",
    field: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="NAME=VALUE", help="What the merchant asks for; repeat."),
    ] = None,
) -> None:
    """Pay an order by card, in cash, or take it where nothing is to pay; asks what is due first.

    With --amount nothing is asked first: values of --field then go out in the order given.

    Examples:

      acquirer terminal --tid 10000001 --data shop order-pay SP20261121001 --card bob

      acquirer terminal --tid 10000001 --data shop order-pay SP20261121003 --cash

      acquirer terminal --tid 10000001 --data shop order-pay SP20261121001 SP20261121002 --card bob

      acquirer terminal --tid 10000001 --data shop order-pay SP20261121001 --part 50.00 --cash
    """
    setup: Setup = context.obj
    if bool(card) + cash + delivery > 1:
        raise typer.BadParameter("only one of --card, --cash, --delivery")
    if part and amount:
        raise typer.BadParameter("only one of --part, --amount")
    way = "cash" if cash else "delivery" if delivery else "card" if card else ""
    shown = card_of(setup, card) if card else setup.estate().cards[0]
    how, typed = entry_of(entry), pin_of(pin, no_pin)
    given = amount_of(amount) if amount else None
    fields = fields_of(field or [])
    order_no, *more = order_nos

    async def action(client: TerminalClient) -> Result:
        if given is None:
            return await client.pay_order(
                order_no,
                way,
                shown,
                entry=how,
                pin=typed,
                courier_id=courier,
                more=more,
                fields=fields,
                part_minor=amount_of(part, "--part") if part else 0,
            )
        chosen = way or "card"
        return await client.order_payment(
            order_no,
            given,
            chosen,
            shown if chosen == "card" else None,
            entry=how,
            pin=typed,
            courier_id=courier,
            more=more,
            keyed=list(fields.values()),
        )

    play(setup, with_courier(setup, courier, action))


@order_app.command("order-confirm")
def order_confirm(context: typer.Context, order_no: OrderArgument) -> None:
    """Confirm the payment of an order.

    Example: acquirer terminal --tid 10000001 --data shop order-confirm SP20261121001
    """
    play(context.obj, lambda client: client.order_confirm(order_no))


@order_app.command("order-sign")
def order_sign(
    context: typer.Context,
    order_no: OrderArgument,
    by: Annotated[str, typer.Option("--by", help="Who signed for the goods.")],
) -> None:
    """Tell that the goods were signed for.

    Example: acquirer terminal --tid 10000001 --data shop order-sign SP20261121001 --by "Li Wei"
    """
    play(context.obj, lambda client: client.order_receipt(order_no, by))


@order_app.command("order-cancel")
def order_cancel(context: typer.Context, order_no: OrderArgument) -> None:
    """Cancel a paid order and confirm the cancellation.

    Example: acquirer terminal --tid 10000001 --data shop order-cancel SP20261121001
    """

    async def action(client: TerminalClient) -> Result:
        result = await client.order_cancel(order_no)
        if result.approved:
            confirmed = await client.order_cancel_confirm(order_no)
            return result if confirmed.approved else confirmed
        return result

    play(context.obj, action)


@order_app.command("order-exception")
def order_exception(
    context: typer.Context,
    order_no: OrderArgument,
    reason: Annotated[str, typer.Option("--reason", help="01 to 06, or 99.")],
    text: Annotated[str, typer.Option("--text", help="Free text.")] = "",
) -> None:
    """Tell why an order could not be delivered.

    Example: acquirer terminal --tid 10000001 --data shop order-exception SP20261121004 --reason 02
    """
    play(context.obj, lambda client: client.order_exception(order_no, reason, text))


def with_courier(setup: Setup, courier_id: str, action: Action) -> Action:
    """The action, with the merchant's first courier signed on where nobody is, or is any more."""

    async def signed_on(client: TerminalClient) -> None:
        merchant_id = client.terminal.identity.merchant_id
        for courier in setup.estate().couriers:
            if courier.merchant_id == merchant_id:
                await client.courier_sign_on(courier.courier_id, courier.password)
                return
        raise LocalRefusal(
            f"nobody is signed on, and the estate has no courier of merchant {merchant_id};"
            " add one under [[couriers]], or name one with --courier"
        )

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
