"""One payment told in words: what happened when, who did it, and where the money stands.

:func:`story` is pure; :func:`print_payment` shows it with the postings.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from acquirer.cli.books import show_merchant, show_time, zone
from acquirer.cli.lists import Column, print_table
from acquirer.cli.screen import Screen, say
from acquirer.codecs.money import format_minor
from acquirer.codecs.response_codes import ResponseCode, in_words
from acquirer.ledger.journal.details import HandIn, OrderException, Refund, WriteOff
from acquirer.ledger.journal.entries import (
    State,
)
from acquirer.ledger.journal.kinds import KINDS, Kind
from acquirer.ledger.reports.journal import WRITTEN_OFF
from acquirer.ledger.reports.payment import (
    Payment,
    PaymentDebt,
    PaymentEntry,
    PaymentNotice,
    PaymentPosting,
)

SWITCH = "the switch"
LABEL_COLUMNS = 10

STATES: Mapping[str, str] = MappingProxyType(
    {
        State.RECEIVED: "not decided yet",
        State.SENT: "its bank is being asked",
        State.APPROVED: "approved",
        State.DECLINED: "declined",
        State.TIMED_OUT: "its bank has not answered, and is to undo it",
        State.REVERSING: "being undone: its bank is owed the reversal",
        State.REVERSED: "undone",
        WRITTEN_OFF: "written off by an operator",
        State.VOIDED: "voided",
        State.REFUNDED: "paid back by refunds",
        State.REFUSED: "refused",
        State.COMPLETED: "completed: what was held has been taken, or let go",
        State.EXPIRED: "run out: nothing is held any more",
    }
)

POSTINGS: list[Column[PaymentPosting]] = [
    Column("time", lambda one: show_time(one.at_ms)),
    Column("amount", lambda one: format_minor(one.amount_minor, one.currency_code), right=True),
    Column("code", lambda one: one.code),
    Column("phase", lambda one: one.phase),
    Column("debit", lambda one: one.debit),
    Column("credit", lambda one: one.credit),
]


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened.

    Attributes:
        at_ms: when, milliseconds since 1970 UTC.
        who: terminal, courier, operator, bank, merchant, or the switch by itself.
        text: what, in words.
    """

    at_ms: int
    who: str
    text: str


def story(payment: Payment) -> list[Step]:
    """What happened to a payment, oldest first. Pure."""
    steps = [step for entry in payment.entries for step in _of_entry(entry)]
    steps += _of_postings(payment)
    steps += [step for debt in payment.debts for step in _of_debt(debt)]
    steps += [step for notice in payment.notices for step in _of_notice(notice)]
    return sorted(steps, key=lambda step: step.at_ms)


def print_payment(payment: Payment) -> None:
    """Show a payment on the screen."""
    for label, text in _facts(payment):
        _say(f"{label:<{LABEL_COLUMNS}}", text)
    say()
    say(f"What happened (times: {zone()})")
    for step in story(payment):
        shown = datetime.fromtimestamp(step.at_ms / 1000, zone())
        _say(f"{shown:%Y-%m-%d %H:%M:%S}.{step.at_ms % 1000:03d}  ", f"{step.who}: {step.text}")
    say()
    if payment.postings:
        print_table("Postings", payment.postings, POSTINGS)
    else:
        say("Nothing was posted.")


def _say(head: str, text: str) -> None:
    """Print a text beside its head, in as many lines as it needs."""
    room = max(Screen().width - len(head), 20)
    for line in textwrap.wrap(text, room, break_on_hyphens=False) or [""]:
        say(head + line)
        head = " " * len(head)


def _facts(payment: Payment) -> Iterator[tuple[str, str]]:
    first = payment.entries[0]
    line = first.line
    yield "payment", line.rrn
    yield "what", f"{_title(first)} of {_amount(first)}"
    yield "state", _state(payment)
    yield "answered", _code(line.response_code) if line.response_code else "nothing yet"
    yield "begun", f"{show_time(line.created_at_ms)}, business date {line.business_date}"
    name = show_merchant(line.merchant_id)
    yield "merchant", name if name == line.merchant_id else f"{name} ({line.merchant_id})"
    yield "terminal", f"{line.terminal_id}, batch {line.batch}, STAN {line.stan}"
    if first.courier_id:
        yield "courier", first.courier_id
    if line.order_no:
        yield "order", line.order_no
    if line.card:
        yield "card", line.card
    if line.bank:
        yield "bank", _link(first)
    if line.approval_code:
        yield "approval", line.approval_code


def _state(payment: Payment) -> str:
    """The state of the entry with which it began; a debt that was given up is no undoing."""
    first = payment.entries[0].line
    for entry in payment.entries:
        if isinstance(entry.detail, WriteOff) and entry.line.original_id == first.id:
            return f"written off by {entry.detail.by}: {entry.detail.reason}"
    if any(debt.dead_at_ms and not debt.finished_at_ms for debt in payment.debts):
        return f"{STATES[first.state]}; a dead letter waits for an operator"
    return STATES[first.state]


def _title(entry: PaymentEntry) -> str:
    kind = Kind(entry.line.kind)
    title = KINDS[kind].title
    return f"{title} in cash" if _is_cash(entry) else title


def _is_cash(entry: PaymentEntry) -> bool:
    return KINDS[Kind(entry.line.kind)].payment == "order" and not entry.line.card


def _amount(entry: PaymentEntry) -> str:
    line = entry.line
    return f"{format_minor(line.amount_minor, line.currency)} (currency {line.currency})"


def _code(code: str) -> str:
    return f"{code}, {in_words(code)}"


def _link(entry: PaymentEntry) -> str:
    if not entry.bank_stan:
        return entry.line.bank
    return f"{entry.line.bank}, STAN {entry.bank_stan}, DE7 {entry.transmission_at}"


def _of_entry(entry: PaymentEntry) -> Iterator[Step]:
    line, detail = entry.line, entry.detail
    if isinstance(detail, WriteOff):
        text = f"writes off {_amount(entry)}: {detail.reason}"
        yield Step(line.created_at_ms, f"operator {detail.by}", text)
        return
    who = f"terminal {line.terminal_id}" if entry.mti else SWITCH
    if entry.courier_id:
        who += f", courier {entry.courier_id}"
    text = _title(entry) + (f" of {_amount(entry)}" if line.amount_minor else "")
    text += f" (RRN {line.rrn}, STAN {line.stan})"
    if isinstance(detail, OrderException):
        text += f", reason {detail.reason}" + (f": {detail.note}" if detail.note else "")
    if isinstance(detail, HandIn):
        text += f" at {detail.station}"
    if isinstance(detail, Refund) and detail.reason:
        text += f", because of {_code(detail.reason)}"
    text += f"; {STATES[line.state]}"
    if (line.state, line.response_code) == (State.APPROVED, ResponseCode.APPROVED):
        text += " (00)"
    elif line.response_code:
        text += f", answered {_code(line.response_code)}"
    yield Step(line.created_at_ms, who, text)
    if line.bank and entry.bank_stan:
        text = f"is asked, STAN {entry.bank_stan}, DE7 {entry.transmission_at}"
        if line.late_response_code:
            text += f"; it answered {_code(line.late_response_code)} too late"
        yield Step(line.created_at_ms, f"bank {line.bank}", text)


def _of_postings(payment: Payment) -> Iterator[Step]:
    """One step for all that an entry posted at one instant."""
    titles = {entry.line.id: _title(entry) for entry in payment.entries}
    seen = dict.fromkeys((one.entry_id, one.at_ms, one.phase) for one in payment.postings)
    words = {"posted": "posted", "pending": "held", "post": "held money posted", "void": "released"}
    for entry_id, at_ms, phase in seen:
        codes = [
            f"{one.code} {format_minor(one.amount_minor, one.currency_code)}"
            for one in payment.postings
            if (one.entry_id, one.at_ms, one.phase) == (entry_id, at_ms, phase)
        ]
        yield Step(at_ms, SWITCH, f"{titles[entry_id]}: {words[phase]} {', '.join(codes)}")


def _of_debt(debt: PaymentDebt) -> Iterator[Step]:
    who, what = f"bank {debt.bank}", f"{debt.kind} {debt.id}"
    because = f" because of {_code(debt.reason)}" if debt.reason else ""
    yield Step(debt.created_at_ms, SWITCH, f"owes {who} a {debt.kind}{because} (number {debt.id})")
    times = "once" if debt.attempts == 1 else f"{debt.attempts} times"
    if debt.dead_at_ms is not None:
        why = f": {debt.dead_reason}" if debt.dead_reason else ""
        yield Step(debt.dead_at_ms, SWITCH, f"gives {what} up, sent {times}{why}")
    if debt.finished_at_ms is not None and debt.is_written_off:
        text = f"ends {what}, which was sent {times} and given up: {debt.dead_reason}"
        yield Step(debt.finished_at_ms, SWITCH, text)
    elif debt.finished_at_ms is not None and debt.response_code:
        text = f"answers {what} with {_code(debt.response_code)}, sent {times}"
        yield Step(debt.finished_at_ms, who, text)
    if debt.finished_at_ms is None and debt.dead_at_ms is None:
        yield Step(debt.next_at_ms, SWITCH, f"sends {what} again, sent {times} so far")


def _of_notice(notice: PaymentNotice) -> Iterator[Step]:
    what = f"notice {notice.type} of order {notice.order_no} ({notice.id})"
    if notice.delivered_at_ms is not None:
        yield Step(notice.delivered_at_ms, "merchant", f"has taken the {what}")
    elif notice.dead_at_ms is not None:
        yield Step(notice.dead_at_ms, SWITCH, f"gives the {what} up: {notice.dead_reason}")
    else:
        yield Step(notice.next_at_ms, SWITCH, f"sends the {what}")
