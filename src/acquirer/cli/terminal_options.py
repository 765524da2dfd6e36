"""What is typed at ``acquirer terminal``: options, the values they stand for, and the call itself.

Shared by the commands of ``terminal.py``, ``terminal_orders.py`` and ``terminal_shop.py``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import trio
import typer

from acquirer.cli import terminal_view as view
from acquirer.cli.terminal_setup import DECLINED, EXIT_CODES, NO_ANSWER, USAGE, Setup, fresh_stan
from acquirer.codecs.errors import CodecError
from acquirer.config.estate import Card
from acquirer.hsm_sim.crypto.errors import PinBlockError
from acquirer.terminals_sim import identity as who
from acquirer.terminals_sim.amounts import parse_amount
from acquirer.terminals_sim.cards import Entry
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.errors import EstateError, LocalRefusal, StateFileError
from acquirer.terminals_sim.link import TerminalLink
from acquirer.terminals_sim.results import Result
from acquirer.terminals_sim.state import TerminalState
from acquirer.terminals_sim.store import FileStore
from acquirer.terminals_sim.terminal import Terminal

Action = Callable[[TerminalClient], Awaitable[Result]]

AmountOption = Annotated[str, typer.Option("--amount", help="Such as 12.50.")]
RrnOption = Annotated[str, typer.Option("--rrn", help="RRN of the payment, or last.")]
CardOption = Annotated[str, typer.Option("--card", help="Name of a card of the estate.")]
PinOption = Annotated[
    str | None, typer.Option("--pin", help="PIN to type instead of the card's own.")
]
NoPinOption = Annotated[bool, typer.Option("--no-pin", help="Type no PIN.")]
EntryOption = Annotated[
    str,
    typer.Option(
        "--entry",
        help="stripe, chip, contactless or keyed; without it by chip where the card has one.",
    ),
]
CourierOption = Annotated[
    str, typer.Option("--courier", help="Courier, where it is not the one signed on.")
]
OrderArgument = Annotated[str, typer.Argument(metavar="ON", help="The order number.")]


def play(setup: Setup, action: Action) -> None:
    """Run one action on the terminal and end with its exit code."""
    path = setup.state_path()
    connect = setup.connect()
    me = setup.identity()
    try:
        with FileStore(path) as store:
            saved = store.load() or TerminalState(setup.terminal_id, next_stan=fresh_stan())
            watch = setup.watch(me.encoding)
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


def amount_of(text: str, option: str = "--amount") -> int:
    """Minor units of ``--amount``, or of another option."""
    try:
        return parse_amount(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def rrn_of(text: str) -> str:
    """What ``--rrn`` names; empty for the last one that fits."""
    return "" if text == "last" else text


def entry_of(text: str) -> Entry | None:
    """How ``--entry`` says that the card is read; None where the card decides."""
    if not text:
        return None
    for entry in ("stripe", "chip", "contactless", "keyed"):
        if text == entry:
            return entry
    reason = f"{text!r} is none of stripe, chip, contactless, keyed"
    raise typer.BadParameter(reason, param_hint="--entry")


def card_of(setup: Setup, name: str) -> Card:
    """The estate's card of this name."""
    try:
        return who.card(setup.estate(), name)
    except EstateError as error:
        raise typer.BadParameter(str(error), param_hint="--card") from None


def fields_of(texts: list[str]) -> dict[str, str]:
    """The pairs of ``--field``, in their order."""
    found: dict[str, str] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if not (name and value):
            raise typer.BadParameter(f"{text!r} is no NAME=VALUE", param_hint="--field")
        found[name] = value
    return found


def pin_of(pin: str | None, no_pin: bool) -> str | None:
    """The PIN to type: None for the card's own, empty for none."""
    return "" if no_pin else pin
