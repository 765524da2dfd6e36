"""``acquirer batches``: the terminals' batches and how their settlement ended.

The list reads the books; ``close`` asks the running switch. Exit codes: 0 done, 1 refused, 2 a
wrong command line, configuration or database, or no switch to ask.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer

from acquirer.cli.books import AsJson, Config, Data, open_books, show_time
from acquirer.cli.lists import Column, print_list
from acquirer.cli.operator import By, call_switch
from acquirer.cli.screen import print_json, say
from acquirer.codecs.money import format_minor
from acquirer.ledger.journal.batches import Sums
from acquirer.ledger.reports.batches import BatchReport, batch_reports

batches_app = typer.Typer(help="The terminals' batches.", invoke_without_command=True)


def _sums(sums: Sums | None, currency_code: str) -> str:
    if sums is None:
        return "-"
    debit = format_minor(sums.debit_minor, currency_code)
    credit = format_minor(sums.credit_minor, currency_code)
    return f"{debit} in {sums.debit_count}, back {credit} in {sums.credit_count}"


COLUMNS: list[Column[BatchReport]] = [
    Column("terminal", lambda one: one.terminal_id),
    Column("batch", lambda one: one.batch),
    Column("state", lambda one: one.state + (", changed" if one.changed_after_close else "")),
    Column("opened", lambda one: show_time(one.opened_at_ms)),
    Column("closed", lambda one: show_time(one.closed_at_ms) if one.closed_at_ms else "-"),
    Column("terminal's sums", lambda one: _sums(one.terminal_totals, one.currency_code)),
    Column("switch's sums", lambda one: _sums(one.switch_totals, one.currency_code)),
    Column("differences", lambda one: str(len(one.differences) or ""), right=True),
]


@batches_app.callback()
def show_batches(
    context: typer.Context,
    terminal: Annotated[str, typer.Option("--terminal", help="Of this terminal only.")] = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show all batches: what terminal and switch say they came to, and each difference.

    Example: acquirer batches --terminal 10000001 --data shop
    """
    if context.invoked_subcommand is not None:
        return
    with open_books(data, config) as connection:
        found = list(batch_reports(connection, terminal))
    print_list("batches", found, COLUMNS, title="Batches", as_json=as_json, document=_document)
    if not as_json:
        for one in found:
            for difference in one.differences:
                amounts = (difference.terminal_minor, difference.switch_minor)
                his, ours = (
                    "-" if each is None else format_minor(each, one.currency_code)
                    for each in amounts
                )
                say(
                    f"{one.terminal_id} batch {one.batch} STAN {difference.stan}:"
                    f" {difference.kind}, terminal {his}, switch {ours}"
                )


@batches_app.command("close")
def close(
    terminal_id: Annotated[str, typer.Argument(metavar="TERMINAL_ID", help="Terminal id (DE41).")],
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Close a batch that its terminal does not settle; the terminal gets the next at its sign-on.

    Example: acquirer batches close 10000001 --data shop
    """
    path = f"terminals/{quote(terminal_id, safe='')}/close-batch"
    done = call_switch(data, config, path, by=by, as_json=as_json)
    if as_json:
        print_json(done)
    else:
        say(f"batch {done['batch']} of {terminal_id} is closed, {done['state']}")


def _document(one: BatchReport) -> dict[str, Any]:
    return {
        "terminal_id": one.terminal_id,
        "batch": one.batch,
        "state": one.state.value,
        "opened_at": _instant(one.opened_at_ms),
        "closed_at": _instant(one.closed_at_ms),
        "terminal_totals": None if one.terminal_totals is None else asdict(one.terminal_totals),
        "switch_totals": asdict(one.switch_totals),
        "differences": [asdict(difference) for difference in one.differences],
        "changed_after_close": one.changed_after_close,
    }


def _instant(at_ms: int | None) -> str | None:
    """A time to the millisecond, ISO 8601 in UTC."""
    if at_ms is None:
        return None
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
