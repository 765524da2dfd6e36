"""``acquirer bench``: how fast the switch is; one JSON object on standard output."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from acquirer.bench import compare, hsm, orders, sales
from acquirer.cli.logs import configure_logging
from acquirer.cli.screen import print_json

Data = Annotated[
    Path | None, typer.Option("--data", help="Keep the books here; a new folder if absent.")
]

CONNECTIONS_MAX = 5000
Connections = Annotated[int, typer.Option(min=1, max=CONNECTIONS_MAX, help="Terminals at once.")]
Seconds = Annotated[float, typer.Option(min=1, max=600, help="Length of each part.")]

bench_app = typer.Typer(name="bench", invoke_without_command=True)


@bench_app.callback()
def bench(
    context: typer.Context,
    connections: Connections = 64,
    seconds: Seconds = 10.0,
    data: Data = None,
    database: Annotated[
        str, typer.Option("--database", help="URL of an empty PostgreSQL database for the books.")
    ] = "",
    workers: Annotated[
        int, typer.Option("--workers", min=1, max=64, help="Processes; needs --database.")
    ] = 1,
) -> None:
    """Measure what a sale costs, against a bare relay in the same run.

    A sale is whole: MAC both ways, PIN translated, routed, both commits durable (SQLite FULL),
    posted to the ledger. Prints one JSON object on stdout: processor time of the switch by sale
    and of the relay by frame in microseconds, sales a second, latencies, memory, and the parts
    where the load and not what it measures was the limit.

    Example: acquirer bench --connections 64 --seconds 10
    """
    if context.invoked_subcommand is not None:
        return
    configure_logging("error")
    with _folder(data) as folder:
        report = sales.measure(folder, connections, seconds, database, workers)
    print_json(report)
    raise typer.Exit(0 if report["errors"] == 0 and report["verified"] else 1)


@bench_app.command("compare")
def bench_compare(
    other: Annotated[Path, typer.Argument(help="The other checkout, with a .venv of its own.")],
    pairs: Annotated[int, typer.Option(min=1, max=100, help="Pairs, ABBA.")] = 4,
    connections: Connections = 64,
    seconds: Seconds = 10.0,
) -> None:
    """Measure what a sale costs here as a share of what it costs in another checkout.

    Prints one JSON object on stdout: the medians of the pairs' ratios (processor time by sale,
    sales a second, a lone terminal's median latency), all of them, and both sides' figures.

    Example: acquirer bench compare ../acquirer-before --pairs 4
    """
    configure_logging("error")
    report = compare.compare(other.resolve(), pairs, connections, seconds)
    print_json(report)
    raise typer.Exit(0 if report["errors"] == 0 else 1)


@bench_app.command("orders")
def bench_orders(
    connections: Annotated[int, typer.Option(min=2, max=512, help="Terminals at once.")] = 64,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="Length of the run.")] = 10.0,
    data: Data = None,
) -> None:
    """Measure order payments beside card sales, and how soon merchants hear of them.

    Prints one JSON object on stdout: payments a second by both, their ratio, the age at which 99
    of 100 notices arrived, and what is left in the outbox. Exit code 1 where anything went wrong.

    Example: acquirer bench orders --connections 64 --seconds 10
    """
    configure_logging("error")
    with _folder(data) as folder:
        report = orders.measure(folder, connections, seconds)
    print_json(report)
    good = report["errors"] == 0 and report["outbox_left"] == 0 and report["verified"]
    raise typer.Exit(0 if good else 1)


@bench_app.command("hsm")
def bench_hsm(
    connections: Annotated[int, typer.Option(min=1, max=64, help="TCP connections.")] = 8,
    depth: Annotated[int, typer.Option(min=1, max=64, help="Requests on their way on each.")] = 8,
    requests: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="Requests of each TCP measurement.")
    ] = 16_000,
) -> None:
    """Measure the security module against bare ciphers and a bare echo in the same run.

    Prints one JSON object: <command>_in_process and <command>_tcp in commands a second,
    CA_over_cipher and M8_over_cipher (at most 4 and 3), tcp_over_echo (at least 0.35).

    Example: acquirer bench hsm
    """
    configure_logging()
    print_json(hsm.measure(connections, depth, requests))


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    """The folder asked for, or one that is gone afterwards."""
    folder = data or Path(tempfile.mkdtemp(prefix="acquirer-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder.resolve()
    finally:
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)
