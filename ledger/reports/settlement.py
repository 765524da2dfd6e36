"""What a merchant's finance staff asks: payments by means, fees, net due, open and returned, cash.

Reads only, over an SQLAlchemy connection of ``Database.read_only_engine``, beside a running
switch. One pass over the journal's payments of a span of business dates, their fees from the
transfers that posted them. Values out; tables and files are the command line's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from sqlalchemy import Connection, case, func, select

from acquirer.codecs.order_codes import means_of
from acquirer.ledger.accounts.postings import MDR_RETURNED
from acquirer.ledger.journal.entries import (
    State,
)
from acquirer.ledger.journal.kinds import KINDS, TAKINGS, Kind
from acquirer.ledger.reports.orders import PAID, cash_in_hand
from acquirer.ledger.reports.pages import PAGE_ROWS
from acquirer.ledger.store.schema import journal, orders, transfers

GroupBy = Literal["merchant", "courier", "station", "day", "terminal", "means"]
FEE_CODES = ("mdr", "cod-fee")
APPROVED_CODES = ("00", "10")
STANDING = (State.APPROVED.value, State.REFUNDED.value)
RETURNED = (State.VOIDED.value, State.REVERSED.value, State.REVERSING.value)


@dataclass(slots=True)
class ReportLine:
    """One group's sums; amounts in minor units of one currency.

    A payment that was refunded stays in what was paid: the refund is counted beside it, on its own
    date.

    Attributes:
        card_minor: paid by card, of orders and at the counter.
        none_count: orders delivered with nothing to pay.
        fee_minor: our fees on what was paid, less those that went back with refunds.
        net_minor: what is due to the merchant: paid less fees and refunds.
        unconfirmed_count: payments of these that nobody has confirmed yet.
        returned_count: payments that were voided, reversed or cancelled, and refunds.
        voided_count: of these, the payments: they are not in what was paid, while what a refund
            gives back is.
        exception_count: exceptions told.
        cash_in_hand_minor: what couriers of this group owe now, whatever the dates.
    """

    group: str
    currency_code: str
    card_count: int = 0
    card_minor: int = 0
    cash_count: int = 0
    cash_minor: int = 0
    none_count: int = 0
    fee_minor: int = 0
    net_minor: int = 0
    unconfirmed_count: int = 0
    unconfirmed_minor: int = 0
    returned_count: int = 0
    returned_minor: int = 0
    voided_count: int = 0
    voided_minor: int = 0
    exception_count: int = 0
    cash_in_hand_minor: int = 0


@dataclass(frozen=True, slots=True)
class Courier:
    """Where a courier belongs, from the switch's configuration."""

    merchant_id: str
    station: str


def report_lines(
    connection: Connection,
    by: GroupBy,
    *,
    first_date: str,
    last_date: str,
    couriers: Mapping[str, Courier],
    merchant_id: str = "",
) -> list[ReportLine]:
    """Sums by group, in the order of the groups' names.

    Args:
        by: what makes a group; payments without a courier or station are of the group ``-``.
        first_date: first business date, YYYY-MM-DD.
        last_date: last business date, included.
        couriers: by courier id.
        merchant_id: only this merchant's; empty for all.
    """
    group_of = _grouping(by, couriers)
    lines: dict[tuple[str, str], ReportLine] = {}

    def line(group: str, currency: str) -> ReportLine:
        return lines.setdefault((group, currency), ReportLine(group, currency))

    payments = _payments(first_date, last_date, merchant_id)
    for row in connection.execute(payments.execution_options(yield_per=PAGE_ROWS)):
        _count(line(group_of(row), row.currency_code), row)
    if by != "day":
        _count_cash(line, by, connection, couriers, merchant_id)
    return [lines[key] for key in sorted(lines)]


def total(lines: list[ReportLine], currency_code: str) -> ReportLine:
    """The sum of lines of one currency."""
    summed = ReportLine("total", currency_code)
    for one in lines:
        if one.currency_code == currency_code:
            for name in COLUMNS:
                setattr(summed, name, getattr(summed, name) + getattr(one, name))
    return summed


COLUMNS = tuple(field.name for field in fields(ReportLine))[2:]


def _payments(first_date: str, last_date: str, merchant_id: str) -> Any:
    fees = (
        select(
            transfers.c.event_id,
            func.sum(
                case(
                    (transfers.c.code.in_(FEE_CODES), transfers.c.amount_minor),
                    (transfers.c.code == MDR_RETURNED, -transfers.c.amount_minor),
                    else_=0,
                )
            ).label("fee_minor"),
        )
        .join(journal, journal.c.id == transfers.c.event_id)
        .where(
            transfers.c.reverses_id.is_(None),
            transfers.c.phase.in_(("posted", "post")),
            journal.c.business_date.between(first_date, last_date),
        )
        .group_by(transfers.c.event_id)
        .subquery()
    )
    unconfirmed = select(orders.c.payment_id).where(orders.c.status == PAID).subquery("unconfirmed")
    query = (
        select(
            journal.c.kind,
            journal.c.state,
            journal.c.processing_code,
            journal.c.merchant_id,
            journal.c.terminal_id,
            journal.c.courier_id,
            journal.c.business_date,
            journal.c.amount_minor,
            journal.c.currency_code,
            func.coalesce(fees.c.fee_minor, 0).label("fee_minor"),
            unconfirmed.c.payment_id.is_not(None).label("unconfirmed"),
        )
        .outerjoin(fees, fees.c.event_id == journal.c.id)
        .outerjoin(unconfirmed, unconfirmed.c.payment_id == journal.c.id)
        .where(
            journal.c.business_date.between(first_date, last_date),
            journal.c.kind.in_(sorted({*TAKINGS, Kind.ORDER_EXCEPTION})),
            journal.c.state.in_((*STANDING, *RETURNED)),
            # One that was never approved has not come back either.
            journal.c.response_code.in_(APPROVED_CODES),
        )
    )
    return query.where(journal.c.merchant_id == merchant_id) if merchant_id else query


def _count(line: ReportLine, row: Any) -> None:
    if row.kind == Kind.ORDER_EXCEPTION:
        line.exception_count += 1
        return
    # PostgreSQL sums integers to a decimal.
    fee_minor = int(row.fee_minor)
    gives_back = KINDS[Kind(row.kind)].gives_back
    one = 0 if KINDS[Kind(row.kind)].adds else 1
    if gives_back or row.state not in STANDING:
        line.returned_count += one
        line.returned_minor += row.amount_minor
        if gives_back:
            line.fee_minor += fee_minor
            line.net_minor -= row.amount_minor + fee_minor
        else:
            line.voided_count += one
            line.voided_minor += row.amount_minor
        return
    means = _means(row)
    if means == "card":
        line.card_count += one
        line.card_minor += row.amount_minor
    elif means == "cash":
        line.cash_count += 1
        line.cash_minor += row.amount_minor
    else:
        line.none_count += 1
    line.fee_minor += fee_minor
    line.net_minor += row.amount_minor - fee_minor
    if row.unconfirmed:
        line.unconfirmed_count += 1
        line.unconfirmed_minor += row.amount_minor


def _means(row: Any) -> str:
    return means_of(row.processing_code)


def _count_cash(
    line: Callable[[str, str], ReportLine],
    by: GroupBy,
    connection: Connection,
    couriers: Mapping[str, Courier],
    merchant_id: str,
) -> None:
    for courier_id, owed in cash_in_hand(connection).items():
        courier = couriers.get(courier_id, Courier("", ""))
        if merchant_id not in ("", courier.merchant_id):
            continue
        groups = {
            "merchant": courier.merchant_id,
            "courier": courier_id,
            "station": courier.station,
            "terminal": "",
            "means": "cash",
        }
        for currency, balance_minor in owed.items():
            if balance_minor:
                line(groups[by] or "-", currency).cash_in_hand_minor += balance_minor


def _grouping(by: GroupBy, couriers: Mapping[str, Courier]) -> Callable[[Any], str]:
    groups: dict[GroupBy, Callable[[Any], str]] = {
        "merchant": lambda row: row.merchant_id,
        "courier": lambda row: row.courier_id or "-",
        "station": lambda row: couriers.get(row.courier_id, Courier("", "")).station or "-",
        "day": lambda row: row.business_date,
        "terminal": lambda row: row.terminal_id,
        "means": lambda row: "-" if row.kind == Kind.ORDER_EXCEPTION else _means(row),
    }
    return groups[by]
