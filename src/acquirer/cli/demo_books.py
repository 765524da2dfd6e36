"""What ``acquirer demo`` asks every party at the end of its day, and how it shows the answers.

Each is asked by a command of its own, as an operator would. What must agree: ``agreement.py``.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import msgspec
import trio
from rich.table import Table

from acquirer.cli.agreement import Agreement, Books
from acquirer.cli.demo_shop import shelves
from acquirer.cli.screen import Screen
from acquirer.config.children import program
from acquirer.config.estate import Estate
from acquirer.terminals_sim.client import TerminalClient

QUIET_S = 20.0
POLL_S = 0.3


async def until_quiet(data: Path) -> None:
    """Wait until nothing is owed to the bank or to the order system any more."""
    with trio.move_on_after(QUIET_S):
        while True:
            journal = await trio.to_thread.run_sync(ask_json, "journal", "list", data)
            untold = await trio.to_thread.run_sync(
                ask_json, "orders", "events", data, "list", "--state", "pending"
            )
            owed = [t for t in journal["transactions"] if t["state"] in ("timed_out", "reversing")]
            if not owed and not untold["events"]:
                return
            await trio.sleep(POLL_S)


def read_books(data: Path, estate: Estate, clients: dict[str, TerminalClient], shop: str) -> Books:
    """What each party says now.

    Args:
        shop: whose shelves are looked at, by merchant id.
    """
    return Books(
        terminals={tid: client.state for tid, client in clients.items()},
        journal=ask_json("journal", "list", data)["transactions"],
        trial_balance=ask_json("ledger", "trial-balance", data),
        verified=run_command("ledger", "verify", "--data", str(data)).returncode == 0,
        bank=ask_json("bank-sim", "transactions", data)["transactions"],
        orders=ask_json("order-sim", "orders", data)["orders"],
        switch_orders=ask_json("orders", "list", data)["orders"],
        couriers=ask_json("couriers", "list", data)["couriers"],
        shelves=shelves(estate.items, shop),
        stock=ask_json("order-sim", "stock", data)["stock"],
    )


def ask_json(group: str, command: str, data: Path, *more: str) -> Any:
    """The JSON that a command of the product answers, in a process of its own."""
    result = run_command(group, command, *more, "--data", str(data), "--json")
    if result.returncode:
        raise RuntimeError(f"acquirer {group} {command} failed: {result.stderr.decode()}")
    return msgspec.json.decode(result.stdout)


def run_command(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command of the product to its end."""
    return subprocess.run(program(*arguments), capture_output=True, check=False)


def show_trial_balance(console: Screen, books: Books) -> None:
    """Print the ledger's accounts."""
    console.print()
    console.print("Evening: the trial balance", style="bold cyan")
    table = Table(box=None, padding=(0, 2))
    table.add_column("account")
    table.add_column("debit", justify="right")
    table.add_column("credit", justify="right")
    for line in books.trial_balance["lines"]:
        table.add_row(line["account"], _money(line["debit_minor"]), _money(line["credit_minor"]))
    debit = sum(line["debit_minor"] for line in books.trial_balance["lines"])
    credit = sum(line["credit_minor"] for line in books.trial_balance["lines"])
    table.add_section()
    table.add_row("total", _money(debit), _money(credit), style="bold")
    console.print(table)


def show_agreement(console: Screen, agreement: Agreement) -> None:
    """Print what each party has, and what differs."""
    console.print()
    console.print("Do all parties tell the same story?", style="bold cyan")
    table = Table(box=None, padding=(0, 2))
    table.add_column("party")
    table.add_column("payments", justify="right")
    table.add_column("amount", justify="right")
    for party, payments in agreement.parties.items():
        table.add_row(party, str(len(payments)), _money(sum(payments.values())))
    console.print(table)
    for difference in agreement.differences:
        console.print(f"  ✗ {difference}", style="red")
    if agreement.holds:
        agreed = "terminal, switch, ledger, bank, order system and shelves agree"
        console.print(f"  ✓ {agreed}", style="bold green")


def _money(amount_minor: int) -> str:
    return f"{amount_minor / 100:,.2f}" if amount_minor else ""
