"""Sales a second: relay, switch, relay again, in one go.

The ratio is what means something: machines drift, but both sides were measured within the same
seconds. Afterwards the books that the run left behind are verified.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from acquirer.bench.children import child
from acquirer.bench.load import Job, Measured
from acquirer.bench.switch_file import bench_switch
from acquirer.config.children import program
from acquirer.config.estate import Card, Estate, load_estate
from acquirer.simulation.provision import write_config

SALES_A_SECOND_MAX = 4000
SPARE_SALES = 50
BALANCE_MINOR = 1_000_000_000


def measure(data: Path, connections: int, seconds: float) -> dict[str, Any]:
    """Relay, switch, relay again; the report of ``acquirer bench``.

    Args:
        data: a folder for the books.
        connections: terminals at once.
        seconds: length of the switch's part, and of the relay's two halves together.
    """
    estate = _estate(connections)
    estate_path = data / "estate.toml"
    write_config(estate_path, msgspec.to_builtins(estate))
    with ExitStack() as stack:
        host = stack.enter_context(child("-m", "acquirer.bench.host"))
        echo_port = host["echo"].rpartition(":")[2]
        relay = stack.enter_context(child("-m", "acquirer.bench.relay", echo_port))
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
        (sys.executable, "-m", "acquirer.bench.load", str(path)),
        check=True,
        stdout=subprocess.PIPE,
    )
    return msgspec.json.decode(ran.stdout, type=Measured)
