"""What a sale costs, beside what a bare relay does at least, in one go.

Machines drift, so both are measured within the same seconds, and a fixed loop beside them
(``processor.py``) says how fast the machine was. What counts is processor time of the switch by
sale; sales a second say what two busy cores gave. Afterwards the books are verified.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from acquirer.bench.children import Helper, child
from acquirer.bench.load import Job, Measured
from acquirer.bench.processor import ThreadTime, calibrate, resident_kib
from acquirer.bench.switch_file import bench_switch
from acquirer.config.children import program
from acquirer.config.estate import Card, Estate, load_estate
from acquirer.simulation.provision import HEADER_LENGTH, write_config

SALES_A_SECOND_MAX = 4000
LONE_S = 2.0
LOAD_IS_LIMIT = 0.9
BALANCE_MINOR = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """A measurement and the loop's processor time beside it, in microseconds."""

    measured: Measured
    calibration_us: float


def measure(
    data: Path, connections: int, seconds: float, database: str = "", workers: int = 1
) -> dict[str, Any]:
    """Relay, switch, relay again, then the switch with its module over TCP.

    Args:
        data: a folder for the books.
        connections: terminals at once.
        seconds: length of each of the switch's parts, and of the relay's two halves together.
        database: URL of an empty PostgreSQL database for the first switch's books; else SQLite.
        workers: processes of the first switch.

    Returns:
        The report of ``acquirer bench``.
    """
    # One terminal more than play at once, which is alone afterwards.
    estate = bench_estate(connections + 1)
    estate_path = data / "estate.toml"
    write_config(estate_path, msgspec.to_builtins(estate))
    with ExitStack() as stack:
        host = stack.enter_context(child("-m", "acquirer.bench.host"))
        echo_port = host["echo"].rpartition(":")[2]
        relay = stack.enter_context(child("-m", "acquirer.bench.relay", echo_port))
        switch_path = data / "switch.toml"
        document = bench_switch(estate, host["bank"])
        if database:
            document["database"]["url"] = database
        write_config(switch_path, document)
        serve = program("serve", "--config", str(switch_path), "--workers", str(workers))
        with child(*serve[1:]) as switch:
            half = relay_job(relay, switch, estate_path, connections, seconds / 2)
            before = play(data, half)
            sales = play(data, sales_job(switch, estate_path, connections, seconds))
            lone = play(data, lone_job(switch, estate_path, connections))
            after = play(data, half)
            resident = resident_kib(switch.process)
        over_tcp = _over_tcp(document, estate_path, connections, seconds)
    verify = subprocess.run(
        program("ledger", "verify", "--config", str(switch_path)),
        check=False,
        stdout=subprocess.DEVNULL,
    )
    parts = {"relay": before, "switch": sales, "lone": lone, "relay_2": after, "tcp": over_tcp}
    return {
        **_report(sales.measured, before.measured, after.measured),
        "lone_p50_ms": lone.measured.p50_ms,
        "module_over_tcp": _figures(over_tcp.measured),
        "calibration_us": {name: part.calibration_us for name, part in parts.items()},
        "load_busy": {name: part.measured.load_busy for name, part in parts.items()},
        "load_is_limit": [n for n, p in parts.items() if p.measured.load_busy > LOAD_IS_LIMIT],
        "resident_kib": resident,
        "errors": sum(part.measured.errors for part in parts.values()),
        "verified": verify.returncode == 0,
        "database": "postgresql" if database else "sqlite",
        "workers": workers,
        "connections": connections,
        "seconds": seconds,
    }


def _report(sales: Measured, before: Measured, after: Measured) -> dict[str, Any]:
    relay_tps = round((before.tps + after.tps) / 2, 1)
    relayed_us = round((before.cpu_us + after.cpu_us) / 2, 1)
    return {
        "relay_tps": relay_tps,
        **_figures(sales),
        "ratio": round(sales.tps / relay_tps, 4) if relay_tps else 0.0,
        "cpu_us_per_relayed": relayed_us,
        "ratio_cpu": round(relayed_us / sales.cpu_us, 4) if sales.cpu_us else 0.0,
        "approved": sales.approved,
        "answers_fewest": sales.fewest,
        "answers_most": sales.most,
        "cpu_us_by_thread": _by_thread(sales),
    }


def _figures(sales: Measured) -> dict[str, float]:
    return {
        "switch_tps": sales.tps,
        "p50_ms": sales.p50_ms,
        "p99_ms": sales.p99_ms,
        "cpu_us_per_sale": sales.cpu_us,
    }


def _by_thread(sales: Measured) -> list[dict[str, float]]:
    """Microseconds by sale of each thread, the main thread first."""
    all_us = sum(thread.all_us for thread in sales.threads)

    def share(thread: ThreadTime) -> dict[str, float]:
        scale = sales.cpu_us / all_us
        return {
            "user": round(thread.user_us * scale, 1),
            "system": round(thread.system_us * scale, 1),
        }

    return [share(thread) for thread in sales.threads]


def _over_tcp(
    document: dict[str, Any], estate_path: Path, connections: int, seconds: float
) -> Part:
    """Sales of a switch whose module is another process; its books are thrown away."""
    module = ("-m", "acquirer", "hsm", "--test-lmks", "--port", "0")
    with tempfile.TemporaryDirectory(prefix="acquirer-bench-tcp-") as name, ExitStack() as stack:
        arguments = (*module, "--header-length", str(HEADER_LENGTH))
        hsm = stack.enter_context(child(*arguments, quiet=True))["hsm"]
        path = Path(name) / "switch.toml"
        table = {"transport": "tcp", "address": hsm, "header_length": HEADER_LENGTH}
        books = {"url": "sqlite:///switch.sqlite3"}
        write_config(path, {**document, "hsm": table, "database": books})
        switch = stack.enter_context(child(*program("serve", "--config", str(path))[1:]))
        return play(Path(name), sales_job(switch, estate_path, connections, seconds))


def sales_job(switch: Helper, estate: Path, connections: int, seconds: float) -> Job:
    """The first so many of an estate's terminals sell."""
    return Job(
        switch["pos"],
        str(estate),
        connections,
        seconds,
        ready_sales=int(SALES_A_SECOND_MAX * (seconds + 1)) // connections + 1,
        keys_from=switch["pos"],
        watched=switch.process,
    )


def lone_job(switch: Helper, estate: Path, index: int) -> Job:
    """The terminal with this index sells, and nobody else."""
    job = sales_job(switch, estate, 1, LONE_S)
    return msgspec.structs.replace(job, first=index, ready_sales=job.ready_sales // 4)


def relay_job(relay: Helper, switch: Helper, estate: Path, connections: int, seconds: float) -> Job:
    """A terminal's frames go through the relay and come back."""
    job = Job(relay["pos"], str(estate), connections, seconds, 2, switch["pos"], relay.process)
    return msgspec.structs.replace(job, relay=True)


def bench_estate(terminals: int) -> Estate:
    """The demo estate with so many terminals, and cards that never run dry."""
    demo = load_estate()
    first = demo.terminals[0]
    cards: list[Card] = [
        msgspec.structs.replace(card, balance_minor=BALANCE_MINOR)
        for card in demo.cards
        if not card.status
    ]
    made = [
        msgspec.structs.replace(first, terminal_id=f"{20_000_001 + index}")
        for index in range(terminals)
    ]
    return msgspec.structs.replace(demo, terminals=made, cards=cards)


def play(data: Path, job: Job) -> Part:
    """Run a job in a process of its own."""
    path = data / "job.json"
    path.write_bytes(msgspec.json.encode(job))
    command = (sys.executable, "-m", "acquirer.bench.load", str(path))
    with subprocess.Popen(command, stdout=subprocess.PIPE) as load:

        def is_over(seconds: float) -> bool:
            try:
                load.wait(seconds)
            except subprocess.TimeoutExpired:
                return False
            return True

        calibration_us = calibrate(is_over)
        assert load.stdout is not None
        said = load.stdout.read()
    if load.returncode:
        raise RuntimeError(f"the load ended with {load.returncode}")
    return Part(msgspec.json.decode(said, type=Measured), calibration_us)
