"""The ``acquirer`` command: one typer application, one module per group of commands.

Only the module of the command that was asked for is imported, so that a terminal's transaction
does not wait for the database's library; help without a command imports all.
"""

from __future__ import annotations

import sys
from importlib import import_module

import typer

from acquirer import __version__
from acquirer.cli.examples import show_examples_last
from acquirer.cli.option_order import OrderlyGroup
from acquirer.cli.process import USAGE_ERROR
from acquirer.cli.screen import say
from acquirer.config.children import die_with_parent
from acquirer.config.private import make_files_private

# Command → module, and the name of its typer group; an empty name means that the module
# registers a plain command itself.
COMMANDS = {
    "up": ("acquirer.cli.up", ""),
    "demo": ("acquirer.cli.demo", ""),
    "init": ("acquirer.cli.init", ""),
    "serve": ("acquirer.cli.serve", ""),
    "ledger": ("acquirer.cli.ledger", "ledger_app"),
    "journal": ("acquirer.cli.journal", "journal_app"),
    "orders": ("acquirer.cli.orders", "orders_app"),
    "report": ("acquirer.cli.report", ""),
    "couriers": ("acquirer.cli.couriers", "couriers_app"),
    "saf": ("acquirer.cli.saf", "saf_app"),
    "batches": ("acquirer.cli.batches", "batches_app"),
    "links": ("acquirer.cli.links", "links_app"),
    "config": ("acquirer.cli.config", "config_app"),
    "merchants": ("acquirer.cli.merchants", "merchants_app"),
    "terminals": ("acquirer.cli.terminals", "terminals_app"),
    "downloads": ("acquirer.cli.downloads", "downloads_app"),
    "terminal": ("acquirer.cli.terminal", "terminal_app"),
    "decode": ("acquirer.cli.decode", ""),
    "hsm": ("acquirer.cli.hsm", "app"),
    "bank-sim": ("acquirer.cli.bank_sim", "bank_sim_app"),
    "order-sim": ("acquirer.cli.order_sim", "order_sim_app"),
    "simulate": ("acquirer.cli.simulate", ""),
    "bench": ("acquirer.cli.bench", "bench_app"),
}


def application(*commands: str) -> typer.Typer:
    """The application with these commands, or with all."""
    app = typer.Typer(
        name="acquirer",
        cls=OrderlyGroup,
        help="An ISO 8583 acquiring switch and order-payment platform.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def acquirer() -> None:
        """An ISO 8583 acquiring switch and order-payment platform."""

    for command in commands or COMMANDS:
        module_name, group = COMMANDS[command]
        module = import_module(module_name)
        if group:
            app.add_typer(getattr(module, group), name=command)
        else:
            module.register(app)
    show_examples_last(app)
    return app


def main() -> None:
    """Run the command line."""
    make_files_private()
    die_with_parent()
    arguments = sys.argv[1:]
    _refuse_unreadable(arguments)
    if arguments == ["--version"]:
        say(f"acquirer {__version__}")
        return
    asked = arguments[0] if arguments else ""
    application(*([asked] if asked in COMMANDS else []))()


def _refuse_unreadable(arguments: list[str]) -> None:
    """End with exit code 2 where an argument is no text in the encoding of the terminal."""
    for place, argument in enumerate(arguments, 1):
        try:
            argument.encode("utf-8")
        except UnicodeEncodeError:
            say(
                f"acquirer: argument {place} ({argument!a}) is no text in this terminal's"
                " encoding; set LANG to that of your keyboard, such as C.UTF-8",
                err=True,
            )
            sys.exit(USAGE_ERROR)
