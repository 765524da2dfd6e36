"""What honest terminals feel of thousands of hostile connections, and what memory these cost.

Starts an estate, measures paced sales of a few terminals, then the same beside a crowd that
connects and is silent, sends a byte now and then, claims long frames, sends garbage and mutated
messages, and comes again when it is cut off. ``python -m acquirer.bench.hostile [--connections N]
[--seconds S]`` prints one JSON object; the bars: p99 at most doubles, memory grows by less than
200 MB. Both are figures of one run on one machine; the crowd and the terminals take their share
of it, too.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import trio

from acquirer.codecs.framing import FrameDecoder, LengthHeader
from acquirer.config.estate import load_estate
from acquirer.terminals_sim.cards import present, swiped
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.identity import identity
from acquirer.terminals_sim.link import TerminalLink, tcp
from acquirer.terminals_sim.state import TerminalState
from acquirer.terminals_sim.store import MemoryStore
from acquirer.terminals_sim.terminal import Terminal

FRAMING = LengthHeader("binary", 2)
TERMINALS = 4
EVERY_S = 0.05
SETTLE_S = 3.0
HOSTILE_PAUSE_S = (2.0, 8.0)
HOSTILE_ADDRESSES = 8
KINDS = ("silent", "drip", "claim", "garbage", "mutated", "unread")


async def sell(address: str, index: int, seconds: float) -> list[float]:
    """One terminal's sales, one every so often; how long each took, in seconds."""
    estate = load_estate()
    who = identity(estate, estate.terminals[index].terminal_id)
    terminal = Terminal(who, TerminalState(who.terminal_id), journal_max=2)
    host, _, port = address.rpartition(":")
    card = present(swiped(estate.cards, index))
    took: list[float] = []
    client = TerminalClient(terminal, MemoryStore(), TerminalLink(tcp(host, int(port))))
    async with client:
        await client.sign_on()
    decoder = FrameDecoder(FRAMING, 4096)
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        begin = trio.current_time()
        while (started := trio.current_time()) < begin + seconds:
            request = terminal.sale(100, card)
            await stream.send_all(FRAMING.encode(request.frame))
            frames: list[bytes] = []
            while not frames:
                frames = decoder.feed(bytes(await stream.receive_some(16_384)))
            took.append(trio.current_time() - started)
            result = terminal.take(request, frames[0])
            if result is None or not result.approved:
                raise SystemExit("an honest sale was not approved")
            await trio.sleep_until(started + EVERY_S)
    return took


async def measure(address: str, seconds: float) -> dict[str, float]:
    """All terminals' latencies, milliseconds."""
    took: list[float] = []

    async def one(index: int) -> None:
        took.extend(await sell(address, index, seconds))

    async with trio.open_nursery() as nursery:
        for index in range(TERMINALS):
            nursery.start_soon(one, index)
    took.sort()
    return {
        "sales": len(took),
        "p50_ms": round(took[len(took) // 2] * 1000, 2),
        "p99_ms": round(took[len(took) * 99 // 100] * 1000, 2),
    }


# --- the crowd, in a process of its own -------------------------------------------------------


async def crowd(address: str, connections: int) -> None:
    """Keep so many hostile connections until killed."""
    host, _, port = address.rpartition(":")
    async with trio.open_nursery() as nursery:
        for number in range(connections):
            nursery.start_soon(_stranger, host, int(port), number)
            if number % 50 == 0:
                await trio.sleep(0.05)


async def _stranger(host: str, port: int, number: int) -> None:
    rng = random.Random(number)
    kind = KINDS[number % len(KINDS)]
    while True:
        try:
            raw = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            await raw.bind((f"127.0.0.{2 + number % HOSTILE_ADDRESSES}", 0))
            await raw.connect((host, port))
            async with trio.SocketStream(raw) as stream:
                await _annoy(stream, kind, rng)
        except (OSError, trio.BrokenResourceError):
            pass
        await trio.sleep(rng.uniform(*HOSTILE_PAUSE_S))


async def _annoy(stream: trio.SocketStream, kind: str, rng: random.Random) -> None:
    if kind == "silent":
        await stream.receive_some(1)
        return
    if kind == "claim":
        await stream.send_all(b"\xff\xff" + rng.randbytes(200))
    if kind == "drip":
        await stream.send_all(b"\x01\x00")
    while True:
        if kind == "drip":
            await stream.send_all(rng.randbytes(1))
        elif kind == "garbage":
            await stream.send_all(FRAMING.encode(rng.randbytes(rng.randint(20, 300))))
        elif kind == "mutated":
            await stream.send_all(FRAMING.encode(_mutated(rng)))
        elif kind == "unread":
            await stream.send_all(FRAMING.encode(_mutated(rng)) * 5)
        with trio.move_on_after(rng.uniform(*HOSTILE_PAUSE_S)):
            if kind == "unread":
                await trio.sleep_forever()
            if not await stream.receive_some(4096):
                return


def _mutated(rng: random.Random) -> bytes:
    """A sale's beginning with deep TLV and long claims after it."""
    head = bytes.fromhex("6000030000603100311111" + "0200" + "702406C020C09A11")
    return head + b"\x19" + rng.randbytes(40) + b"\x99\x99" + b"\xbf\x0c\x81\x7f" * 60


# --- the run ----------------------------------------------------------------------------------


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def switch_pid(parent: int) -> int:
    """The switch among the children of ``acquirer up``."""
    for children in Path(f"/proc/{parent}/task").glob("*/children"):
        for pid in children.read_text().split():
            if b"serve" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return int(pid)
    raise SystemExit("no switch among the children of acquirer up")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--crowd", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.crowd:
        trio.run(crowd, options.crowd, options.connections)
        return
    with tempfile.TemporaryDirectory() as folder:
        up = subprocess.Popen(
            [sys.executable, "-m", "acquirer", "up", "--data", folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert up.stdout is not None
        hostile = None
        try:
            address = json.loads(up.stdout.readline())["pos"]
            pid = switch_pid(up.pid)
            trio.run(measure, address, 2.0)
            before_mb = rss_mb(pid)
            alone = trio.run(measure, address, options.seconds)
            arguments = ["--crowd", address, "--connections", str(options.connections)]
            hostile = subprocess.Popen([sys.executable, __file__, *arguments])
            trio.run(trio.sleep, SETTLE_S + options.connections / 1000)
            beside = trio.run(measure, address, options.seconds)
            grown_mb = rss_mb(pid) - before_mb
        finally:
            if hostile is not None:
                hostile.kill()
                hostile.wait()
            up.send_signal(signal.SIGTERM)
            up.wait()
    ratio = beside["p99_ms"] / alone["p99_ms"]
    print(
        json.dumps(
            {
                "connections": options.connections,
                "alone": alone,
                "beside": beside,
                "p99_ratio": round(ratio, 2),
                "memory_grown_mb": round(grown_mb, 1),
                "passed": ratio <= 2.0 and grown_mb < 200.0,
            }
        )
    )


if __name__ == "__main__":
    main()
