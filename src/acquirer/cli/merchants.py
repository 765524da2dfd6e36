"""``acquirer merchants``: who sells, by which terms; new ones, and those who may not for a while.

``show`` and ``list`` read the books; ``add`` and ``suspend`` ask the running switch, each as an
import of one body. Exit codes: 0 done, 1 refused, 2 a wrong command line, a merchant that cannot
be served, or no switch to ask. All terms of a merchant: ``acquirer config import --kind merchant``.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from typing import Annotated, Any

import typer

from acquirer.cli.bodies import Change, show_members, the_one
from acquirer.cli.books import AsJson, Config, Data
from acquirer.cli.config import read_current
from acquirer.cli.lists import Column, print_list
from acquirer.cli.operator import By, Reason
from acquirer.cli.screen import say
from acquirer.config.business import MerchantSettings
from acquirer.switch.configuration.kinds import KINDS, shown

merchants_app = typer.Typer(help="Merchants and their terms.", no_args_is_help=True)

MerchantId = Annotated[str, typer.Argument(metavar="MERCHANT_ID", help="Merchant id (DE42).")]
KIND = KINDS["merchant"]
SECRET_BYTES = 32

LINES: list[Column[MerchantSettings]] = [
    Column("merchant", lambda one: one.merchant_id),
    Column("name", lambda one: one.name),
    Column("mcc", lambda one: one.mcc),
    Column("currency", lambda one: one.currency_code),
    Column("card fee, bp", lambda one: str(one.mdr_basis_points), right=True),
    Column("cash fee, bp", lambda one: str(one.cod_basis_points), right=True),
    Column("state", lambda one: "suspended" if one.suspended else ""),
]


@merchants_app.command("add")
def add(
    merchant_id: MerchantId,
    name: Annotated[str, typer.Option("--name", help="As people know it.")],
    mcc: Annotated[
        str, typer.Option("--mcc", help="Merchant category code, 4 digits (ISO 18245).")
    ],
    mdr_basis_points: Annotated[
        int,
        typer.Option("--mdr-basis-points", min=0, max=10_000, help="Fee on a card payment."),
    ],
    event_secret: Annotated[
        str, typer.Option("--event-secret", help="whsec_…, signs its notices; a new one if absent.")
    ] = "",
    by: By = "",
    reason: Reason = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Add a merchant; it can take payments as soon as it has a terminal.

    Example: acquirer merchants add 898110059610009 --name "Tea 茶" --mcc 5499 --mdr-basis-points 60
    --reason "contract 17" --data shop
    """
    members: dict[str, Any] = {
        "merchant_id": merchant_id,
        "name": name,
        "mcc": mcc,
        "mdr_basis_points": mdr_basis_points,
        "event_secret": event_secret or _new_secret(),
    }
    asked = Change(KIND.name, by, reason, data, config, as_json)
    done = asked.add(members)
    asked.tell(done | {"event_secret": members["event_secret"]} if as_json else done)
    if not (as_json or event_secret):
        say(f"its notices are signed with {members['event_secret']}")


@merchants_app.command("suspend")
def suspend(
    merchant_id: MerchantId,
    lift: Annotated[bool, typer.Option("--lift", help="Let it take payments again.")] = False,
    by: By = "",
    reason: Reason = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Refuse a merchant's payments (03); what is under way or to be undone goes on.

    Example: acquirer merchants suspend 898110055410002 --reason "case 12" --data shop
    """
    asked = Change(KIND.name, by, reason, data, config, as_json)
    asked.change(merchant_id, {"suspended": not lift})


@merchants_app.command("list")
def list_merchants(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show all merchants.

    Example: acquirer merchants list --data shop
    """
    merchants = read_current(data, config).merchants
    print_list(
        "merchants",
        merchants,
        LINES,
        title="Merchants",
        as_json=as_json,
        document=lambda one: shown(KIND, one),
    )


@merchants_app.command("show")
def show(
    merchant_id: MerchantId, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Show one merchant's terms, and its terminals.

    Example: acquirer merchants show 898110055410002 --data shop
    """
    current = read_current(data, config)
    known = (one for one in current.merchants if one.merchant_id == merchant_id)
    found = the_one(known, KIND.name, merchant_id, as_json=as_json)
    terminals = [
        terminal.terminal_id
        for terminal in current.terminals
        if terminal.merchant_id == merchant_id
    ]
    show_members({**shown(KIND, found), "terminals": terminals}, as_json=as_json)


def _new_secret() -> str:
    return "whsec_" + b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
