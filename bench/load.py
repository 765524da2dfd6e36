"""The load: terminals that sell as fast as they are answered, one connection each.

Requests are built before the clock starts and replies judged after it has stopped, so that the
load's own work does not count. Prints one JSON object: tps, latencies, approvals, errors.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import msgspec
import trio

from acquirer.codecs.framing import FrameDecoder, LengthHeader
from acquirer.config.children import die_with_parent
from acquirer.config.estate import Estate, load_estate
from acquirer.terminals_sim.cards import present
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.identity import identity
from acquirer.terminals_sim.link import TerminalLink, tcp
from acquirer.terminals_sim.messages import Request
from acquirer.terminals_sim.state import TerminalState
from acquirer.terminals_sim.store import MemoryStore
from acquirer.terminals_sim.terminal import Terminal

FRAMING = LengthHeader("binary", 2)
FRAME_BYTES_MAX = 4096
AMOUNT_MINOR = 100
JOURNAL_MAX = 2
WARM_UP_S = 1.0


class Job(msgspec.Struct, frozen=True):
    """What to do: ``relay`` sends the same frames over and over and wants them back."""

    address: str
    estate: str
    connections: int
    seconds: float
    sales_per_terminal: int
    keys_from: str
    relay: bool = False


class Measured(msgspec.Struct, frozen=True):
    """What came of it; latencies in milliseconds."""

    tps: float
    p50_ms: float
    p99_ms: float
    approved: int
    errors: int


@dataclass(slots=True)
class _Lane:
    terminal: Terminal
    requests: list[Request]
    replies: list[bytes] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    counted_from: int = 0
    broken: int = 0


async def run(job: Job) -> Measured:
    """Sign on, build, send for so long, judge."""
    estate = load_estate(job.estate)
    lanes = [await _lane(job, estate, index) for index in range(job.connections)]
    begin = trio.current_time() + 0.2
    async with trio.open_nursery() as nursery:
        for lane in lanes:
            nursery.start_soon(_sell, job, lane, begin)
    took = sorted(s for lane in lanes for s in lane.took_s[lane.counted_from :])
    approved = errors = 0
    for lane in lanes:
        errors += lane.broken
        for request, frame in zip(lane.requests, lane.replies, strict=False):
            result = lane.terminal.take(request, frame)
            good = result is not None and result.approved
            approved += good
            errors += not good
    return Measured(
        tps=round(len(took) / job.seconds, 1),
        p50_ms=round(took[len(took) // 2] * 1000, 2) if took else 0.0,
        p99_ms=round(took[len(took) * 99 // 100] * 1000, 2) if took else 0.0,
        approved=approved,
        errors=errors,
    )


async def _lane(job: Job, estate: Estate, index: int) -> _Lane:
    who = identity(estate, estate.terminals[index].terminal_id)
    terminal = Terminal(who, TerminalState(who.terminal_id), journal_max=JOURNAL_MAX)
    host, _, port = job.keys_from.rpartition(":")
    client = TerminalClient(terminal, MemoryStore(), TerminalLink(tcp(host, int(port))))
    async with client:
        result = await client.sign_on()
    if not result.approved:
        raise RuntimeError(f"terminal {who.terminal_id} cannot sign on: {result.message}")
    shown = present(estate.cards[index % len(estate.cards)])
    requests = [terminal.sale(AMOUNT_MINOR, shown) for _ in range(job.sales_per_terminal)]
    return _Lane(terminal, requests)


async def _sell(job: Job, lane: _Lane, begin: float) -> None:
    host, _, port = job.address.rpartition(":")
    stream = await trio.open_tcp_stream(host, int(port))
    decoder = FrameDecoder(FRAMING, FRAME_BYTES_MAX)
    frames = [FRAMING.encode(request.frame) for request in lane.requests]
    await trio.sleep_until(begin)
    count_from, end = begin + WARM_UP_S, begin + WARM_UP_S + job.seconds
    async with stream:
        for frame in cycle(frames) if job.relay else frames:
            sent_at = trio.current_time()
            if sent_at >= end:
                return
            if sent_at < count_from:
                lane.counted_from += 1
            await stream.send_all(frame)
            answers: list[bytes] = []
            while not answers:
                data = await stream.receive_some(16_384)
                if not data:
                    lane.broken += 1
                    return
                answers = decoder.feed(data)
            lane.took_s.append(trio.current_time() - sent_at)
            if not job.relay:
                lane.replies.append(answers[0])
            elif FRAMING.encode(answers[0]) != frame:
                lane.broken += 1
    lane.broken += 1


def main(path: Path) -> None:
    """Run the job in a file and print what was measured."""
    job = msgspec.json.decode(path.read_bytes(), type=Job)
    measured = trio.run(run, job)
    sys.stdout.write(msgspec.json.encode(measured).decode() + "\n")


if __name__ == "__main__":
    die_with_parent()
    main(Path(sys.argv[1]))
