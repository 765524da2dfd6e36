"""Orders a second: couriers deliver beside counters that sell, and merchants are told.

One switch, one run, both at once. An order is four requests (query, payment by card, confirmation,
receipt) and three notices, a sale is one; of five connections four are couriers', so that both
sides ask for about as many payments.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from acquirer.bench.children import child
from acquirer.bench.order_host import Stats
from acquirer.bench.order_load import Job, Measured
from acquirer.bench.switch_file import bench_switch
from acquirer.config.children import program
from acquirer.config.estate import Courier, Estate, load_estate
from acquirer.ledger.reports.orders import event_lines
from acquirer.ledger.store.database import Database
from acquirer.simulation.provision import write_config

MESSAGES_A_SECOND_MAX = 3500
SPARE_REQUESTS = 40
FIVE, COURIERS_OF_FIVE = 5, 4
OUTBOX_S = 10.0
BALANCE_MINOR = 1_000_000_000
PASSWORD = "270475"


def measure(data: Path, connections: int, seconds: float) -> dict[str, Any]:
    """Couriers and counters on one switch; the report of ``acquirer bench orders``.

    Args:
        data: a folder for the books.
        connections: terminals at once, of both sorts.
        seconds: length of the run.
    """
    couriers = max(connections * COURIERS_OF_FIVE // FIVE, 1)
    estate = _estate(connections, couriers)
    estate_path, switch_path = data / "estate.toml", data / "switch.toml"
    write_config(estate_path, msgspec.to_builtins(estate))
    url = f"sqlite:///{data / 'switch.sqlite3'}"
    with ExitStack() as stack:
        host = stack.enter_context(child("-m", "acquirer.bench.host"))
        merchant = stack.enter_context(child("-m", "acquirer.bench.order_host"))
        write_config(switch_path, bench_switch(estate, host["bank"], merchant["orders"]))
        arguments = program("serve", "--config", str(switch_path))[1:]
        switch = stack.enter_context(child(*arguments))
        requests = int(MESSAGES_A_SECOND_MAX * (seconds + 1)) // connections + SPARE_REQUESTS
        job = Job(switch["pos"], str(estate_path), couriers, seconds, requests)
        measured = _play(data, job)
        left = _outbox_left(url)
        stats = _stats(merchant["orders"])
    verify = subprocess.run(
        program("ledger", "verify", "--config", str(switch_path)),
        check=False,
        stdout=subprocess.DEVNULL,
    )
    sales, payments = measured.card_sales_tps, measured.order_payments_tps
    return {
        "card_sales_tps": sales,
        "order_payments_tps": payments,
        "ratio": round(payments / sales, 4) if sales else 0.0,
        "event_p99_ms": stats.p99_ms,
        "outbox_left": left,
        "errors": measured.errors,
        "messages_tps": measured.messages_tps,
        "events": stats.events,
        "p99_ms": measured.p99_ms,
        "couriers": couriers,
        "counters": connections - couriers,
        "verified": verify.returncode == 0,
        "seconds": seconds,
    }


def _estate(connections: int, couriers: int) -> Estate:
    """The demo estate with a terminal a connection, a courier for each of the first of them."""
    demo = load_estate()
    first = demo.terminals[0]
    return msgspec.structs.replace(
        demo,
        terminals=[
            msgspec.structs.replace(first, terminal_id=f"{20_000_001 + index}")
            for index in range(connections)
        ],
        couriers=[
            Courier(f"B{index:03d}", first.merchant_id, PASSWORD) for index in range(couriers)
        ],
        cards=[
            msgspec.structs.replace(card, balance_minor=BALANCE_MINOR)
            for card in demo.cards
            if not card.status
        ],
        orders=[],
    )


def _play(data: Path, job: Job) -> Measured:
    path = data / "job.json"
    path.write_bytes(msgspec.json.encode(job))
    ran = subprocess.run(
        (sys.executable, "-m", "acquirer.bench.order_load", str(path)),
        check=True,
        stdout=subprocess.PIPE,
    )
    return msgspec.json.decode(ran.stdout, type=Measured)


def _outbox_left(url: str) -> int:
    """Notices that are still not delivered when they have had their time."""
    give_up_at = time.monotonic() + OUTBOX_S
    while True:
        with Database(url).read_only_engine().connect() as connection:
            left = sum(1 for _ in event_lines(connection, "pending", None))
            left += sum(1 for _ in event_lines(connection, "dead", None))
        if not left or time.monotonic() > give_up_at:
            return left
        time.sleep(0.2)


def _stats(address: str) -> Stats:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", "/stats")
        return msgspec.json.decode(connection.getresponse().read(), type=Stats)
    finally:
        connection.close()
