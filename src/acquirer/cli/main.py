"""The ``acquirer`` command: one typer application, one module per group of commands."""

from __future__ import annotations

import typer

app = typer.Typer(
    name="acquirer",
    help="An ISO 8583 acquiring switch and order-payment platform.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line."""
    app()
