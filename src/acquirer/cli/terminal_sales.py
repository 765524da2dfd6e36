"""The commands of ``acquirer terminal`` about instalments, codes and orders by mail or telephone.

``terminal.py`` takes them in. Source: docs/interfaces/terminal.md, part 4.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

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
from acquirer.codecs.instalments import InstalmentTerms
from acquirer.terminals_sim import kinds
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.download_requests import DOWNLOADS
from acquirer.terminals_sim.results import Result

sales_app = typer.Typer()


@sales_app.command()
def instalment(
    context: typer.Context,
    amount: AmountOption,
    card: CardOption,
    plan: Annotated[str, typer.Option("--plan", help="Id of a plan that the merchant offers.")],
    periods: Annotated[int, typer.Option("--periods", min=0, max=99, help="Repayments.")],
    spread: Annotated[bool, typer.Option("--spread", help="The fee comes with each.")] = False,
    pin: PinOption = None,
    no_pin: NoPinOption = False,
    entry: EntryOption = "",
) -> None:
    """Sell to somebody who pays his bank back in parts.

    Example: acquirer terminal --tid 10000001 --data shop instalment --amount 600.00 --card alice
    --plan P06 --periods 6
    """
    amount_minor, shown, how = amount_of(amount), card_of(context.obj, card), entry_of(entry)
    terms, typed = InstalmentTerms(periods, plan, spread), pin_of(pin, no_pin)
    play(context.obj, lambda client: client.instalment(amount_minor, shown, terms, how, typed))


@sales_app.command("instalment-void")
def instalment_void(context: typer.Context, rrn: RrnOption = "last") -> None:
    """Void an instalment of this terminal.

    Example: acquirer terminal --tid 10000001 --data shop instalment-void
    """
    number = rrn_of(rrn)
    play(context.obj, lambda client: client.void_of(kinds.INSTALMENT, number))


@sales_app.command()
def download(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="KIND", help=", ".join(DOWNLOADS) + ".")],
) -> None:
    """Fetch what the switch has of a kind, and show it.

    Example: acquirer terminal --tid 10000001 --data shop download parameters
    """
    if kind not in DOWNLOADS:
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(DOWNLOADS)}", param_hint="KIND")

    async def fetch(client: TerminalClient) -> Result:
        result, came = await client.download(kind)
        return replace(result, fetched=came)

    play(context.obj, fetch)


@sales_app.command()
def qr(
    context: typer.Context,
    code: Annotated[str, typer.Argument(metavar="CODE", help="19 digits that are shown.")],
    amount: AmountOption,
) -> None:
    """Sell to somebody who shows a code, such as one of bank-sim qr.

    Example: acquirer terminal --tid 10000001 --data shop qr 6225881234567890123 --amount 12.50
    """
    amount_minor = amount_of(amount)
    play(context.obj, lambda client: client.qr(amount_minor, code))


@sales_app.command()
def moto(
    context: typer.Context,
    amount: AmountOption,
    card: CardOption,
    cvn2: Annotated[
        str | None, typer.Option("--cvn2", help="Instead of the card's own; empty for none.")
    ] = None,
) -> None:
    """Sell to somebody who orders by mail or telephone.

    Example: acquirer terminal --tid 10000001 --data shop moto --amount 12.50 --card alice
    """
    amount_minor, shown = amount_of(amount), card_of(context.obj, card)
    told = shown.cvn2 if cvn2 is None else cvn2
    play(context.obj, lambda client: client.moto(amount_minor, shown, told))
