"""What commands for an order system's builder share, and ``acquirer orders check``.

Merchant, order and secret come from options, or from an estate of test data. Exit codes: 0 all is
right, 1 the order system is at fault, 2 a wrong command line.
"""

from __future__ import annotations

import time
from typing import Annotated

import trio
import typer

from acquirer.cli.books import AsJson
from acquirer.cli.process import fail
from acquirer.cli.screen import print_json, say
from acquirer.config.estate import Estate, load_estate
from acquirer.config.loading import ConfigError
from acquirer.routing.orders.errors import OrderSettingsError
from acquirer.routing.orders.http1 import HttpPool
from acquirer.routing.orders.sample import Sample, Tried
from acquirer.routing.orders.settings import Origin, parse_origin
from acquirer.routing.orders.trial import Trial
from acquirer.routing.orders.webhooks import secret_key

SECRET_VARIABLE = "ACQUIRER_EVENT_SECRET"

EstateFile = Annotated[
    str, typer.Option("--estate", help="Estate file; the shipped demo estate if absent.")
]
Merchant = Annotated[
    str, typer.Option("--merchant", help="Merchant id; that of the order in the estate if absent.")
]
OrderNo = Annotated[
    str, typer.Option("--order", help="An order that is to pay; the estate's first if absent.")
]
Secret = Annotated[
    str,
    typer.Option(
        "--secret",
        envvar=SECRET_VARIABLE,
        help="The merchant's webhook secret, whsec_…; the estate's if absent.",
    ),
]
Url = Annotated[str, typer.Argument(metavar="URL", help="Of the order system, without /orders.")]


def origin_of(url: str) -> Origin:
    """The order system's address; what is wrong with it ends the command with code 2."""
    try:
        return parse_origin(url)
    except OrderSettingsError as error:
        fail(error)


def sample_of(
    estate_path: str, merchant_id: str, order_no: str, secret: str, *, item: str = "", parts: bool
) -> Sample:
    """What is tried, where an option is empty from the estate; else exit code 2."""
    if merchant_id and order_no and secret:
        sample = Sample(
            merchant_id=merchant_id, order_no=order_no, secret=secret, item=item, parts=parts
        )
    else:
        try:
            estate = load_estate(estate_path)
        except ConfigError as error:
            fail(error)
        sample = _from(estate, merchant_id, order_no, secret, item, parts)
    try:
        secret_key(sample.secret)
    except OrderSettingsError as error:
        fail(f"--secret: {error}")
    return sample


def _from(
    estate: Estate, merchant_id: str, order_no: str, secret: str, item: str, parts: bool
) -> Sample:
    merchants = {
        one.merchant_id: one
        for one in estate.merchants
        if one.merchant_id == merchant_id or not (merchant_id or one.order_host)
    }
    for order in estate.orders:
        if order.merchant_id not in merchants or (order_no and order.order_no != order_no):
            continue
        if order.amount_minor or order_no:
            return Sample(
                merchant_id=order.merchant_id,
                order_no=order.order_no,
                amount_minor=order.amount_minor,
                secret=secret or merchants[order.merchant_id].event_secret,
                item=item,
                parts=parts,
            )
    fail(
        "the estate has no such order to pay; give --merchant, --order and --secret, or an estate"
        " that has them with --estate"
    )


def check(
    url: Url,
    estate: EstateFile = "",
    merchant: Merchant = "",
    order: OrderNo = "",
    secret: Secret = "",
    item: Annotated[
        str, typer.Option("--item", help="An item's code: opens a shop's sale of it, too.")
    ] = "",
    parts: Annotated[
        bool, typer.Option("--parts", help="The order may be paid in parts: opens one, too.")
    ] = False,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0.1, max=60, help="Seconds for each answer.")
    ] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Try an order system against the contract, and say all that it did wrong.

    The order is paid, confirmed and given back by events, so use a test system. The contract is
    docs/order-system-openapi.yaml.

    Examples:

      acquirer orders check http://127.0.0.1:8080

      acquirer orders check http://127.0.0.1:8080 --merchant 898110053310001 --order SP20261121001
    """
    origin = origin_of(url)
    sample = sample_of(estate, merchant, order, secret, item=item, parts=parts)

    async def run() -> list[Tried]:
        pool = HttpPool(origin, 1)
        try:
            return await Trial(pool, sample, time.time, timeout_s).run()
        finally:
            await pool.aclose()

    tried = trio.run(run)
    faulty = [one for one in tried if one.faults]
    if as_json:
        print_json({"url": url, "right": not faulty, "calls": tried})
    else:
        for one in tried:
            _show(one)
        say(f"{len(tried)} calls, {len(faulty)} with faults")
        if tried[0].faults:
            say("without a right answer to the first query, no payment was tried")
    if faulty:
        raise typer.Exit(1)


def _show(one: Tried) -> None:
    status = "no answer" if one.status is None else str(one.status)
    if not one.faults:
        say(f"right  {one.what}: {status}", style="green")
        return
    say(f"WRONG  {one.what}", style="red")
    for heading, text in (
        ("sent", one.sent),
        ("body", one.body),
        ("came", f"{status} {one.came}" if one.status else one.came),
        ("should", one.expected),
    ):
        if text:
            say(f"       {heading:<7}{text}")
    for fault in one.faults:
        say(f"       {'fault':<7}{fault}")
