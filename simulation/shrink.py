"""The shortest day that still fails: fewer kinds of faults, fewer terminals, fewer payments.

Greedy and bounded: each try is a whole day, kept if the same check fails as at first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from acquirer.simulation.day import Day, Faults
from acquirer.simulation.report import Report
from acquirer.simulation.run import run_day

TRIES_MAX = 80


def check_of(finding: str) -> str:
    """The name of the check that gave a finding: its first words.

    >>> check_of("money: the receivable is 5")
    'money'
    """
    return finding.partition(":")[0].rstrip("0123456789 ")


def shrink(report: Report, told: Callable[[Day], None] = lambda day: None) -> Report:
    """The smallest day found that fails as this one did; the day itself where none is smaller.

    Args:
        report: of a day with findings.
        told: hears of each smaller day.
    """
    wanted = check_of(report.findings[0])
    best = report
    tries = 0
    progress = True
    while progress and tries < TRIES_MAX:
        progress = False
        for day in _smaller(best.day):
            tries += 1
            if tries > TRIES_MAX:
                break
            found = run_day(day)
            if any(check_of(finding) == wanted for finding in found.findings):
                best, progress = found, True
                told(day)
                break
    return best


def _smaller(day: Day) -> Iterator[Day]:
    for payments in sorted({day.payments // 4, day.payments // 2, day.payments * 3 // 4}):
        if payments:
            yield replace(day, payments=payments)
    for kind in sorted(Faults(day).rates):
        yield replace(day, faults=frozenset(Faults(day).rates) - {kind})
    for terminals in sorted({day.terminals // 2, day.terminals - 1}):
        if terminals:
            yield replace(day, terminals=terminals)
    if day.payments > 1:
        yield replace(day, payments=day.payments - 1)
