"""Whether the switch keeps memory: its process under load for as long as is asked.

``python -m acquirer.bench.serve_memory [--minutes N] [--terminals N] [--pause-s S]`` starts
``acquirer serve`` with a security module, a bank that approves all and an order system in processes
of their own. Terminals sell, void, reverse, ask for balances, deliver orders by card and in cash,
send what is declined, refused or none at all, hang up and sign on again; watchers read ``/metrics``
and ``/readyz``. It prints one JSON object a sample and one at the end, and ends with 1 where the
process grew by more than four megabytes after the first quarter of the time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import msgspec
import trio

from acquirer.bench.children import child
from acquirer.bench.processor import resident_kib
from acquirer.bench.switch_file import bench_switch
from acquirer.config.estate import Courier, Estate, load_estate
from acquirer.simulation.provision import write_config
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.identity import identity
from acquirer.terminals_sim.link import TerminalLink, tcp
from acquirer.terminals_sim.state import TerminalState
from acquirer.terminals_sim.store import MemoryStore
from acquirer.terminals_sim.terminal import Terminal

PASSWORD = "270475"
GROWTH_KIB_MAX = 4 * 1024
SAMPLES = 24
ROUNDS_A_CONNECTION = 20
JOURNAL_MAX = 4
WATCH_EVERY_S = 2.0


def estate_of(terminals: int) -> Estate:
    """The demo estate with so many terminals and a courier at each."""
    demo = load_estate()
    first = demo.terminals[0]
    return msgspec.structs.replace(
        demo,
        terminals=[
            msgspec.structs.replace(first, terminal_id=f"{20_000_001 + index}")
            for index in range(terminals)
        ],
        couriers=[
            Courier(f"B{index:03d}", first.merchant_id, PASSWORD) for index in range(terminals)
        ],
        cards=[card for card in demo.cards if not card.status],
        orders=[],
    )


class Load:
    """Plays terminals against a switch.

    Attributes:
        answered: transactions that were answered.
    """

    def __init__(self, estate: Estate, pos: str, pause_s: float) -> None:
        self._estate = estate
        self._pause_s = pause_s
        self._host, _, port = pos.rpartition(":")
        self._port = int(port)
        self._orders = count(1)
        # Of a bank that there is no route to.
        self._unknown = msgspec.structs.replace(estate.cards[0], pan="9999990000000004")
        self.answered = 0

    async def play_all(self) -> None:
        """All terminals, for ever."""
        async with trio.open_nursery() as nursery:
            for index in range(len(self._estate.terminals)):
                nursery.start_soon(self._play, index)

    async def _play(self, index: int) -> None:
        """One terminal, for ever, on one connection after another."""
        who = identity(self._estate, self._estate.terminals[index].terminal_id)
        terminal = Terminal(who, TerminalState(who.terminal_id), journal_max=JOURNAL_MAX)
        courier = self._estate.couriers[index]
        for number in count(index):
            link = TerminalLink(tcp(self._host, self._port))
            async with TerminalClient(terminal, MemoryStore(), link) as client:
                await client.sign_on()
                await client.courier_sign_on(courier.courier_id, courier.password)
                for turn in range(ROUNDS_A_CONNECTION):
                    await self._turn(client, number + turn)
                    await trio.sleep(self._pause_s)
            await self._strange(number)

    async def _turn(self, client: TerminalClient, number: int) -> None:
        card = self._estate.cards[number % len(self._estate.cards)]
        results = [
            await client.sale(100 + number % 900, card),
            await client.sale(100, card, pin="0000"),
            await client.sale(500, card, entry="chip"),
            await client.sale(500, self._unknown),
            await client.void(),
            await client.balance(card),
            await client.sale(700, card),
            await client.reverse(),
        ]
        for way in ("card", "cash"):
            order_no = f"B{next(self._orders):012d}"
            results.append(await client.pay_order(order_no, way, card))
            results.append(await client.order_confirm(order_no))
            results.append(await client.order_receipt(order_no, "Li Wei"))
        self.answered += sum(result.answered for result in results)

    async def _strange(self, number: int) -> None:
        """What comes from nowhere: nothing, noise, half a frame, a length that lies."""
        said = (
            b"",
            os.urandom(200),
            b"\x00\x50" + bytes(20),
            b"\xff\xff",
            b"GET / HTTP/1.1\r\n",
        )
        stream = await trio.open_tcp_stream(self._host, self._port)
        async with stream:
            await stream.send_all(said[number % len(said)])


async def watch(http: str) -> None:
    """Read what watchers read, for ever."""
    async with httpx.AsyncClient(base_url=f"http://{http}", trust_env=False, timeout=60) as client:
        while True:
            for path in ("/metrics", "/readyz", "/nothing"):
                # A switch without time for it hangs up, and is asked again.
                with suppress(httpx.TransportError):
                    await client.get(path)
            await trio.sleep(WATCH_EVERY_S)


async def measure(process: int, load: Load, http: str, minutes: float) -> int:
    """Print the figures; KiB that the process grew by after the first quarter."""
    at_start, began = resident_kib(process), time.monotonic()
    settled = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.play_all)
        nursery.start_soon(watch, http)
        for sample in range(1, SAMPLES + 1):
            await trio.sleep(60 * minutes / SAMPLES)
            if sample == SAMPLES // 4:
                settled = resident_kib(process)
            line = {
                "minutes": round((time.monotonic() - began) / 60, 2),
                "answered": load.answered,
                "resident_kib": resident_kib(process),
            }
            print(json.dumps(line), flush=True)
        nursery.cancel_scope.cancel()
    grown = resident_kib(process) - settled
    figures = {"resident_kib_at_start": at_start, "resident_kib_settled": settled}
    print(json.dumps({"answered": load.answered, **figures, "grown_kib": grown}))
    return grown


def switch_document(estate: Estate, bank: str, orders: str, module: str) -> dict[str, Any]:
    """The switch's file."""
    document = bench_switch(estate, bank, orders)
    hsm = {"transport": "tcp", "address": module, "header_length": document["hsm"]["header_length"]}
    return {**document, "hsm": hsm}


def main() -> int:
    """1 where memory was kept."""
    parser = argparse.ArgumentParser(description="Memory of the switch.")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--terminals", type=int, default=16)
    parser.add_argument("--pause-s", type=float, default=0.0, help="of a terminal after a turn")
    options = parser.parse_args()
    estate = estate_of(options.terminals)
    with tempfile.TemporaryDirectory(prefix="acquirer-memory-") as name, ExitStack() as stack:
        module = ("-m", "acquirer", "hsm", "--test-lmks", "--port", "0", "--header-length", "8")
        hsm = stack.enter_context(child(*module, quiet=True))["hsm"]
        bank = stack.enter_context(child("-m", "acquirer.bench.host"))["bank"]
        orders = stack.enter_context(child("-m", "acquirer.bench.order_host"))["orders"]
        file = Path(name) / "switch.toml"
        write_config(file, switch_document(estate, bank, orders, hsm))
        command = [sys.executable, "-m", "acquirer", "serve", "--config", str(file)]
        log = stack.enter_context((Path(name) / "switch.log").open("wb"))
        switch = stack.enter_context(
            subprocess.Popen([*command, "--log-level", "error"], stdout=subprocess.PIPE, stderr=log)
        )
        stack.callback(switch.terminate)
        assert switch.stdout is not None
        ready = json.loads(switch.stdout.readline())
        load = Load(estate, ready["pos"], options.pause_s)
        grown = trio.run(measure, switch.pid, load, ready["http"], options.minutes)
    return 1 if grown > GROWTH_KIB_MAX else 0


if __name__ == "__main__":
    raise SystemExit(main())
