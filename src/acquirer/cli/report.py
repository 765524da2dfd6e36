"""``acquirer report``: payments by means, fees, net due, what is open and returned, cash in hand.

By merchant, courier, station, terminal, day or means, over a span of business dates; as a table,
JSON, CSV, an Excel workbook or a PNG chart. Reads the books beside a running switch.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from acquirer.cli.books import AsJson, Config, Data, open_books
from acquirer.cli.config import read_current
from acquirer.cli.lists import Column, print_table
from acquirer.cli.operator import read_settings
from acquirer.cli.process import fail
from acquirer.cli.report_files import write_chart, write_workbook
from acquirer.cli.screen import print_json, say
from acquirer.codecs.currencies import currency_name
from acquirer.codecs.money import format_minor
from acquirer.ledger.reports.settlement import (
    COLUMNS,
    Courier,
    GroupBy,
    ReportLine,
    report_lines,
    total,
)
from acquirer.payments.kernel.calendar import time_zone

HEADINGS = {
    "card_count": "cards",
    "card_minor": "by card",
    "cash_count": "cash",
    "cash_minor": "in cash",
    "none_count": "nothing to pay",
    "fee_minor": "fees",
    "net_minor": "net due",
    "unconfirmed_count": "open",
    "unconfirmed_minor": "unconfirmed",
    "returned_count": "back",
    "returned_minor": "returned",
    "voided_count": "of these voids",
    "voided_minor": "voided",
    "exception_count": "exceptions",
    "cash_in_hand_minor": "cash in hand",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)


def report(
    by: Annotated[GroupBy, typer.Option("--by", help="What a line is about.")] = "merchant",
    first: Annotated[
        str, typer.Option("--from", metavar="YYYY-MM-DD", help="First business date; today.")
    ] = "",
    last: Annotated[
        str, typer.Option("--to", metavar="YYYY-MM-DD", help="Last one; as the first.")
    ] = "",
    merchant: Annotated[str, typer.Option("--merchant", help="Only this merchant's.")] = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV on standard output.")] = False,
    xlsx: Annotated[Path | None, typer.Option("--xlsx", help="Write an Excel workbook.")] = None,
    png: Annotated[
        Path | None, typer.Option("--png", help="Write a chart: gross by means, net due.")
    ] = None,
) -> None:
    """Print what was paid, by means, with fees and net due; what is open, returned, outstanding.

    Examples:

      acquirer report --data shop

      acquirer report --by courier --from 2026-11-01 --to 2026-11-30 --csv --data shop
    """
    settings = read_settings(data, config)
    today = datetime.now(time_zone(settings.business_day.zone)).date().isoformat()
    first_date = _date(first, "--from") if first else today
    last_date = _date(last, "--to") if last else first_date
    if last_date < first_date:
        reason = f"{last_date} is before --from, {first_date}"
        raise typer.BadParameter(reason, param_hint="--to")
    current = read_current(data, config)
    couriers = {c.courier_id: Courier(c.merchant_id, c.station) for c in current.couriers}
    with open_books(data, config) as connection:
        lines = report_lines(
            connection,
            by,
            first_date=first_date,
            last_date=last_date,
            couriers=couriers,
            merchant_id=merchant,
        )
    known = [m.merchant_id for m in current.merchants]
    if merchant and not lines and merchant not in known:
        reason = f"no merchant {merchant!r}; there are {', '.join(known)}"
        raise typer.BadParameter(reason, param_hint="--merchant")
    title = f"By {by}, {first_date}" + (f" to {last_date}" if last_date != first_date else "")
    names = {m.merchant_id: m.name for m in current.merchants} if by == "merchant" else {}
    chart = partial(write_chart, names=names)
    for path, write in ((xlsx, partial(write_workbook, headings=HEADINGS)), (png, chart)):
        if path is not None:
            _write(path, write, title, lines, to_stderr=as_json or as_csv)
    if as_json:
        print_json({"by": by, "from": first_date, "to": last_date, "lines": _rows(lines)})
    elif as_csv:
        _print_csv(lines)
    elif xlsx is None and png is None:
        _print_table(title, lines, names)


def _write(
    path: Path,
    write: Callable[[Path, str, list[ReportLine]], int],
    title: str,
    lines: list[ReportLine],
    *,
    to_stderr: bool,
) -> None:
    """Write a file and say how much is in it."""
    try:
        shown = write(path, title, lines)
    except OSError as error:
        cure = "name a file in a folder that is there and that you may write to"
        fail(f"{path}: {error.strerror or error}; {cure}")
    count = f"{len(lines)} line{'s' * (len(lines) != 1)}"
    some = f"the first {shown} of " if shown < len(lines) else ""
    say(f"{path}: {some}{count}", err=to_stderr)


def _rows(lines: list[ReportLine]) -> list[dict[str, object]]:
    return [asdict(line) for line in lines]


def _print_csv(lines: list[ReportLine]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("group", "currency", *COLUMNS))
    for line in lines:
        writer.writerow(
            (_plain(line.group), line.currency_code, *(getattr(line, name) for name in COLUMNS))
        )
    for row in text.getvalue().splitlines():
        say(row)


def _plain(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return "'" + text if text[:1] in ("=", "+", "@", "\t") else text


def _print_table(title: str, lines: list[ReportLine], names: Mapping[str, str]) -> None:
    """Print the columns in which there is something."""
    if not lines:
        say(f"{title}: no payments")
        return
    shown = [name for name in COLUMNS if any(getattr(line, name) for line in lines)]
    columns: list[Column[ReportLine]] = [
        Column("", lambda line: names.get(line.group, line.group)),
        Column("currency", lambda line: currency_name(line.currency_code)),
        *(Column(HEADINGS[name], partial(_cell, name=name), right=True) for name in shown),
    ]
    totals = [total(lines, currency) for currency in sorted({x.currency_code for x in lines})]
    print_table(title, [*lines, *totals], columns)


def _cell(line: ReportLine, name: str) -> str:
    value = getattr(line, name)
    return format_minor(value, line.currency_code) if name.endswith("_minor") else str(value)


def _date(text: str, option: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no date YYYY-MM-DD", param_hint=option) from None
