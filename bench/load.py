"""The load: terminals that sell as fast as they are answered, one connection each.

One epoll loop over bare sockets, so that the load takes a small part of what it measures; requests
are built before the clock starts and replies judged after it has stopped. Prints one JSON object:
tps, latencies, approvals, errors, what a watched process used, how busy the load itself was.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain, count, cycle
from pathlib import Path

import msgspec
import trio

from acquirer.bench.processor import ThreadTime, thread_times, used_between
from acquirer.codecs.framing import LengthHeader
from acquirer.config.children import die_with_parent
from acquirer.config.estate import Estate, load_estate
from acquirer.terminals_sim.cards import present, swiped
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.identity import identity
from acquirer.terminals_sim.link import TerminalLink, tcp
from acquirer.terminals_sim.messages import Request
from acquirer.terminals_sim.state import TerminalState
from acquirer.terminals_sim.store import MemoryStore
from acquirer.terminals_sim.terminal import Terminal

FRAMING = LengthHeader("binary", 2)
AMOUNT_MINOR = 100
JOURNAL_MAX = 2
WARM_UP_S = 1.0
FIRST_ANSWERS_S = 30.0
SIGN_ONS_AT_ONCE = 16
LAST_ANSWERS_S = 30.0
ROUNDS_BETWEEN_LOOKS = 100


class Job(msgspec.Struct, frozen=True):
    """What to do.

    Attributes:
        first: index of the first of the estate's terminals to play.
        ready_sales: sales that each terminal has ready before the clock starts.
        keys_from: address of the switch that gives the terminals their keys.
        watched: process whose processor time is measured.
        relay: whether to send the same frames over and over and want them back.
    """

    address: str
    estate: str
    connections: int
    seconds: float
    ready_sales: int
    keys_from: str
    watched: int
    first: int = 0
    relay: bool = False


class Measured(msgspec.Struct, frozen=True):
    """What came of it; latencies in milliseconds.

    Attributes:
        fewest, most: answers that one terminal got.
        threads: what each thread of the watched process used while answers were counted; the
            first is its main thread.
        cpu_us: the same together, by answer.
        load_busy: share of one processor that the load itself used.
    """

    tps: float
    p50_ms: float
    p99_ms: float
    approved: int
    errors: int
    fewest: int
    most: int
    threads: list[ThreadTime]
    cpu_us: float
    load_busy: float


class _Lane:
    """One terminal and its connection."""

    def __init__(self, job: Job, terminal: Terminal, sale: Callable[[], Request]) -> None:
        self.socket = socket.socket()
        self.terminal = terminal
        self.sent: list[Request] = []
        self.replies: list[bytes] = []
        self.took_s: list[float] = []
        self.is_waiting = self.is_broken = False
        ready = [sale() for _ in range(job.ready_sales)]
        more = cycle(ready) if job.relay else (sale() for _ in count())
        self._unsent = chain(ready, more)
        self._sent_at = 0.0
        self._unread = b""

    def connect(self, address: str) -> None:
        """Open the connection."""
        host, _, port = address.rpartition(":")
        self.socket.connect((host, int(port)))
        self.socket.setblocking(False)

    def send(self) -> None:
        """The next request: only one is on its way, so that there is room for it."""
        request = next(self._unsent)
        self.sent.append(request)
        self._sent_at, self.is_waiting = time.monotonic(), True
        self.socket.send(FRAMING.encode(request.frame))

    def receive(self) -> bool:
        """Whether the reply is whole now, or the connection has ended."""
        try:
            data = self.socket.recv(16_384)
        except ConnectionError:
            data = b""
        if not data:
            self.is_broken, self.is_waiting = True, False
            return True
        unread = self._unread + data
        if len(unread) < 2 or len(unread) < 2 + FRAMING.decode(unread[:2]):
            self._unread = unread
            return False
        self._unread, self.is_waiting = b"", False
        self.replies.append(unread[2:])
        self.took_s.append(time.monotonic() - self._sent_at)
        return True


class _Count:
    """What had happened at the beginning or the end of the time that counts."""

    def __init__(self, job: Job, lanes: Sequence[_Lane]) -> None:
        self.threads = thread_times(job.watched)
        self.own_s = time.process_time()
        self.at_s = time.monotonic()
        self.answers = [len(lane.took_s) for lane in lanes]


def run(job: Job) -> Measured:
    """Sign on, build, send for so long, judge."""
    lanes = trio.run(_all_lanes, job)
    begin, end = _play(job, lanes)
    each = [after - before for before, after in zip(begin.answers, end.answers, strict=True)]
    answered = sum(each)
    took = sorted(
        seconds
        for lane, since, until in zip(lanes, begin.answers, end.answers, strict=True)
        for seconds in lane.took_s[since:until]
    )
    good = sum(_judge(job, lane) for lane in lanes)
    used = used_between(begin.threads, end.threads)
    lasted_s = end.at_s - begin.at_s
    return Measured(
        tps=round(answered / lasted_s, 1),
        p50_ms=round(took[len(took) // 2] * 1000, 2) if took else 0.0,
        p99_ms=round(took[len(took) * 99 // 100] * 1000, 2) if took else 0.0,
        approved=good,
        errors=sum(len(lane.sent) for lane in lanes) - good,
        fewest=min(each),
        most=max(each),
        threads=[used[thread] for thread in sorted(used)],
        cpu_us=round(sum(time.all_us for time in used.values()) / max(answered, 1), 1),
        load_busy=round((end.own_s - begin.own_s) / lasted_s, 2),
    )


def _play(job: Job, lanes: Sequence[_Lane]) -> tuple[_Count, _Count]:
    """Send and receive; what was there when the time that counts began and ended."""
    for lane in lanes:
        lane.connect(job.address)
    poll = select.epoll()
    by_file = {lane.socket.fileno(): lane for lane in lanes}
    for file, lane in by_file.items():
        poll.register(file, select.EPOLLIN)
        lane.send()
    began = time.monotonic()
    _until(began + WARM_UP_S, poll, by_file, send=True)
    # All have come at once: only when each was answered is it what it is when they are there.
    while not all(lane.took_s for lane in lanes) and time.monotonic() < began + FIRST_ANSWERS_S:
        _until(time.monotonic() + WARM_UP_S, poll, by_file, send=True)
    begin = _Count(job, lanes)
    _until(begin.at_s + job.seconds, poll, by_file, send=True)
    end = _Count(job, lanes)
    _until(end.at_s + LAST_ANSWERS_S, poll, by_file, send=False)
    return begin, end


def _until(at_s: float, poll: select.epoll, by_file: dict[int, _Lane], *, send: bool) -> None:
    """Take answers, and send on each the next request or, at the end, none."""
    while any(lane.is_waiting for lane in by_file.values()):
        for _ in range(ROUNDS_BETWEEN_LOOKS if send else 1):
            left_s = at_s - time.monotonic()
            if left_s <= 0:
                return
            for file, _event in poll.poll(left_s if send else min(left_s, 0.1)):
                lane = by_file[file]
                if lane.receive():
                    if lane.is_broken:
                        poll.unregister(file)
                    elif send:
                        lane.send()


def _judge(job: Job, lane: _Lane) -> int:
    """How many of a terminal's requests were answered well."""
    pairs = zip(lane.sent, lane.replies, strict=False)
    if job.relay:
        return sum(request.frame == reply for request, reply in pairs)
    results = [lane.terminal.take(request, reply) for request, reply in pairs]
    return sum(result is not None and result.approved for result in results)


async def _all_lanes(job: Job) -> list[_Lane]:
    estate = load_estate(job.estate)
    lanes: dict[int, _Lane] = {}
    turns = trio.CapacityLimiter(SIGN_ONS_AT_ONCE)

    async def prepare(index: int) -> None:
        async with turns:
            lanes[index] = await _lane(job, estate, index)

    async with trio.open_nursery() as nursery:
        for index in range(job.first, job.first + job.connections):
            nursery.start_soon(prepare, index)
    return [lanes[index] for index in sorted(lanes)]


async def _lane(job: Job, estate: Estate, index: int) -> _Lane:
    who = identity(estate, estate.terminals[index].terminal_id)
    terminal = Terminal(who, TerminalState(who.terminal_id), journal_max=JOURNAL_MAX)
    host, _, port = job.keys_from.rpartition(":")
    client = TerminalClient(terminal, MemoryStore(), TerminalLink(tcp(host, int(port))))
    async with client:
        result = await client.sign_on()
    if not result.approved:
        raise RuntimeError(f"terminal {who.terminal_id} cannot sign on: {result.message}")
    shown = present(swiped(estate.cards, index))
    return _Lane(job, terminal, partial(terminal.sale, AMOUNT_MINOR, shown))


def main(path: Path) -> None:
    """Run the job in a file and print what was measured."""
    job = msgspec.json.decode(path.read_bytes(), type=Job)
    sys.stdout.write(msgspec.json.encode(run(job)).decode() + "\n")


if __name__ == "__main__":
    die_with_parent()
    main(Path(sys.argv[1]))
