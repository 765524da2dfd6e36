"""``acquirer terminal``: pre-authorisations, their completions, the voids of both; and tips."""

from __future__ import annotations

from typing import Annotated

import typer

from acquirer.cli.terminal_options import (
    AmountOption,
    CardOption,
    EntryOption,
    NoPinOption,
    PinOption,
    amount_of,
    card_of,
    entry_of,
    pin_of,
    play,
)
from acquirer.cli.terminal_setup import Setup
from acquirer.terminals_sim.cards import Presented, present

preauth_app = typer.Typer()

AgainOption = Annotated[str, typer.Option("--card", help="Show the card again.")]
PreauthOption = Annotated[str, typer.Option("--rrn", help="RRN of the pre-authorisation, or last.")]


@preauth_app.command("pre-auth")
def pre_auth(
    context: typer.Context,
    amount: AmountOption,
    card: CardOption,
    pin: PinOption = None,
    no_pin: NoPinOption = False,
    entry: EntryOption = "",
) -> None:
    """Have an amount held on a card.

    Example: acquirer terminal --tid 10000003 --data shop pre-auth --amount 100.00 --card alice
    """
    amount_minor, shown, how = amount_of(amount), card_of(context.obj, card), entry_of(entry)
    typed = pin_of(pin, no_pin)
    play(context.obj, lambda client: client.preauth(amount_minor, shown, how, typed))


@preauth_app.command("pre-auth-void")
def pre_auth_void(
    context: typer.Context,
    rrn: PreauthOption = "last",
    card: AgainOption = "",
    entry: EntryOption = "",
) -> None:
    """Give a pre-authorisation of this terminal up.

    Example: acquirer terminal --tid 10000003 --data shop pre-auth-void
    """
    number, shown = _number(rrn), _shown(context.obj, card, entry)
    play(context.obj, lambda client: client.preauth_void(number, shown))


@preauth_app.command()
def complete(
    context: typer.Context,
    amount: AmountOption,
    rrn: PreauthOption = "last",
    card: AgainOption = "",
    entry: EntryOption = "",
    advice: Annotated[bool, typer.Option("--advice", help="Tell it instead of asking.")] = False,
) -> None:
    """Take an amount of a pre-authorisation of this terminal.

    Example: acquirer terminal --tid 10000003 --data shop complete --amount 95.50
    """
    amount_minor, number = amount_of(amount), _number(rrn)
    shown = _shown(context.obj, card, entry)
    play(
        context.obj,
        lambda client: client.completion(amount_minor, number, shown, is_advice=advice),
    )


@preauth_app.command("complete-void")
def complete_void(
    context: typer.Context,
    rrn: Annotated[str, typer.Option("--rrn", help="RRN of the completion, or last.")] = "last",
    card: AgainOption = "",
    entry: EntryOption = "",
) -> None:
    """Undo a completion of this terminal; its pre-authorisation is open again.

    Example: acquirer terminal --tid 10000003 --data shop complete-void
    """
    number, shown = _number(rrn), _shown(context.obj, card, entry)
    play(context.obj, lambda client: client.completion_void(number, shown))


@preauth_app.command()
def tip(
    context: typer.Context,
    amount: AmountOption,
    rrn: Annotated[str, typer.Option("--rrn", help="RRN of the sale, or last.")] = "last",
) -> None:
    """Add a tip to a sale of this terminal.

    Example: acquirer terminal --tid 10000001 --data shop tip --amount 2.00
    """
    tip_minor, number = amount_of(amount), _number(rrn)
    play(context.obj, lambda client: client.tip(tip_minor, number))


def _number(rrn: str) -> str:
    return "" if rrn == "last" else rrn


def _shown(setup: Setup, name: str, entry: str) -> Presented | None:
    """The card that is shown again, without a PIN; None for none."""
    return present(card_of(setup, name), entry_of(entry), "") if name else None
