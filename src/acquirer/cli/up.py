"""``acquirer up``: the whole estate on loopback, each part a process of its own.

Starts security module, bank core, order system and switch in this order, restarts a part that
dies, and stops them in the opposite order. Everything that lasts is under ``--data``.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated, Any

import msgspec
import structlog
import trio
import typer

from acquirer.cli.logs import configure_logging
from acquirer.cli.process import (
    PARENT_PIPE,
    fail,
    print_ready,
    program,
    run_service,
    until_signalled,
)
from acquirer.cli.provision import (
    HEADER_LENGTH,
    LOOPBACK,
    BankChoice,
    new_data_key,
    new_operator_token,
    only_bank,
    switch_config,
    write_config,
)
from acquirer.cli.serve import load_switch_settings
from acquirer.codecs.pan import luhn_ok, mask_digits
from acquirer.config.demo import demo_file
from acquirer.config.estate import Estate, demo_estate_path, load_estate
from acquirer.config.loading import ConfigError
from acquirer.config.private import own_folder

log = structlog.get_logger("acquirer.up")

READY_S = 30.0
STOP_S = 25.0
RESTARTS_MAX = 5
RESTART_WINDOW_S = 60.0
PARTS = ("pos", "hsm", "bank", "orders", "http")


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What ``acquirer up`` was asked for."""

    data: Path
    estate: str = ""
    database_url: str = ""
    port_base: int = 0
    bank: BankChoice = field(default_factory=BankChoice)

    def listen(self, part: str) -> str:
        """Where a part shall listen; port 0 takes a free one."""
        port = self.port_base + PARTS.index(part) if self.port_base else 0
        return f"{LOOPBACK}:{port}"


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
    bank: Annotated[
        str, typer.Option("--bank", help="HOST:PORT of a bank core that runs elsewhere.")
    ] = "",
    bank_dialect: Annotated[
        str, typer.Option("--bank-dialect", help="Dialect of the bank link.")
    ] = "iso87_ascii",
    bank_security: Annotated[
        str, typer.Option("--bank-security", help="zone: key exchange and MACs; none: neither.")
    ] = "zone",
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

    Examples:

      acquirer up

      acquirer up --data shop --port-base 9000

      acquirer up --data shop --bank 127.0.0.1:7000 --bank-security none
    """
    if bank_security not in ("zone", "none"):
        fail("--bank-security is zone or none")
    configure_logging(log_level)
    folder = data or Path(tempfile.mkdtemp(prefix="acquirer-"))
    options = UpOptions(
        folder.resolve(),
        estate,
        database_url,
        port_base,
        BankChoice(bank, bank_dialect, bank_security),
    )
    try:
        run_service(_up, options)
    finally:
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)


async def _up(options: UpOptions) -> None:
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(until_signalled, stop.set)
        async with running_estate(options, stop.set) as addresses:
            print_ready(**addresses)
            await stop.wait()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def running_estate(options: UpOptions, on_give_up: Callable[[], None]) -> Any:
    """Start every part; yields the addresses by part; stops them in order.

    Raises:
        ConfigError: a part did not start; the text names it.
    """
    estate_path = options.estate or str(demo_estate_path())
    estate = _checked(load_estate(options.estate), estate_path)
    own_folder(options.data)
    lock = _lock(options.data)
    parts: list[Part] = []
    async with trio.open_nursery() as nursery:

        async def start(name: str, document: dict[str, Any], *arguments: str) -> dict[str, str]:
            path = options.data / f"{name}.toml"
            part = Part(name, path, document, (*arguments, "--config", str(path)), on_give_up)
            parts.append(part)
            addresses: dict[str, str] = await nursery.start(part.run)
            return addresses

        try:
            _check_ports(options)
            addresses = {"bank": options.bank.address}
            async with trio.open_nursery() as starting:
                for name, document in _simulators(options, estate, estate_path).items():

                    async def start_simulator(name: str, document: dict[str, Any]) -> None:
                        addresses.update(await start(name, document, name))

                    starting.start_soon(start_simulator, name, document)
            document = switch_config(
                estate,
                pos=options.listen("pos"),
                http=options.listen("http"),
                hsm=addresses["hsm"],
                bank=addresses["bank"],
                orders=addresses["orders"],
                order_host=addresses["order_host"],
                choice=options.bank,
                database_url=options.database_url or "sqlite:///switch.sqlite3",
                data_key=await _secrets(options.data, addresses["hsm"]),
            )
            addresses.update(await start("switch", document, "serve"))
            ordered = {part: addresses[part] for part in PARTS}
            (options.data / "up.json").write_text(msgspec.json.encode(ordered).decode(), "utf-8")
            yield ordered
        finally:
            with trio.CancelScope(shield=True):
                for part in reversed(parts):
                    await part.stop()
            nursery.cancel_scope.cancel()
            lock.close()


def _lock(data: Path) -> IO[bytes]:
    """Keep a second ``up`` off a folder before it writes anything there."""
    lock = (data / ".up.lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise ConfigError(data, "", "another acquirer up is running on this folder") from None
    return lock


def _checked(estate: Estate, path: str) -> Estate:
    """Hold card numbers to their check digit, which the switch asks of every payment."""
    for index, card in enumerate(estate.cards):
        if not luhn_ok(card.pan):
            reason = f"{card.name}, {mask_digits(card.pan)}: the last digit is not the Luhn digit"
            raise ConfigError(path, f"cards[{index}].pan", reason)
    return estate


def _check_ports(options: UpOptions) -> None:
    """See that the ports that were asked for are free, before any part is started."""
    for part in PARTS if options.port_base else ():
        if part == "bank" and options.bank.address:
            continue
        host, _, port = options.listen(part).partition(":")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, int(port)))
                probe.listen()
            except OSError as error:
                reason = (
                    f"port {port} ({part}) cannot be listened on: {error.strerror}; end what "
                    "listens there, choose another base, or leave the option out for free ports"
                )
                raise ConfigError(f"--port-base {options.port_base}", "", reason) from None


def _simulators(options: UpOptions, estate: Estate, estate_path: str) -> dict[str, dict[str, Any]]:
    """The configuration of each program that the switch needs, by command."""
    books = {"data": str(options.data), "estate": estate_path}
    host = {"listen": f"{LOOPBACK}:0", "security": "zone"}
    documents: dict[str, dict[str, Any]] = {
        "hsm": {
            "hsm": {
                "listen": options.listen("hsm"),
                "header_length": HEADER_LENGTH,
                "test_lmk": True,
            }
        },
        "order-sim": {"listen": options.listen("orders"), "iso": host, **books},
    }
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


async def _secrets(data: Path, hsm: str) -> dict[str, str]:
    """Data key and operator token of this folder, made at its first start and kept ever after."""
    path = data / "switch.toml"
    if path.exists():
        kept = load_switch_settings(path)
        keys = {"data_key": kept.data_key, "data_key_dek": kept.data_key_dek}
        return {**keys, "operator_token": kept.operator_token or new_operator_token()}
    return {**await new_data_key(hsm), "operator_token": new_operator_token()}


class Part:
    """One child process: started with its file, watched, restarted, stopped."""

    def __init__(
        self,
        name: str,
        path: Path,
        document: dict[str, Any],
        arguments: tuple[str, ...],
        on_give_up: Callable[[], None],
    ) -> None:
        self._name = name
        self._path = path
        self._document = document
        self._arguments = arguments
        self._on_give_up = on_give_up
        self._process: trio.Process | None = None
        self._stopping = False
        self._ended = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[dict[str, str]]) -> None:
        """Keep the process running; reports its addresses once it is ready the first time."""
        read_end, write_end = os.pipe()
        started_at: list[float] = []
        try:
            while not self._stopping:
                write_config(self._path, self._document)
                addresses = await self._start(read_end)
                if not started_at:
                    task_status.started(addresses)
                self._keep_ports(addresses)
                started_at.append(trio.current_time())
                assert self._process is not None
                code = await self._process.wait()
                if self._stopping:
                    break
                log.error("part_died", part=self._name, exit_code=code)
                if self._restarts_too_often(started_at):
                    log.error("gives_up", part=self._name, restarts=RESTARTS_MAX)
                    self._on_give_up()
                    break
        finally:
            os.close(write_end)
            os.close(read_end)
            self._ended.set()

    async def _start(self, parent_pipe: int) -> dict[str, str]:
        environment = {**os.environ, PARENT_PIPE: str(parent_pipe)}
        process: trio.Process = await trio.lowlevel.open_process(
            program(*self._arguments),
            stdout=subprocess.PIPE,
            env=environment,
            pass_fds=(parent_pipe,),
            start_new_session=True,
        )
        self._process = process
        with trio.move_on_after(READY_S):
            line = await _first_line(process)
            if line:
                document = msgspec.json.decode(line, type=dict[str, Any])
                return {k: str(v) for k, v in document.items() if k != "ready"}
            code = await process.wait()
            raise ConfigError(self._path, "", f"{self._name} ended with exit code {code}")
        process.kill()
        raise ConfigError(self._path, "", f"{self._name} was not ready within {READY_S:g} s")

    def _keep_ports(self, addresses: dict[str, str]) -> None:
        """A restarted part listens where the others know it."""
        listen = self._document.get("listen")
        if isinstance(listen, dict):
            self._document["listen"] = {key: addresses[key] for key in listen}
        elif listen is not None:
            self._document["listen"] = next(iter(addresses.values()))
            if "iso" in self._document:
                self._document["iso"]["listen"] = addresses["order_host"]
        else:
            self._document["hsm"]["listen"] = addresses["hsm"]

    def _restarts_too_often(self, started_at: list[float]) -> bool:
        since = trio.current_time() - RESTART_WINDOW_S
        return sum(1 for at in started_at if at > since) > RESTARTS_MAX

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL where that does not help in time."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        with trio.move_on_after(STOP_S):
            await process.wait()
            return
        log.error("killed", part=self._name)
        process.kill()
        await process.wait()


async def _first_line(process: trio.Process) -> bytes:
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        data = await process.stdout.receive_some(4096)
        if not data:
            return b""
        line += data
    return line
