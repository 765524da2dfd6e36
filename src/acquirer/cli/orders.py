"""``acquirer orders``: payments that are not decided yet, notices to merchants, the order's life.

Lists read the books; a replay asks the running switch. Exit codes: 0 done, 1 the switch refuses,
2 a wrong command line or no switch to ask.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Annotated, Literal
from urllib.parse import quote

import typer

from acquirer.cli import order_events, order_trial
from acquirer.cli.books import AsJson, Config, Data, open_books, show_merchant, show_time
from acquirer.cli.lists import Column, print_list
from acquirer.cli.operator import By, call_switch, read_settings
from acquirer.cli.screen import print_json, say
from acquirer.codecs.money import format_minor
from acquirer.codecs.order_codes import STATUS_TEXTS
from acquirer.config.business import OrderSettings
from acquirer.ledger.reports.orders import (
    EventLine,
    OpenOrder,
    OrderLine,
    event_lines,
    open_orders,
    order_lines,
)
from acquirer.payments.orders.life import life_table

orders_app = typer.Typer(help="Orders, and what merchants are told.", no_args_is_help=True)
events_app = typer.Typer(help="Notices to merchants' order systems.", no_args_is_help=True)
order_events.register(events_app)
orders_app.add_typer(events_app, name="events")
orders_app.command("check")(order_trial.check)
secrets_app = typer.Typer(help="Secrets that sign notices.", no_args_is_help=True)
orders_app.add_typer(secrets_app, name="secrets")

REPLAYED_MAX = 1000


@dataclass(frozen=True, slots=True)
class Pending:
    """A payment that is not decided, how old it is, and what happens next in words."""

    order: OpenOrder
    age_s: int
    explanation: str


ORDERS: list[Column[OrderLine]] = [
    Column("order", lambda line: line.order_no),
    Column("merchant", lambda line: show_merchant(line.merchant_id)),
    Column("state", lambda line: STATUS_TEXTS[line.status]),
    Column("amount", lambda line: format_minor(line.amount_minor, line.currency_code), right=True),
    Column("means", lambda line: line.means),
    Column("rrn", lambda line: line.rrn),
    Column("terminal", lambda line: line.terminal_id),
    Column("courier", lambda line: line.courier_id),
]
PENDING: list[Column[Pending]] = [
    Column("order", lambda row: row.order.order_no),
    Column("merchant", lambda row: show_merchant(row.order.merchant_id)),
    Column("terminal", lambda row: row.order.terminal_id),
    Column("courier", lambda row: row.order.courier_id),
    Column("rrn", lambda row: row.order.rrn),
    Column("means", lambda row: row.order.means),
    Column(
        "amount",
        lambda row: format_minor(row.order.amount_minor, row.order.currency_code),
        right=True,
    ),
    Column("age", lambda row: show_age(row.age_s), right=True),
    Column("why", lambda row: row.explanation),
]
EVENTS: list[Column[EventLine]] = [
    Column("time", lambda line: show_time(line.created_at_ms)),
    Column("id", lambda line: line.id),
    Column("type", lambda line: line.type),
    Column("order", lambda line: line.order_no),
    Column("merchant", lambda line: show_merchant(line.merchant_id)),
    Column("state", lambda line: line.state),
    Column("failed", lambda line: str(line.attempts), right=True),
    Column("next", lambda line: show_time(line.next_at_ms) if line.state == "pending" else ""),
    Column("why given up", lambda line: line.dead_reason),
]


@orders_app.command("list")
def list_orders(
    data: Data = None,
    config: Config = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the orders that terminals asked for, and the payments that stand.

    Example: acquirer orders list --data shop
    """
    with open_books(data, config) as connection:
        print_list(
            "orders",
            order_lines(connection, limit),
            ORDERS,
            title="Orders",
            as_json=as_json,
            document=_order_object,
        )


def _order_object(line: OrderLine) -> dict[str, object]:
    return {**asdict(line), "state": state_name(line.status)}


def state_name(status: str) -> str:
    """A status as one word, as the order system simulator has it.

    >>> state_name("03")
    'signed_for'
    """
    return STATUS_TEXTS[status].replace(" ", "_")


@orders_app.command("pending")
def list_pending(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Print order payments that are not decided yet, each with its age and why.

    Example: acquirer orders pending --data shop
    """
    rules = read_settings(data, config).orders
    now_ms = time.time_ns() // 1_000_000

    def pending(order: OpenOrder) -> Pending:
        age_s = max(now_ms - order.created_at_ms, 0) // 1000
        return Pending(order, age_s, explain(order, age_s, rules))

    with open_books(data, config) as connection:
        print_list(
            "pending",
            map(pending, open_orders(connection)),
            PENDING,
            title="Open orders",
            as_json=as_json,
            document=_pending_object,
        )


def _pending_object(row: Pending) -> dict[str, object]:
    return {**asdict(row.order), "age_s": row.age_s, "explanation": row.explanation}


def explain(order: OpenOrder, age_s: int, rules: OrderSettings) -> str:
    """Why a payment is open, and what happens next, in words."""
    if order.why == "undoing":
        return "no answer from the bank: its reversal is sent until the bank answers"
    if order.why in ("paying", "cancelling", "refunding"):
        return "the bank is being asked"
    if age_s < rules.ask_after_s:
        return "not confirmed yet"
    if age_s < rules.decide_after_s:
        return f"not confirmed: terminal {order.terminal_id} is asked at its next contact"
    if order.means == "card":
        return "not confirmed in time: decided when the bank has told what it knows"
    return "not confirmed in time: about to be decided"


def show_age(age_s: int) -> str:
    """Seconds as hours, minutes and seconds.

    >>> show_age(7325)
    '2:02:05'
    """
    return f"{age_s // 3600}:{age_s // 60 % 60:02d}:{age_s % 60:02d}"


@orders_app.command("life")
def print_life() -> None:
    """Print the order's life as a Markdown table, from the code that decides it.

    Example: acquirer orders life
    """
    for line in life_table().splitlines():
        say(line)


@events_app.command("list")
def list_events(
    data: Data = None,
    config: Config = None,
    state: Annotated[
        Literal["pending", "dead", "delivered"] | None, typer.Option("--state", help="Only those.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Print notices to merchants, newest first; dead ones wait for a replay.

    Example: acquirer orders events list --state dead --data shop
    """
    with open_books(data, config) as connection:
        print_list(
            "events",
            event_lines(connection, state, limit),
            EVENTS,
            title="Notices",
            as_json=as_json,
            style=lambda line: "red" if line.state == "dead" else "",
        )


@events_app.command("replay")
def replay_events(
    event_id: Annotated[
        str, typer.Argument(metavar="[EVENT]", help="A dead letter's id; all without one.")
    ] = "",
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Send dead letters again, with their old ids; what waits behind them follows.

    Example: acquirer orders events replay --data shop
    """
    ids = [event_id]
    if not event_id:
        with open_books(data, config) as connection:
            dead = [line.id for line in event_lines(connection, "dead", REPLAYED_MAX)]
        ids = dead[::-1]
    for one in ids:
        call_switch(data, config, f"events/{quote(one, safe='')}/replay", by=by, as_json=as_json)
    if as_json:
        print_json({"replayed": ids})
    else:
        say(f"{len(ids)} to be sent again")


@secrets_app.command("reload")
def reload_secrets(
    by: By = "", data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Have the running switch take over merchants' event secrets from its file, and nothing else.

    A file that does not load changes nothing. What else differs is named, with what takes it over.

    Example: acquirer orders secrets reload --data shop
    """
    done = call_switch(data, config, "secrets/reload", by=by, as_json=as_json)
    if as_json:
        print_json(done)
        return
    say(f"new secrets for: {', '.join(done['merchants']) or 'nobody'}")
    for other, cure in (("import_for", "`acquirer config import`"), ("restart_for", "a restart")):
        if done[other]:
            say(f"changed, but only {cure} takes it over: {', '.join(done[other])}")
