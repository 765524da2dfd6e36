"""``acquirer couriers``: who is signed on where, who is locked, and the cash that each still owes.

``list`` reads the books; ``unlock`` and ``hand-in`` ask the running switch. Exit codes: 0 done,
1 the switch refuses, 2 a wrong command line or no switch to ask.
"""

from __future__ import annotations

import uuid
from functools import partial
from operator import itemgetter
from typing import Annotated, Any
from urllib.parse import quote

import typer

from acquirer.cli.books import AsJson, Config, Data, open_books
from acquirer.cli.config import read_current
from acquirer.cli.lists import Column, print_table
from acquirer.cli.operator import By, call_switch
from acquirer.cli.screen import print_json, say
from acquirer.codecs.money import format_minor, parse_major
from acquirer.ledger.reports.orders import CourierLine, cash_in_hand, courier_lines

couriers_app = typer.Typer(help="Couriers and the cash they hold.", no_args_is_help=True)

CourierId = Annotated[str, typer.Argument(metavar="COURIER", help="Courier id.")]


@couriers_app.command("list")
def list_couriers(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Print all couriers: terminal, wrong passwords, lock, cash in hand.

    Example: acquirer couriers list --data shop
    """
    current = read_current(data, config)
    with open_books(data, config) as connection:
        states, cash = courier_lines(connection), cash_in_hand(connection)
    currencies = {m.merchant_id: m.currency_code for m in current.merchants}
    rows: list[dict[str, Any]] = []
    for courier in current.couriers:
        state = states.get(courier.courier_id, CourierLine(courier.courier_id))
        currency = currencies[courier.merchant_id]
        rows.append(
            {
                "courier_id": courier.courier_id,
                "merchant_id": courier.merchant_id,
                "station": courier.station,
                "terminal_id": state.terminal_id,
                "password_tries": state.password_tries,
                "locked": state.locked,
                "cash_minor": cash.get(courier.courier_id, {}).get(currency, 0),
                "cash_limit_minor": courier.cash_limit_minor,
                "currency": currency,
            }
        )
    if as_json:
        print_json({"couriers": rows})
        return
    print_table("Couriers", rows, COURIERS, lambda row: "red" if row["locked"] else "")


def _password(row: dict[str, Any]) -> str:
    tries = f"{row['password_tries']} wrong" if row["password_tries"] else ""
    return "locked" if row["locked"] else tries


def _money(name: str, row: dict[str, Any]) -> str:
    return "" if row[name] is None else format_minor(row[name], row["currency"])


COURIERS: list[Column[dict[str, Any]]] = [
    Column("courier", itemgetter("courier_id")),
    Column("merchant", itemgetter("merchant_id")),
    Column("station", itemgetter("station")),
    Column("signed on at", itemgetter("terminal_id")),
    Column("password", _password),
    Column("cash in hand", partial(_money, "cash_minor"), right=True),
    Column("limit", partial(_money, "cash_limit_minor"), right=True),
]


@couriers_app.command("unlock")
def unlock(
    courier_id: CourierId,
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Let a courier try passwords again after three wrong ones.

    Example: acquirer couriers unlock C1001 --data shop
    """
    done = call_switch(
        data, config, f"couriers/{quote(courier_id, safe='')}/unlock", by=by, as_json=as_json
    )
    if as_json:
        print_json(done)
    else:
        was = "was locked and may sign on again" if done["was_locked"] else "was not locked"
        say(f"{courier_id} {was}")


@couriers_app.command("hand-in")
def hand_in(
    courier_id: CourierId,
    amount: Annotated[str, typer.Option("--amount", help="What was counted, such as 115.28.")],
    station: Annotated[
        str, typer.Option("--station", help="Where; the courier's own station if absent.")
    ] = "",
    reference: Annotated[
        str, typer.Option("--reference", help="Names this hand-in: given again, it counts once.")
    ] = "",
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take in the cash that a courier brings; post what is missing or too much.

    Example: acquirer couriers hand-in C1001 --amount 115.28 --station north --data shop
    """
    current = read_current(data, config)
    merchant_id = next((c.merchant_id for c in current.couriers if c.courier_id == courier_id), "")
    currency = next(
        (m.currency_code for m in current.merchants if m.merchant_id == merchant_id), "156"
    )
    try:
        amount_minor = parse_major(amount, currency)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--amount") from None
    body = {
        "amount_minor": amount_minor,
        "station": station,
        "reference": reference or uuid.uuid4().hex,
    }
    done = call_switch(
        data, config, f"couriers/{quote(courier_id, safe='')}/hand-in", body, by=by, as_json=as_json
    )
    if as_json:
        print_json(done)
        return
    say(
        f"{courier_id} handed in {format_minor(done['amount_minor'], currency)} of"
        f" {format_minor(done['expected_minor'], currency)} at station {done['station']}"
        f" (reference {done['reference']}{', counted before' if done['repeated'] else ''})"
    )
    for kind in ("shortage", "excess"):
        if done[f"{kind}_minor"]:
            say(f"{kind}: {format_minor(done[f'{kind}_minor'], currency)}")
