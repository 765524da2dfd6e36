"""How ``acquirer terminal`` shows things: results, traces, a terminal's state.

Rendering only. What of a message may be shown is decided in ``codecs/masking.py``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import typer
from rich.table import Table

from acquirer.cli.screen import Screen, print_json, say, styled
from acquirer.codecs.capture import open_capture
from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.explain import (
    explain_envelope,
    plain_text,
)
from acquirer.codecs.explain_broken import explain_found
from acquirer.codecs.masked_hex import masked_hex
from acquirer.codecs.masking import mask_fields
from acquirer.codecs.response_codes import in_words
from acquirer.codecs.tpdu import ProcessingDemand
from acquirer.terminals_sim.amounts import format_amount
from acquirer.terminals_sim.messages import DIALECT
from acquirer.terminals_sim.results import Result
from acquirer.terminals_sim.state import StoredRequest, TerminalState

_COLOURS = {"approved": "green", "declined": "red", "invalid": "magenta"}
_JOURNAL_ROWS = 15
_ISSUER = {"right": "proved to the card", "wrong": "not believed by the card"}
_PAID_OR_OVER = frozenset({"01", "02", "03", "04"})
_WIDTH = 120


def result_object(result: Result) -> dict[str, Any]:
    """A result as one JSON object; no card data is in it."""
    order = result.order
    return {
        "kind": result.kind,
        "outcome": result.outcome,
        "response_code": result.response_code,
        "text": in_words(result.response_code) if result.response_code else result.message,
        "stan": result.stan,
        "batch": result.batch,
        "amount_minor": result.amount_minor,
        "rrn": result.rrn,
        "approval_code": result.approval_code,
        "reversed": result.reversed,
        "mac": result.mac,
        "demand": int(result.demand),
        "faults": list(result.faults),
        "issuer": result.issuer,
        "balances": [
            {"currency_code": b.currency_code, "amount_minor": b.amount_minor}
            for b in result.balances
        ],
        "repayment": result.repayment
        and {
            "first_minor": result.repayment.first_minor,
            "fee_minor": result.repayment.fee_minor,
            "is_spread": result.repayment.is_spread,
        },
        "fetched": [item.hex().upper() for item in result.fetched],
        "order_no": result.order_no,
        "order": None
        if order is None
        else {
            "amount_minor": order.amount_minor,
            "status": order.status,
            "pay_ways": order.pay_ways,
            "text": list(order.text),
            "reference": order.reference,
            "asks": list(order.asks),
        },
    }


def show_result(result: Result, *, as_json: bool) -> None:
    """Print a result: aligned and coloured for people, or as one JSON object."""
    if as_json:
        print_json(result_object(result))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    colour = _COLOURS.get(result.outcome, "yellow")
    head = f"{result.response_code} {result.message}".strip()
    table.add_row(result.kind.replace("_", " "), styled(head, f"bold {colour}"))
    for name, value in _rows(result):
        table.add_row(name, value)
    Screen().print(table)


def _rows(result: Result) -> list[tuple[str, str]]:
    rows = [
        ("order", result.order_no),
        ("amount", format_amount(result.amount_minor) if result.amount_minor else ""),
        ("STAN", f"{result.stan}, batch {result.batch}" if result.stan else ""),
        ("RRN", result.rrn),
        ("approval", result.approval_code),
        ("issuer", _ISSUER.get(result.issuer, "")),
    ]
    rows += [("balance", format_amount(balance.amount_minor)) for balance in result.balances]
    rows += [("fetched", item.hex().upper()) for item in result.fetched]
    if result.repayment is not None:
        rows.append(("first repayment", format_amount(result.repayment.first_minor)))
        rows.append(("fee", format_amount(result.repayment.fee_minor)))
    order = result.order
    if order is not None:
        ways = {"1": "card", "2": "cash", "3": "delivery"}
        due = "" if order.amount_minor is None else format_amount(order.amount_minor)
        open_ways = "" if order.status in _PAID_OR_OVER else order.pay_ways
        rows += [
            ("due", due if result.kind == "order_query" else ""),
            ("status", order.status_in_words),
            ("pay by", ", ".join(ways.get(way, way) for way in open_ways)),
            ("reference", order.reference),
            ("asks for", ", ".join(order.asks)),
        ]
        rows += [("text", line) for line in order.text]
    if result.demand != ProcessingDemand.NOTHING:
        rows.append(("asked to", result.demand.name.lower().replace("_", " ")))
    if result.outcome in ("no_answer", "invalid"):
        rows.append(("reversed", "yes" if result.reversed else "no"))
    rows += [("fault", fault) for fault in result.faults]
    return [(name, value) for name, value in rows if value]


def tracer(encoding: str, *, in_hex: bool, to_stderr: bool) -> Callable[[str, bytes], None]:
    """A watch for a link that prints each message decoded and masked.

    Args:
        encoding: character set of DE59.
        in_hex: whether its bytes are shown too, field by field; those of masked fields as dots.
        to_stderr: keep standard output for something else.
    """
    dialect = load_dialect(DIALECT)

    def show(direction: str, frame: bytes) -> None:
        found = open_capture(frame, dialect)
        arrow = "→ sent" if direction == "sent" else "← received"
        say(f"{arrow}, {len(frame)} bytes", err=to_stderr)
        lines = explain_envelope(found.envelope, dialect)
        lines += explain_found(found, dialect, encoding)
        bytes_too = masked_hex(found, dialect) if in_hex else []
        for line in (*plain_text(lines).splitlines(), *bytes_too, ""):
            say(line, err=to_stderr)

    return show


def show_state(state: TerminalState, *, as_json: bool) -> None:
    """Print what a terminal remembers, masked; cryptograms of keys are left out."""
    if as_json:
        waiting = {
            "reversal": _masked(state.reversal),
            "last_reversible": _masked(state.last_reversible),
            "advices": tuple(_masked(advice) for advice in state.advices),
        }
        values = msgspec.to_builtins(state, str_keys=True) | msgspec.to_builtins(
            waiting, str_keys=True
        )
        values["signed_on"] = bool(values.pop("wrapped_keys"))
        print_json(values)
        return
    console = Screen(_WIDTH)
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="dim")
    facts.add_column()
    for name, value in _facts(state):
        facts.add_row(name, value)
    console.print(facts)
    if not state.journal:
        return
    table = Table(box=None, pad_edge=False)
    for column in ("kind", "batch", "STAN", "RRN", "amount", "code", "state", "order"):
        table.add_column(column, justify="right" if column == "amount" else "left", style="none")
    for entry in state.journal[-_JOURNAL_ROWS:]:
        colour = {"approved": "green", "declined": "red"}.get(entry.state, "yellow")
        table.add_row(
            entry.kind.replace("_", " "),
            entry.batch,
            entry.stan,
            entry.rrn,
            format_amount(entry.amount_minor),
            entry.response_code,
            styled(entry.state, colour),
            entry.order_no,
        )
    console.print(table)
    if len(state.journal) > _JOURNAL_ROWS:
        rest = "`acquirer terminal … --json status` shows all"
        say(f"the last {_JOURNAL_ROWS} of {len(state.journal)}; {rest}")


def _masked(request: StoredRequest | None) -> StoredRequest | None:
    return request and replace(request, fields=mask_fields(request.mti, request.fields))


def _facts(state: TerminalState) -> list[tuple[str, str]]:
    undo = state.reversal
    pending = f"{undo.kind} STAN {undo.fields.get(11, '')}" if undo else "none"
    keys = f"from sign-on {state.network_code}" if state.wrapped_keys else "none: sign on"
    return [
        ("terminal", state.terminal_id),
        ("batch", state.batch),
        ("next STAN", state.stan),
        ("keys", keys + (", new ones asked for" if state.sign_on_due else "")),
        ("courier", state.courier_id or "none"),
        ("to reverse", pending),
        ("to confirm", ", ".join(order.order_no for order in state.open_orders) or "none"),
        ("unanswered", str(len(state.advices))),
    ]


def fail(text: str, code: int) -> typer.Exit:
    """Say why on standard error and give the exit to raise."""
    say(text, err=True, style="red" if sys.stderr.isatty() else "")
    return typer.Exit(code)
