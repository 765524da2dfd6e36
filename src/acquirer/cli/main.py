"""The ``acquirer`` command: one typer application, one module per group of commands."""

from __future__ import annotations

import typer

from acquirer.cli import (
    bank_sim,
    decode,
    demo,
    hsm,
    ledger,
    order_sim,
    serve,
    terminal,
    up,
)
from acquirer.cli.bench import command as bench
from acquirer.cli.process import die_with_parent

app = typer.Typer(
    name="acquirer",
    help="An ISO 8583 acquiring switch and order-payment platform.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

up.register(app)
demo.register(app)
serve.register(app)
app.add_typer(ledger.ledger_app, name="ledger")
app.add_typer(ledger.journal_app, name="journal")
app.add_typer(terminal.terminal_app, name="terminal")
decode.register(app)
app.add_typer(hsm.app, name="hsm")
app.add_typer(bank_sim.bank_sim_app, name="bank-sim")
app.add_typer(order_sim.order_sim_app, name="order-sim")
bench.register(app)


def main() -> None:
    """Run the command line."""
    die_with_parent()
    app()
