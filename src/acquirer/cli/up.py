"""``acquirer up``: the whole estate on loopback, each part a process of its own.

Starts security module, bank core, order system and switch in this order, has a part that dies
started again (``supervisor.py``), and stops them in the opposite order. Everything that lasts is
under ``--data``. The switch reaches the module over a Unix socket in a folder of its owner's.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Any

import msgspec
import trio
import typer

from acquirer.cli.logs import configure_logging
from acquirer.cli.operator import ask_switch, owner_headers
from acquirer.cli.process import fail, print_ready, run_service, until_signalled
from acquirer.cli.serve import SQLITE
from acquirer.cli.supervisor import Part
from acquirer.cli.up_folder import (
    BOOKS,
    SHOWN,
    Kept,
    folder_secrets,
    kept_settings,
    lock_folder,
    socket_folder,
)
from acquirer.codecs.pan import luhn_ok, mask_digits
from acquirer.config.addresses import UNIX
from acquirer.config.demo import demo_file
from acquirer.config.estate import Estate, demo_estate_path, load_estate
from acquirer.config.loading import ConfigError
from acquirer.config.private import own_folder
from acquirer.routing.orders.errors import OrderSettingsError
from acquirer.routing.orders.settings import parse_origin
from acquirer.simulation.provision import (
    HEADER_LENGTH,
    LOOPBACK,
    BankChoice,
    only_bank,
    switch_config,
)

PARTS = ("pos", "hsm", "bank", "orders", "http")


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What ``acquirer up`` was asked for.

    Attributes:
        hsm_port: of the security module; None opens none, unless ``port_base`` does.
        orders: URL of an order system that runs elsewhere, or empty for the simulator.
    """

    data: Path
    estate: str = ""
    database_url: str = ""
    port_base: int = 0
    hsm_port: int | None = None
    bank: BankChoice = field(default_factory=BankChoice)
    orders: str = ""

    def listen(self, part: str) -> str:
        """Where a part shall listen; port 0 takes a free one."""
        if part == "hsm" and self.hsm_port is not None:
            return f"{LOOPBACK}:{self.hsm_port}"
        port = self.port_base + PARTS.index(part) if self.port_base else 0
        return f"{LOOPBACK}:{port}"

    @property
    def opens_hsm(self) -> bool:
        """Whether programs of this machine may reach the security module."""
        return bool(self.port_base) or self.hsm_port is not None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up")(up)


def up(
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder for books and state; a new one if absent.")
    ] = None,
    database_url: Annotated[
        str, typer.Option("--database-url", help="SQLAlchemy URL, e.g. postgresql+psycopg://…")
    ] = "",
    port_base: Annotated[
        int,
        typer.Option(
            "--port-base",
            min=0,
            max=65_530,
            help="First of five ports: pos, hsm, bank, orders, http.",
        ),
    ] = 0,
    hsm_port: Annotated[
        int | None,
        typer.Option(
            "--hsm-port",
            min=0,
            max=65_535,
            help="Open the security module on this port, 0 = any free one; else only the switch "
            "reaches it.",
        ),
    ] = None,
    bank: Annotated[
        str, typer.Option("--bank", help="HOST:PORT of a bank core that runs elsewhere.")
    ] = "",
    bank_dialect: Annotated[
        str, typer.Option("--bank-dialect", help="Dialect of the bank link.")
    ] = "iso87_ascii",
    bank_security: Annotated[
        str, typer.Option("--bank-security", help="zone: key exchange and MACs; none: neither.")
    ] = "zone",
    orders: Annotated[
        str, typer.Option("--orders", help="URL of an order system that runs elsewhere.")
    ] = "",
    estate: Annotated[
        str, typer.Option("--estate", help="Estate file; the shipped demo estate if absent.")
    ] = "",
    log_level: Annotated[
        str, typer.Option("--log-level", help="debug, info, warning or error.")
    ] = "",
) -> None:
    """Run switch, security module, bank core and order system on loopback.

    Prints one JSON line on stdout when all are ready; logs go to stderr. Runs until SIGINT or
    SIGTERM, which drains and exits 0. Started again on the same --data it goes on where it was.
    Only the switch reaches the security module, unless --hsm-port or --port-base opens it.

    Examples:

      acquirer up

      acquirer up --data shop --port-base 9000

      acquirer up --data shop --hsm-port 1500

      acquirer up --data shop --bank 127.0.0.1:7000 --bank-security none

      acquirer up --data shop --orders http://127.0.0.1:8080
    """
    if bank_security not in ("zone", "none"):
        fail("--bank-security is zone or none")
    if orders:
        try:
            parse_origin(orders)
        except OrderSettingsError as error:
            fail(f"--orders: {error}")
    configure_logging(log_level)
    folder = data or Path(tempfile.mkdtemp(prefix="acquirer-"))
    options = UpOptions(
        folder.resolve(),
        str(Path(estate).resolve()) if estate else "",
        _here(database_url),
        port_base,
        hsm_port,
        BankChoice(bank, _dialect(bank_dialect), bank_security),
        orders,
    )
    try:
        run_service(_up, options)
    finally:
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)


def _here(database_url: str) -> str:
    """A URL whose SQLite file is relative to where we stand, as every path of a command line."""
    file = database_url.removeprefix(SQLITE)
    if file in ("", database_url) or file.startswith((":", "/")):
        return database_url
    return f"{SQLITE}{Path(file).resolve()}"


def _dialect(name: str) -> str:
    """A dialect's name, or its file wherever the parts look from."""
    return str(Path(name).resolve()) if name.endswith(".toml") else name


async def _up(options: UpOptions) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(until_signalled, nursery.cancel_scope.cancel)
        async with running_estate(options) as addresses:
            print_ready(**addresses)
            await trio.sleep_forever()


@asynccontextmanager
async def running_estate(options: UpOptions) -> AsyncGenerator[dict[str, str]]:
    """Start every part; yields the addresses by part; stops them in order.

    Raises:
        ConfigError: a part did not start, the text names it; or the folder's keys are gone.
    """
    estate_path = options.estate or str(demo_estate_path())
    estate = _checked(load_estate(options.estate), estate_path)
    own_folder(options.data)
    with lock_folder(options.data), socket_folder() as sockets, _pipe() as parent_pipe:
        _check_ports(options)
        kept = kept_settings(options.data)
        parts: list[Part] = []
        try:
            async with trio.open_nursery() as supervising:

                async def start(name: str, document: dict[str, Any], command: str) -> Any:
                    path = options.data / f"{name}.toml"
                    arguments = (command, "--config", str(path))
                    parts.append(Part(name, path, document, arguments, parent_pipe))
                    return await supervising.start(parts[-1].run)

                hsm = sockets / "hsm"
                yield await _start_all(options, estate, estate_path, hsm, kept, start)
                supervising.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                for part in reversed(parts):
                    await part.stop()


async def _start_all(
    options: UpOptions,
    estate: Estate,
    estate_path: str,
    hsm_socket: Path,
    kept: Kept | None,
    start: Callable[[str, dict[str, Any], str], Awaitable[dict[str, str]]],
) -> dict[str, str]:
    """Start the simulators side by side, then the switch; gives the addresses by part."""
    hsm = f"{UNIX}{hsm_socket}"
    if options.orders and kept is not None and kept.order_hosts:
        reason = "this folder was begun with the simulator's order host; take an empty one"
        raise ConfigError("--orders", "", reason)
    addresses = {"bank": options.bank.address, "orders": options.orders, "order_host": ""}
    async with trio.open_nursery() as starting:
        for name, document in _simulators(options, estate, estate_path, hsm).items():

            async def start_simulator(name: str, document: dict[str, Any]) -> None:
                addresses.update(await start(name, document, name))

            starting.start_soon(start_simulator, name, document)
    shown_at = options.data / SHOWN
    url = options.database_url or f"sqlite:///{BOOKS}"
    document = switch_config(
        estate,
        pos=options.listen("pos"),
        http=options.listen("http"),
        hsm=hsm,
        bank=addresses["bank"],
        orders=options.orders or f"http://{addresses['orders']}",
        order_host=addresses["order_host"],
        choice=options.bank,
        database_url=url,
        data_key=await folder_secrets(kept, hsm),
    )
    had_books = kept is not None and kept.database.url == url and shown_at.exists()
    document["database"]["create"] = not had_books
    addresses.update(await start("switch", document, "serve"))
    if had_books:
        await trio.to_thread.run_sync(_tell_order_systems, addresses["http"], document)
    shown = [part for part in PARTS if part != "hsm" or options.opens_hsm]
    ordered = {part: addresses[part] for part in shown}
    shown_at.write_text(msgspec.json.encode(ordered).decode(), "utf-8")
    return ordered


def _tell_order_systems(http: str, document: dict[str, Any]) -> None:
    """Tell a switch that kept its books where the order system listens this time.

    Raises:
        ConfigError: it does not take it.
    """
    headers = owner_headers(document["operator_token"])
    for system in document["order_systems"]:
        if "url" not in system:
            continue
        body = {
            "kind": "order_system",
            "key": system["name"],
            "members": {"url": system["url"]},
            "reason": "where it listens since this start",
        }
        try:
            status, answer = ask_switch(http, headers, "config/change", body)
        except (OSError, HTTPException) as error:
            raise ConfigError(http, "order_systems", str(error)) from None
        # 409: an operator has taken it out of the configuration.
        if status not in (200, 409):
            raise ConfigError(http, "order_systems", answer.decode("utf-8", "replace"))


@contextmanager
def _pipe() -> Iterator[int]:
    """The end of a pipe that children hold; they end when this process does."""
    read_end, write_end = os.pipe()
    try:
        yield read_end
    finally:
        os.close(write_end)
        os.close(read_end)


def _checked(estate: Estate, path: str) -> Estate:
    """Hold an estate to what a switch needs beside what a terminal does."""
    for name, rows in (("banks", estate.banks), ("merchants", estate.merchants)):
        if not rows:
            raise ConfigError(path, name, "needs one at least; a terminal alone needs none")
    merchants = {one.merchant_id for one in estate.merchants}
    profiles = {one.name for one in estate.profiles}
    for index, terminal in enumerate(estate.terminals):
        if terminal.merchant_id not in merchants:
            raise ConfigError(path, f"terminals[{index}].merchant_id", "no such merchant")
        if terminal.profile not in profiles:
            raise ConfigError(path, f"terminals[{index}].profile", "no such profile")
    for index, card in enumerate(estate.cards):
        if not luhn_ok(card.pan):
            reason = f"{card.name}, {mask_digits(card.pan)}: the last digit is not the Luhn digit"
            raise ConfigError(path, f"cards[{index}].pan", reason)
        if not card.pin:
            raise ConfigError(path, f"cards[{index}].pin", "its bank needs it")
    return estate


def _check_ports(options: UpOptions) -> None:
    """See that the ports that were asked for are free, before any part is started."""
    for part in PARTS if options.port_base else ("hsm",) if options.hsm_port else ():
        if {"bank": options.bank.address, "orders": options.orders}.get(part):
            continue
        host, _, port = options.listen(part).partition(":")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, int(port)))
                probe.listen()
            except OSError as error:
                alone = part == "hsm" and options.hsm_port is not None
                option = f"--hsm-port {port}" if alone else f"--port-base {options.port_base}"
                reason = (
                    f"port {port} ({part}) cannot be listened on: {error.strerror}; end what "
                    f"listens there, choose another {'port' if alone else 'base'}, or leave the "
                    "option out for free ports"
                )
                raise ConfigError(option, "", reason) from None


def _simulators(
    options: UpOptions, estate: Estate, estate_path: str, hsm: str
) -> dict[str, dict[str, Any]]:
    """The configuration of each program that the switch needs, by command."""
    hsm_ports = [options.listen("hsm")] if options.opens_hsm else []
    books = {"data": str(options.data), "estate": estate_path}
    host = {"listen": f"{LOOPBACK}:0", "security": "zone"}
    documents: dict[str, dict[str, Any]] = {
        "hsm": {
            "hsm": {
                "listen": [*hsm_ports, hsm],
                "header_length": HEADER_LENGTH,
                "test_lmk": True,
                # The bank's link has no PIN block of ISO format 4, which AES terminals send.
                "pin_format_downgrade": True,
            }
        },
    }
    if not options.orders:
        documents["order-sim"] = {"listen": options.listen("orders"), "iso": host, **books}
    if not options.bank.address:
        documents["bank-sim"] = {
            **demo_file("bank-sim.toml"),
            **books,
            "listen": options.listen("bank"),
            "bank": only_bank(estate).name,
            "dialect": options.bank.dialect,
            "security": options.bank.security,
        }
    return documents
