"""What several workers on a machine with more processors would give: a queueing model, by hand.

Each worker is one server that does one thing at a time (Python's lock); a sale takes the worker of
its terminal, the worker that has its bank's link, the bank, and both again. Connections are placed
as the supervisor places them (``switch/processes/balance.py``). The times are those that ``acquirer
bench --workers`` measured; docs/scale.md has both. Run: ``python -m acquirer.bench.many_workers``.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from dataclasses import dataclass

from acquirer.switch.processes.balance import lightest, parts

SALES = 60_000
WARM_UP = 10_000
TERMINALS_A_WORKER = 64
SEED = 8583


@dataclass(frozen=True, slots=True)
class Times:
    """Processor time by sale in microseconds, and what a bank takes to answer.

    Attributes:
        own_us: at the worker of the terminal.
        link_us: at the worker that has the link.
        relay_us: more at each of the two, where they are not one.
    """

    own_us: float
    link_us: float
    relay_us: float
    bank_us: float = 20_000.0


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it: sales a second, and the busiest worker's share of its processor."""

    tps: float
    busiest: float
    p99_ms: float


def play(times: Times, workers: int, banks: int) -> Played:
    """Have terminals sell as fast as they are answered."""
    draw = random.Random(SEED)
    owners = [bank % workers + 1 for bank in range(banks)]
    homes = _placed(workers, parts(owners))
    free_at = dict.fromkeys(range(1, workers + 1), 0.0)
    busy: Counter[int] = Counter()
    took: list[float] = []
    began_at = ended_at = 0.0
    # When, a number that breaks ties, terminal, bank, which of a sale's five steps, its start.
    events = [
        (draw.random() * 1000.0, n, n, draw.randrange(banks), 0, 0.0) for n in range(len(homes))
    ]
    heapq.heapify(events)
    count = len(homes)
    while len(took) < SALES:
        now, _, terminal, bank, step, since = heapq.heappop(events)
        home, owner = homes[terminal], owners[bank]
        relay_us = times.relay_us / 2 if home != owner else 0.0
        if step == 0:
            since = now
        if step == 2:
            done_at = now + times.bank_us
        else:
            at, all_us = (owner, times.link_us) if step in (1, 3) else (home, times.own_us)
            work_us = (all_us / 2 + relay_us) * draw.uniform(0.5, 1.5)
            done_at = max(now, free_at[at]) + work_us
            busy[at] += int(work_us)
            free_at[at] = done_at
        count += 1
        if step < 4:
            heapq.heappush(events, (done_at, count, terminal, bank, step + 1, since))
            continue
        took.append(done_at - since)
        if len(took) == WARM_UP:
            began_at, busy = done_at, Counter()
        ended_at = done_at
        heapq.heappush(events, (done_at, count, terminal, draw.randrange(banks), 0, 0.0))
    lasted_us = ended_at - began_at
    counted = sorted(took[WARM_UP:])
    return Played(
        tps=len(counted) / lasted_us * 1e6,
        busiest=max(busy.values()) / lasted_us,
        p99_ms=counted[len(counted) * 99 // 100] / 1000,
    )


def _placed(workers: int, links: dict[int, float]) -> list[int]:
    """The worker of each terminal."""
    counts: Counter[int] = Counter(dict.fromkeys(range(1, workers + 1), 0))
    homes = []
    for _ in range(TERMINALS_A_WORKER * workers):
        homes.append(lightest(counts, links))
        counts[homes[-1]] += 1
    return homes


MEASURED = Times(own_us=457.0, link_us=76.0, relay_us=77.0)


def main() -> None:
    """Print a table."""
    print("workers  banks  sales/s  busiest  p99 ms")
    for banks in (1, 4, 16):
        for workers in (1, 2, 4, 8, 12, 16):
            played = play(MEASURED, workers, banks)
            row = f"{workers:>7}  {banks:>5}  {played.tps:>7.0f}  {played.busiest:>7.2f}"
            print(f"{row}  {played.p99_ms:>6.1f}")


if __name__ == "__main__":
    main()
