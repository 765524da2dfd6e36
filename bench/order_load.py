"""The load of a measurement of orders: counters that sell beside couriers who deliver.

A counter's lane is sale after sale; a courier's is query, payment by card, confirmation and
receipt of order after order. Requests are built before the clock starts and replies judged after
it has stopped. Prints one JSON object.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import trio

from acquirer.bench.order_host import AMOUNT_MINOR
from acquirer.codecs.framing import FrameDecoder, LengthHeader
from acquirer.config.children import die_with_parent
from acquirer.config.estate import Card, Estate, load_estate
from acquirer.terminals_sim.cards import present, swiped
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.identity import identity
from acquirer.terminals_sim.link import TerminalLink, tcp
from acquirer.terminals_sim.messages import Request, read_reply
from acquirer.terminals_sim.state import OrderPayment, TerminalState
from acquirer.terminals_sim.store import MemoryStore
from acquirer.terminals_sim.terminal import Terminal

FRAMING = LengthHeader("binary", 2)
FRAME_BYTES_MAX = 4096
JOURNAL_MAX = 2
WARM_UP_S = 1.0
STEPS = ("query", "pay", "confirm", "sign")


class Job(msgspec.Struct, frozen=True):
    """What to do; the first ``couriers`` of the estate's terminals deliver, the others sell."""

    address: str
    estate: str
    couriers: int
    seconds: float
    requests_a_lane: int


class Measured(msgspec.Struct, frozen=True):
    """Payments a second by both, replies that were not approvals, and latencies by step."""

    card_sales_tps: float
    order_payments_tps: float
    messages_tps: float
    errors: int
    p99_ms: dict[str, float]


@dataclass(slots=True)
class _Lane:
    terminal: Terminal
    requests: list[Request]
    steps: tuple[str, ...]
    replies: list[bytes] = field(default_factory=list)
    took_s: list[tuple[str, float]] = field(default_factory=list)
    broken: int = 0


async def run(job: Job) -> Measured:
    """Sign on, build, send for so long, judge."""
    estate = load_estate(job.estate)
    lanes = [await _lane(job, estate, index) for index in range(len(estate.terminals))]
    begin = trio.current_time() + 0.2
    async with trio.open_nursery() as nursery:
        for lane in lanes:
            nursery.start_soon(_play, job, lane, begin)
    errors = sum(lane.broken for lane in lanes)
    for lane in lanes:
        for request, frame in zip(lane.requests, lane.replies, strict=False):
            reply = read_reply(request, frame)
            good = reply is not None and reply.response_code == "00" and reply.mac == "good"
            errors += not good
    took: dict[str, list[float]] = {}
    for lane in lanes:
        for step, seconds in lane.took_s:
            took.setdefault(step, []).append(seconds)
    counts = {step: len(times) / job.seconds for step, times in took.items()}
    return Measured(
        card_sales_tps=round(counts.get("sale", 0.0), 1),
        order_payments_tps=round(counts.get("pay", 0.0), 1),
        messages_tps=round(sum(counts.values()), 1),
        errors=errors,
        p99_ms={
            step: round(sorted(times)[len(times) * 99 // 100] * 1000, 1)
            for step, times in took.items()
        },
    )


async def _lane(job: Job, estate: Estate, index: int) -> _Lane:
    who = identity(estate, estate.terminals[index].terminal_id)
    terminal = Terminal(who, TerminalState(who.terminal_id), journal_max=JOURNAL_MAX)
    host, _, port = job.address.rpartition(":")
    client = TerminalClient(terminal, MemoryStore(), TerminalLink(tcp(host, int(port))))
    card = swiped(estate.cards, index)
    async with client:
        results = [await client.sign_on()]
        if index < job.couriers:
            courier = estate.couriers[index]
            results.append(await client.courier_sign_on(courier.courier_id, courier.password))
    if not all(result.approved for result in results):
        raise RuntimeError(f"terminal {who.terminal_id} cannot sign on: {results[-1].message}")
    if index >= job.couriers:
        shown = present(card)
        sales = [terminal.sale(AMOUNT_MINOR, shown) for _ in range(job.requests_a_lane)]
        return _Lane(terminal, sales, ("sale",))
    orders = range(job.requests_a_lane // len(STEPS) + 1)
    requests = [r for n in orders for r in _delivery(terminal, card, f"B{index:03d}{n:06d}")]
    return _Lane(terminal, requests, STEPS)


def _delivery(terminal: Terminal, card: Card, order_no: str) -> list[Request]:
    """The four requests of one order; the terminal believes that each will be approved."""
    query = terminal.order_query(order_no)
    pay = terminal.order_payment(order_no, AMOUNT_MINOR, "card", present(card))
    paid = OrderPayment(order_no, "000000", AMOUNT_MINOR, pay.batch, pay.stan, "", "")
    terminal.state = replace(terminal.state, orders=(paid,), reversal=None)
    requests = [query, pay, terminal.order_confirm(order_no)]
    requests.append(terminal.order_receipt(order_no, "Li Wei"))
    terminal.state = replace(terminal.state, advices=())
    return requests


async def _play(job: Job, lane: _Lane, begin: float) -> None:
    host, _, port = job.address.rpartition(":")
    stream = await trio.open_tcp_stream(host, int(port))
    decoder = FrameDecoder(FRAMING, FRAME_BYTES_MAX)
    frames = [FRAMING.encode(request.frame) for request in lane.requests]
    await trio.sleep_until(begin)
    count_from, end = begin + WARM_UP_S, begin + WARM_UP_S + job.seconds
    async with stream:
        for number, frame in enumerate(frames):
            step = lane.steps[number % len(lane.steps)]
            sent_at = trio.current_time()
            # An order that was begun is finished, so that none is left half told.
            if sent_at >= end and step == lane.steps[0]:
                return
            await stream.send_all(frame)
            answers: list[bytes] = []
            while not answers:
                data = await stream.receive_some(16_384)
                if not data:
                    lane.broken += 1
                    return
                answers = decoder.feed(data)
            if count_from <= sent_at < end:
                lane.took_s.append((step, trio.current_time() - sent_at))
            lane.replies.append(answers[0])
    lane.broken += 1


def main(path: Path) -> None:
    """Run the job in a file and print what was measured."""
    job = msgspec.json.decode(path.read_bytes(), type=Job)
    sys.stdout.write(msgspec.json.encode(trio.run(run, job)).decode() + "\n")


if __name__ == "__main__":
    die_with_parent()
    main(Path(sys.argv[1]))
