"""``acquirer serve``: the switch alone, from its configuration file."""

from __future__ import annotations

import gc
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import trio
import typer

from acquirer.cli.logs import configure_logging
from acquirer.cli.process import first_of, print_ready, run_service, until_signalled
from acquirer.config.loading import ConfigError, load
from acquirer.config.tls import TlsSettings
from acquirer.hsm_sim.configuration import HsmTable
from acquirer.hsm_sim.errors import HsmConfigError
from acquirer.ledger.errors import LedgerError
from acquirer.routing.errors import RoutingError
from acquirer.routing.settings import BankSettings
from acquirer.switch.app import Running, run_switch
from acquirer.switch.hsm.modules import Execute
from acquirer.switch.settings import CURES, HsmSettings, SwitchSettings

SQLITE = "sqlite:///"
SWITCH_INTERVAL_S = 0.0005
GC_THRESHOLDS = (50_000, 50, 100)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve(
    config: Annotated[Path, typer.Option("--config", help="The switch's TOML file.")],
    log_level: Annotated[
        str, typer.Option("--log-level", help="debug, info, warning or error.")
    ] = "",
) -> None:
    """Run the switch: terminals in, banks and order systems out, books kept.

    Prints one JSON line on stdout when it is ready and runs until SIGINT or SIGTERM, which
    answers what is in flight and exits 0. SIGHUP takes over merchants' event secrets.

    Example: acquirer serve --config demo-data/switch.toml
    """
    # Before it is ready there is nothing to take over yet; it must not end the switch either.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    configure_logging(log_level)
    _tune_interpreter()
    run_service(_serve, config)


def _tune_interpreter() -> None:
    """Settings of this process that the payment path is measured with.

    The writer's thread gives the GIL away at each statement and, by default, waits 5 ms to get it
    back from a busy trio thread; that alone kept the switch at half its speed.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*GC_THRESHOLDS)


def load_switch_settings(path: Path) -> SwitchSettings:
    """Read a switch's file; a relative SQLite path becomes relative to the file.

    Raises:
        ConfigError: the file cannot be used.
    """
    settings = load(path, SwitchSettings, CURES)
    url = settings.database.url
    if url.startswith(SQLITE) and not url.startswith(f"{SQLITE}/"):
        url = f"{SQLITE}{(path.parent / url.removeprefix(SQLITE)).resolve()}"
        database = msgspec.structs.replace(settings.database, url=url)
        settings = msgspec.structs.replace(settings, database=database)
    return _with_certificates(settings, path.parent)


def _with_certificates(settings: SwitchSettings, folder: Path) -> SwitchSettings:
    """Certificate files of the settings, relative to the folder that their file is in."""

    def found(tls: TlsSettings | None) -> TlsSettings | None:
        if tls is None:
            return None
        files = {
            name: str(folder / getattr(tls, name)) if getattr(tls, name) else ""
            for name in ("certificate", "key", "ca")
        }
        return msgspec.structs.replace(tls, **files)

    def all_found(banks: list[BankSettings]) -> list[BankSettings]:
        return [
            msgspec.structs.replace(
                bank,
                tls=found(bank.tls),
                links=[msgspec.structs.replace(link, tls=found(link.tls)) for link in bank.links],
            )
            for bank in banks
        ]

    return msgspec.structs.replace(
        settings,
        banks=all_found(settings.banks),
        order_hosts=all_found(settings.order_hosts),
        listen=msgspec.structs.replace(settings.listen, tls=found(settings.listen.tls)),
        hsm=msgspec.structs.replace(settings.hsm, tls=found(settings.hsm.tls)),
    )


async def _serve(path: Path) -> None:
    settings = load_switch_settings(path)

    async def run(*, task_status: trio.TaskStatus[Running]) -> None:
        await run_switch(
            settings,
            file=str(path),
            execute=embedded_module(settings.hsm, str(path)),
            read=partial(load_switch_settings, path),
            task_status=task_status,
        )

    try:
        async with trio.open_nursery() as nursery:
            running: Running = await nursery.start(run)
            print_ready(pos=running.pos, http=running.http)
            await until_signalled(running.drain, partial(nursery.start_soon, running.reload))
    except* LedgerError as group:
        raise ConfigError(path, "database.url", str(first_of(group))) from None
    except* RoutingError as group:
        raise ConfigError(path, "banks", str(first_of(group))) from None


def embedded_module(settings: HsmSettings, file: str) -> Execute | None:
    """The software security module in this process, where the settings ask for it."""
    if settings.transport != "in_process":
        return None
    try:
        table = HsmTable(
            listen="127.0.0.1:0",
            header_length=settings.header_length,
            test_lmk=settings.test_lmk,
        )
        return table.module().execute
    except HsmConfigError as error:
        raise ConfigError(file, "hsm.test_lmk", str(error)) from None
