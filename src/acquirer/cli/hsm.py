"""``acquirer hsm``: serve the software security module.

Without a subcommand it serves until SIGINT or SIGTERM. The operator's subcommands hang on the same
group.
"""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import trio
import typer

from acquirer.cli import hsm_console, hsm_key, hsm_lmk
from acquirer.cli.logs import configure_logging
from acquirer.cli.process import print_ready
from acquirer.cli.screen import say
from acquirer.config.addresses import TcpAddress, listen
from acquirer.hsm_sim.configuration import HsmTable, read_config
from acquirer.hsm_sim.errors import HsmConfigError
from acquirer.hsm_sim.metrics import serve_metrics
from acquirer.hsm_sim.server import HsmServer

app = typer.Typer(name="hsm", invoke_without_command=True)
app.add_typer(hsm_lmk.app, name="lmk")
app.add_typer(hsm_key.app, name="key")
app.command("console")(hsm_console.console)

EXIT_CONFIG = 2


@app.callback()
def hsm(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file with an hsm table.")
    ] = None,
    test_lmks: Annotated[
        bool, typer.Option("--test-lmks", help="Serve with the published test LMKs.")
    ] = False,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="TCP port; 0 = any free one.")
    ] = None,
    header_length: Annotated[
        int | None, typer.Option("--header-length", min=0, max=255, help="Message header.")
    ] = None,
    zmk_length: Annotated[
        str | None, typer.Option("--zmk-length", help="Bare ZMKs: single or double.")
    ] = None,
    default_lmk: Annotated[
        str | None,
        typer.Option("--default-lmk", help="LMK of requests without %: 00, 01, 02 or another id."),
    ] = None,
    authorised: Annotated[
        bool, typer.Option("--authorised", help="Start with every activity authorised.")
    ] = False,
) -> None:
    """The software security module: serves payShield host commands on TCP.

    One JSON line on stdout says when it is ready.

    Example: acquirer hsm --test-lmks --default-lmk 01 --port 1500 --header-length 4

    Example: acquirer hsm --config hsm.toml
    """
    if context.invoked_subcommand is not None:
        return
    try:
        table = _table(config, test_lmks, port, header_length, zmk_length, default_lmk, authorised)
        trio.run(_serve, table)
    except HsmConfigError as error:
        say(f"acquirer hsm: {error}", err=True)
        raise typer.Exit(EXIT_CONFIG) from None
    except OSError as error:
        say(f"acquirer hsm: cannot listen: {error}", err=True)
        raise typer.Exit(EXIT_CONFIG) from None


def _table(
    config: Path | None,
    test_lmks: bool,
    port: int | None,
    header_length: int | None,
    zmk_length: str | None,
    default_lmk: str | None,
    authorised: bool,
) -> HsmTable:
    """The configuration file's table, or the defaults, with what the options say over it."""
    if config is None and not test_lmks:
        raise HsmConfigError("needs --config FILE or --test-lmks")
    if zmk_length not in (None, "single", "double"):
        raise HsmConfigError("--zmk-length is single or double")
    table = read_config(config) if config is not None else HsmTable(listen="127.0.0.1:1500")
    changes: dict[str, object] = {}
    if test_lmks:
        changes["test_lmk"] = True
    if port is not None:
        hosts = [one.host for one in table.addresses if isinstance(one, TcpAddress)]
        changes["listen"] = str(TcpAddress(hosts[0] if hosts else "127.0.0.1", port))
    if header_length is not None:
        changes["header_length"] = header_length
    if zmk_length is not None:
        changes["zmk_length"] = zmk_length
    if default_lmk is not None:
        changes["default_lmk"] = default_lmk
    if authorised:
        changes["authorised"] = True
    return msgspec.structs.replace(table, **changes)


async def _serve(table: HsmTable) -> None:
    configure_logging()
    module = table.module()
    tls, metrics = table.tls_context(), table.metrics_address
    bound = [await listen(address) for address in table.addresses]
    ready = {"hsm": str(bound[0][0])}
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            servers = [HsmServer(module, table.limits()) for _ in bound]
            for server, (_, listeners) in zip(servers, bound, strict=True):
                await nursery.start(partial(server.serve_listeners, listeners, tls=tls))
            if metrics is not None:
                address, http = await listen(metrics)
                nursery.start_soon(serve_metrics, module, servers, http)
                ready["metrics"] = str(address)
            print_ready(**ready)
            async for _ in signals:
                nursery.cancel_scope.cancel()
                break
