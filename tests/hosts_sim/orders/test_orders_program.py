"""The order system simulator as a program: ready line, signals, books that survive SIGKILL."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from limits import HANG_S

from acquirer.codecs.order_codes import Means, OrderStatus
from acquirer.config.estate import load_estate
from acquirer.routing.orders.client import Delivered, OrderSystems
from acquirer.routing.orders.messages import EventData, build_event
from acquirer.routing.orders.settings import OrderSystemSettings

COMMAND = (sys.executable, "-c", "from acquirer.cli.order_sim import order_sim_app as a; a()")
ESTATE = load_estate()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=HANG_S, check=False
    )


@contextmanager
def program(config: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running program and its address; killed at the end if it still runs."""
    process = subprocess.Popen(
        [*COMMAND, "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        assert ready["ready"] is True
        yield process, ready["orders"]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def pay_all_and_kill(address: str, pid: int, kill_after: int) -> set[str]:
    """Pay every payable order, kill the program in the midst; gives the events it took."""
    taken: set[str] = set()
    payable = [one for one in ESTATE.orders if one.amount_minor]
    secrets = {one.merchant_id: one.event_secret for one in ESTATE.merchants}

    async def pay(orders: OrderSystems, index: int) -> None:
        order = payable[index]
        means = {"1": Means.CARD, "2": Means.CASH, "3": Means.NONE}[order.pay_ways[0]]
        data = EventData(
            order_no=order.order_no,
            merchant_id=order.merchant_id,
            order_status=OrderStatus.PAID,
            amount_minor=order.amount_minor,
            currency_code="156",
            means=means,
            rrn=f"{index:012d}",
        )
        event = build_event(f"evt_{index}", "order.paid", data, 1_795_000_000_000)
        if await orders.deliver(event, secrets[order.merchant_id]) == Delivered():
            taken.add(order.order_no)
            if len(taken) == kill_after:
                os.kill(pid, signal.SIGKILL)

    async def main() -> None:
        system = OrderSystemSettings("shop", f"http://{address}", connections_max=4)
        async with OrderSystems([system]) as orders, trio.open_nursery() as nursery:
            for index in range(len(payable)):
                nursery.start_soon(pay, orders, index)

    trio.run(main)
    return taken


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    """Every event that got its 2xx is in the books; the program goes on where it was."""
    config = tmp_path / "sim.toml"
    config.write_text('data = "books"\n')
    with program(config) as (process, address):
        taken = pay_all_and_kill(address, process.pid, 7)
    assert len(taken) >= 7
    with program(config) as (process, _):
        listed = run("orders", "--data", str(tmp_path / "books"), "--json")
        rows = json.loads(listed.stdout)["orders"]
        assert len(rows) == len(ESTATE.orders)
        assert taken <= {row["order_no"] for row in rows if row["state"] == "paid"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(HANG_S) == 0
    table = run("events", "--data", str(tmp_path / "books"))
    assert (table.returncode, "applied" in table.stdout) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "config", "reason"),
    [
        (["--config", "sim.toml"], 'colour = "red"', "colour"),
        (["--config", "sim.toml"], 'data = "sim.toml"', "sim.toml"),
        (["orders", "--data", "."], "", "order-sim.sqlite3"),
    ],
)
def test_what_the_operator_got_wrong_ends_with_2_and_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    config: str,
    reason: str,
) -> None:
    """A mistyped key, a file where the folder should be, a folder without books."""
    monkeypatch.chdir(tmp_path)
    Path("sim.toml").write_text(config)
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.strip().splitlines()) == 1
    assert reason in done.stderr
