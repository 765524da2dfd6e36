"""Run the measurement: relay, switch, relay again, in one go, and print one JSON object.

The ratio is what means something: machines drift, but both sides were measured within the same
seconds. Afterwards the books that the run left behind are verified.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from acquirer.cli.bench.children import child
from acquirer.cli.bench.hsm import bench_hsm
from acquirer.cli.bench.load import Job, Measured
from acquirer.cli.bench.orders import bench_orders
from acquirer.cli.bench.switch_file import bench_switch
from acquirer.cli.logs import configure_logging
from acquirer.cli.process import program
from acquirer.config.estate import Card, Estate, load_estate
from acquirer.simulation.provision import write_config

SALES_A_SECOND_MAX = 4000
SPARE_SALES = 50
BALANCE_MINOR = 1_000_000_000


bench_app = typer.Typer(name="bench", invoke_without_command=True)
bench_app.command("hsm")(bench_hsm)
bench_app.command("orders")(bench_orders)


@bench_app.callback()
def bench(
    context: typer.Context,
    connections: Annotated[int, typer.Option(min=1, max=512, help="Terminals at once.")] = 64,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="Length of each part.")] = 10.0,
    data: Annotated[
        Path | None, typer.Option("--data", help="Keep the books here; a new folder if absent.")
    ] = None,
) -> None:
    """Measure sales per second against a bare relay in the same run.

    A sale is whole: MAC both ways, PIN translated, routed, both commits durable (SQLite FULL),
    posted to the ledger. Prints one JSON object on stdout.

    Example: acquirer bench --connections 64 --seconds 10
    """
    if context.invoked_subcommand is not None:
        return
    configure_logging("error")
    folder = data or Path(tempfile.mkdtemp(prefix="acquirer-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        report = _measure(folder.resolve(), connections, seconds)
    finally:
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    raise typer.Exit(0 if report["errors"] == 0 and report["verified"] else 1)


def _measure(data: Path, connections: int, seconds: float) -> dict[str, Any]:
    estate = _estate(connections)
    estate_path = data / "estate.toml"
    write_config(estate_path, msgspec.to_builtins(estate))
    with ExitStack() as stack:
        host = stack.enter_context(child("-m", "acquirer.cli.bench.host"))
        echo_port = host["echo"].rpartition(":")[2]
        relay = stack.enter_context(child("-m", "acquirer.cli.bench.relay", echo_port))
        switch_path = data / "switch.toml"
        write_config(switch_path, bench_switch(estate, host["bank"]))
        arguments = program("serve", "--config", str(switch_path))[1:]
        switch = stack.enter_context(child(*arguments))

        def play(address: str, part_s: float, *, relay: bool) -> Measured:
            sales = 0 if relay else int(SALES_A_SECOND_MAX * (part_s + 1))
            job = Job(
                address,
                str(estate_path),
                connections,
                part_s,
                sales // connections + SPARE_SALES,
                switch["pos"],
                relay,
            )
            return _play(data, job)

        before = play(relay["pos"], seconds / 2, relay=True)
        sales = play(switch["pos"], seconds, relay=False)
        after = play(relay["pos"], seconds / 2, relay=True)
    relay_tps = (before.tps + after.tps) / 2
    verify = subprocess.run(
        program("ledger", "verify", "--config", str(switch_path)),
        check=False,
        stdout=subprocess.DEVNULL,
    )
    return {
        "relay_tps": round(relay_tps, 1),
        "switch_tps": sales.tps,
        "p50_ms": sales.p50_ms,
        "p99_ms": sales.p99_ms,
        "ratio": round(sales.tps / relay_tps, 4) if relay_tps else 0.0,
        "approved": sales.approved,
        "errors": before.errors + sales.errors + after.errors,
        "verified": verify.returncode == 0,
        "connections": connections,
        "seconds": seconds,
    }


def _estate(connections: int) -> Estate:
    """The demo estate with as many terminals as connections, and cards that never run dry."""
    demo = load_estate()
    first = demo.terminals[0]
    terminals = [
        msgspec.structs.replace(first, terminal_id=f"{20_000_001 + index}")
        for index in range(connections)
    ]
    cards: list[Card] = [
        msgspec.structs.replace(card, balance_minor=BALANCE_MINOR)
        for card in demo.cards
        if not card.status
    ]
    return msgspec.structs.replace(demo, terminals=terminals, cards=cards)


def _play(data: Path, job: Job) -> Measured:
    path = data / "job.json"
    path.write_bytes(msgspec.json.encode(job))
    ran = subprocess.run(
        (sys.executable, "-m", "acquirer.cli.bench.load", str(path)),
        check=True,
        stdout=subprocess.PIPE,
    )
    return msgspec.json.decode(ran.stdout, type=Measured)
