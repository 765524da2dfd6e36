"""``acquirer serve``: the switch alone, from its configuration file."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import trio
import typer

from acquirer.cli.logs import configure_logging
from acquirer.cli.process import USAGE_ERROR, first_of, print_ready, run_service, until_signalled
from acquirer.cli.screen import print_json, say
from acquirer.config.children import program
from acquirer.config.loading import NO_SUCH_KEY, ConfigError, load, load_document, readable
from acquirer.config.tls import TlsSettings
from acquirer.hsm_sim.configuration import HsmTable
from acquirer.hsm_sim.errors import HsmConfigError
from acquirer.ledger.errors import LedgerError
from acquirer.routing.errors import RoutingError
from acquirer.routing.settings import BankSettings
from acquirer.switch.app import Running, run_switch
from acquirer.switch.configuration.checks import check_process
from acquirer.switch.hsm.modules import Execute
from acquirer.switch.processes.supervisor import Supervising, supervise
from acquirer.switch.processes.worker import Seat, run_worker
from acquirer.switch.settings import CURES, HsmSettings, SwitchSettings
from acquirer.switch.start_check import Tried, try_start

KEYS_CURE = "docs/configuration.md has every key and its values"
# What stands in for tables without which nothing else of a file could be looked at.
UNREAD: dict[str, Any] = {
    "database": {"url": "sqlite://"},
    "business_day": {"zone": "UTC"},
    "banks": [],
    "profiles": [],
}
# Tables whose rows others name: where one cannot be read, what names it is not told of.
NAMED = frozenset(
    {"banks", "profiles", "merchants", "terminals", "couriers", "order_systems", "order_hosts"}
)
SQLITE = "sqlite:///"
WORKERS_MAX = 64
# Rarer than Python's own: most of what a payment makes is gone when it is answered.
GC_THRESHOLDS = (50_000, 50, 100)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve(
    config: Annotated[Path, typer.Option("--config", help="The switch's TOML file.")],
    log_level: Annotated[
        str, typer.Option("--log-level", help="debug, info, warning or error.")
    ] = "",
    check: Annotated[
        bool,
        typer.Option("--check", help="Try everything that a start needs, and do not start."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --check: one JSON object on standard output.")
    ] = False,
    workers: Annotated[
        int,
        typer.Option("--workers", min=1, max=WORKERS_MAX, help="Processes; needs PostgreSQL."),
    ] = 1,
    seat: Annotated[str, typer.Option("--seat", hidden=True)] = "",
) -> None:
    """Run the switch: terminals in, banks and order systems out, books kept.

    Prints one JSON line on stdout when it is ready and runs until SIGINT or SIGTERM, which
    answers what is in flight and exits 0. SIGHUP takes over merchants' event secrets. With --check
    it tells all that is wrong, each with its place and cure: exit code 0 where nothing is, else 2.
    With --workers several processes serve one port; SIGUSR1 starts them anew one after the other,
    without a payment that notices.

    Examples:

      acquirer serve --config demo-data/switch.toml

      acquirer serve --config demo-data/switch.toml --check

      acquirer serve --config switch.toml --workers 4
    """
    if check:
        configure_logging(log_level or "error")
        _check(config, as_json=as_json)
        return
    if as_json:
        raise typer.BadParameter("goes with --check", param_hint="--json")
    # Before it is ready there is nothing to take over yet; it must not end the switch either.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if seat:
        taken = Seat.parse(seat)
        configure_logging(log_level, worker=taken.slot)
        gc.set_threshold(*GC_THRESHOLDS)
        run_service(_serve_seat, config, taken)
    elif workers > 1:
        configure_logging(log_level)
        run_service(_serve_workers, config, workers)
    else:
        configure_logging(log_level)
        gc.set_threshold(*GC_THRESHOLDS)
        run_service(_serve, config)


def load_switch_settings(path: Path) -> SwitchSettings:
    """Read a switch's file; a relative SQLite path becomes relative to the file.

    Raises:
        ConfigError: the file cannot be used.
    """
    return _located(load(path, SwitchSettings, CURES), path)


def _located(settings: SwitchSettings, path: Path) -> SwitchSettings:
    """The settings with files relative to the folder that theirs is in."""
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


def _check(path: Path, *, as_json: bool) -> None:
    """Try everything, tell it, and end with 0 or 2."""
    try:
        tried = _tried(path)
    except ConfigError as error:
        tried = [Tried(error.key or "file", str(path), error.reason)]
    faults = [one for one in tried if one.fault]
    if as_json:
        checks = [
            {
                "place": one.place,
                "tried": one.what,
                "ok": not one.fault,
                "fault": one.fault,
                "warning": one.warning,
            }
            for one in tried
        ]
        print_json({"ok": not faults, "file": str(path), "checks": checks})
    else:
        wide = max(len(one.place) for one in tried)
        for one in sorted(tried, key=lambda one: bool(one.fault)):
            result, style = ("FAULT", "red") if one.fault else ("good", "")
            result, style = ("warn", "yellow") if one.warning else (result, style)
            reason = "".join(f": {why}" for why in (one.fault, one.warning) if why)
            say(f"{result:<5}  {one.place:<{wide}}  {one.what}{reason}", style=style)
        say(f"{len(faults)} to mend" if faults else "nothing is wrong; a start would serve")
    raise typer.Exit(USAGE_ERROR if faults else 0)


def _tried(path: Path) -> list[Tried]:
    """All that was tried of a file, however much of it can be read.

    Raises:
        ConfigError: none of it can.
    """
    document = load_document(path)
    found, faults = readable(document, SwitchSettings)
    unread = [
        Tried(key, "file", "; ".join(filter(None, (reason, CURES.get(key, KEYS_CURE)))))
        for key, reason in faults
    ]
    settings = _located(msgspec.convert(UNREAD | found, SwitchSettings), path)
    try:
        execute = embedded_module(settings.hsm, str(path))
    except ConfigError as error:
        return [*unread, Tried(error.key, "embedded security module", error.reason)]
    lost = {key.partition(".")[0].partition("[")[0] for key, why in faults if why != NO_SUCH_KEY}
    whole = lost.isdisjoint(NAMED)
    tried = trio.run(partial(try_start, settings, str(path), execute, whole=whole))
    missing = {fault.place.partition(".")[0] for fault in unread}
    return [
        *unread,
        *(one for one in tried if one.place.partition(".")[0] not in missing & UNREAD.keys()),
    ]


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

    with _told(path):
        async with trio.open_nursery() as nursery:
            running: Running = await nursery.start(run)
            print_ready(pos=running.pos, http=running.http)
            await until_signalled(running.drain, partial(nursery.start_soon, running.reload))


async def _serve_workers(path: Path, workers: int) -> None:
    settings = load_switch_settings(path)
    check_process(settings, str(path))

    def command(seat: Seat) -> Sequence[str]:
        return program("serve", "--config", str(path), "--seat", str(seat))

    async with trio.open_nursery() as nursery:
        running: Supervising = await nursery.start(supervise, settings, str(path), workers, command)
        print_ready(pos=running.pos, http=running.http)
        await until_signalled(running.drain, running.reload, running.restart)


async def _serve_seat(path: Path, seat: Seat) -> None:
    settings = load_switch_settings(path)
    with _told(path):
        await run_worker(
            seat,
            settings,
            str(path),
            embedded_module(settings.hsm, str(path)),
            partial(load_switch_settings, path),
        )


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What books and banks refuse, as errors of the file."""
    try:
        yield
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
