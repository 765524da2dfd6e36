"""``acquirer journal``: find payments, and tell all that is known of one.

Read-only: works beside a running switch, takes no lock, writes nothing. Exit codes: 0 done, 2 a
wrong command line, configuration or database, or no such payment.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from datetime import date, datetime, time, timedelta
from typing import Annotated, NoReturn

import msgspec
import typer

from acquirer.cli.books import (
    AsJson,
    Config,
    Data,
    merchants_currencies,
    merchants_named,
    open_books,
    show_merchant,
    show_time,
    zone,
)
from acquirer.cli.journal_story import STATES, print_payment, story
from acquirer.cli.lists import Column, print_list
from acquirer.cli.process import fail
from acquirer.cli.screen import print_json
from acquirer.codecs.money import format_minor, parse_major
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.reports.journal import JournalLine, Wanted, journal_lines
from acquirer.ledger.reports.payment import payment_of

journal_app = typer.Typer(help="The journal of transactions.", no_args_is_help=True)

# What people look for first stands first.
JOURNAL: list[Column[JournalLine]] = [
    Column("time", lambda line: show_time(line.created_at_ms)),
    Column("rrn", lambda line: line.rrn),
    Column("amount", lambda line: format_minor(line.amount_minor, line.currency), right=True),
    Column("code", lambda line: line.response_code),
    Column("late", lambda line: line.late_response_code),
    Column("state", lambda line: line.state),
    Column("kind", lambda line: line.kind),
    Column("merchant", lambda line: show_merchant(line.merchant_id)),
    Column("terminal", lambda line: line.terminal_id),
    Column("batch", lambda line: line.batch),
    Column("stan", lambda line: line.stan),
    Column("card", lambda line: line.card),
    Column("order", lambda line: line.order_no),
    Column("by", lambda line: line.by),
    Column("why", lambda line: line.reason),
]


@journal_app.callback()
def journal() -> None:
    """The journal of transactions."""


@journal_app.command("list")
def list_journal(
    rrn: Annotated[str, typer.Option("--rrn", help="DE37.")] = "",
    stan: Annotated[str, typer.Option("--stan", help="DE11, of the terminal.")] = "",
    terminal: Annotated[str, typer.Option("--terminal", help="Terminal id (DE41).")] = "",
    merchant: Annotated[
        str, typer.Option("--merchant", help="Its id (DE42), or some of its name.")
    ] = "",
    card: Annotated[
        str, typer.Option("--card", help="Last four digits, or as 622588******0007.")
    ] = "",
    amount: Annotated[str, typer.Option("--amount", help="As shown, such as 12.50.")] = "",
    from_: Annotated[
        str, typer.Option("--from", help='Since a day, or an instant: "2026-11-30 14:05".')
    ] = "",
    to: Annotated[
        str, typer.Option("--to", help="To the end of a day, or before an instant.")
    ] = "",
    state: Annotated[
        str, typer.Option("--state", metavar=f"[{'|'.join(STATES)}]", help="As the list shows it.")
    ] = "",
    kind: Annotated[Kind | None, typer.Option("--kind", help="As the list shows it.")] = None,
    order: Annotated[str, typer.Option("--order", help="Order number.")] = "",
    code: Annotated[str, typer.Option("--code", help="Response code (DE39).")] = "",
    data: Data = None,
    config: Config = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the journal's transactions, newest first; only those that fit all that is asked.

    Times are local, in the zone of the switch's ``business_day``.

    Example: acquirer journal list --card 0007 --from 2026-11-30 --amount 12.50 --data shop
    """
    if state and state not in STATES:
        reason = f"{state!r} is not one of {', '.join(STATES)}"
        raise typer.BadParameter(reason, param_hint="--state")
    with open_books(data, config) as connection:
        try:
            wanted = Wanted(
                rrn=rrn,
                stan=stan.zfill(6) if stan else "",
                terminal_id=terminal,
                merchant_ids=_merchants(merchant),
                order_no=order,
                state=state,
                kind=kind or "",
                card=card,
                code=code.upper(),
                amounts=_amounts(amount),
                from_ms=_instant(from_, "--from"),
                before_ms=_instant(to, "--to", end=True),
            )
            lines = journal_lines(connection, limit, wanted)
        except ValueError as error:
            fail(str(error))
        print_list("transactions", lines, JOURNAL, title="Journal", as_json=as_json)


def _merchants(text: str) -> tuple[str, ...]:
    found = merchants_named(text) if text else []
    if text and not found:
        raise ValueError(f"--merchant: no merchant {text!r}; `acquirer merchants list` shows all")
    return tuple(found)


def _amounts(text: str) -> tuple[tuple[str, int], ...]:
    """An amount in each currency that has such amounts."""
    found: list[tuple[str, int]] = []
    currencies = merchants_currencies()
    for code in currencies if text else ():
        with suppress(ValueError):
            found.append((code, parse_major(text.replace(",", ""), code)))
    if text and not found:
        raise ValueError(
            f"--amount: {text!r} is no amount of currency {' or '.join(currencies)}; write it as it"
            " is shown, such as 12.50"
        )
    return tuple(found)


def _instant(text: str, option: str, *, end: bool = False) -> int | None:
    """Milliseconds since 1970 UTC of a local day's beginning or end, or of an instant."""
    if not text:
        return None
    try:
        if len(text) <= len("2026-11-30"):
            day = date.fromisoformat(text) + timedelta(days=end)
            at = datetime.combine(day, time(), zone())
        else:
            at = datetime.fromisoformat(text)
            at = at if at.tzinfo else at.replace(tzinfo=zone())
        return int(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise ValueError(
            f'{option}: {text!r} is neither a day (2026-11-30) nor an instant ("2026-11-30 14:05")'
        ) from None


@journal_app.command("show")
def show_journal(
    rrn: Annotated[str, typer.Argument(metavar="RRN", help="DE37, 12 characters.")],
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Tell everything about one payment: what happened when, who did it, what it posted.

    An RRN of its reversal, void or refund shows the same.

    Example: acquirer journal show 633500000002 --data shop
    """
    with open_books(data, config) as connection:
        payment = payment_of(connection, rrn)
        if payment is None:
            _no_such(rrn)
        if as_json:
            steps = [asdict(step) for step in story(payment)]
            merchant = show_merchant(payment.entries[0].line.merchant_id)
            print_json({"merchant": merchant, "steps": steps, **msgspec.to_builtins(payment)})
        else:
            print_payment(payment)


def _no_such(rrn: str) -> NoReturn:
    fail(
        f"no transaction has the RRN {rrn!r}; `acquirer journal list` finds one by terminal, card,"
        " amount or time"
    )
