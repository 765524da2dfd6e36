"""``acquirer simulate``: days of payments under every fault, replayed from a seed, or fresh ones.

A failing day is cut down to the shortest that still fails and shown with the command that replays
it. ``--planted`` turns the question round: bugs are planted, and must be caught.
"""

from __future__ import annotations

import multiprocessing
import secrets
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import Annotated, Any

import typer

from acquirer.cli.process import fail
from acquirer.cli.screen import print_json, say
from acquirer.simulation.day import KINDS, PAYMENTS, TERMINALS, Day, fault_kinds
from acquirer.simulation.planting import Planter, load_plants
from acquirer.simulation.report import Report
from acquirer.simulation.run import run_day
from acquirer.simulation.shrink import shrink

SEED_BITS = 48
SEEDS_A_BUG_MAX = 200
SHOWN_MAX = 10


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("simulate")(simulate)


def simulate(
    seed: Annotated[int | None, typer.Option("--seed", help="Replay this one day.")] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=0, help="Draw so many fresh days.")] = 0,
    payments: Annotated[int, typer.Option(min=1, help="Payments of a day.")] = PAYMENTS,
    terminals: Annotated[int, typer.Option(min=1, max=10, help="Terminals.")] = TERMINALS,
    faults: Annotated[
        str, typer.Option(help=f"Kinds of faults, with commas, or none: {', '.join(KINDS)}.")
    ] = "all",
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes for --seeds.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a day.")] = False,
    trace: Annotated[
        bool, typer.Option("--trace/--no-trace", help="Show what happened, with --seed.")
    ] = True,
    planted: Annotated[
        Path | None, typer.Option("--planted", help="Plant each bug of this list; catch it.")
    ] = None,
) -> None:
    """Run the whole estate in one process on a mock clock, with faults drawn from one seed.

    The same seed is the same day, byte for byte. Exits 1 where a check did not hold.

    Examples:

      acquirer simulate --seeds 100 --jobs 2

      acquirer simulate --seed 7

      acquirer simulate --planted tests/sim/planted.toml
    """
    try:
        kinds = fault_kinds(faults)
    except ValueError as error:
        fail(error)
    if planted is not None:
        try:
            names = [plant.name for plant in load_plants(planted)]
        except OSError as error:
            fail(error)
        except (ValueError, KeyError, TypeError):
            fail(f"{planted}: no list of planted bugs, such as tests/sim/planted.toml")
        _catch(planted, names, jobs)
        return
    if (seed is None) == (seeds == 0):
        fail("give --seed S, or --seeds N")
    if seed is not None:
        report = run_day(Day(seed, payments, terminals, kinds), keep_trace=trace and not as_json)
        _show(report, as_json)
        raise typer.Exit(1 if report.findings else 0)
    first = secrets.randbits(SEED_BITS)
    days = [Day(first + number, payments, terminals, kinds) for number in range(seeds)]
    _fresh(days, jobs, as_json)


def _fresh(days: list[Day], jobs: int, as_json: bool) -> None:
    say(f"seeds {days[0].seed} to {days[-1].seed}", err=True)
    failed: list[Report] = []
    drawn: Counter[str] = Counter()
    struck: Counter[str] = Counter()
    cpu_s, paid = 0.0, 0
    for number, report in enumerate(_reports(days, jobs), start=1):
        cpu_s += report.cpu_s
        paid += report.payments
        drawn.update(report.drawn)
        struck.update(report.struck)
        if as_json:
            _print_json(report)
        if report.findings:
            failed.append(report)
        if number % 10 == 0 or number == len(days) or report.findings:
            rate = paid / cpu_s if cpu_s else 0.0
            say(
                f"{number} of {len(days)} days, {len(failed)} failed,"
                f" {rate:.0f} payments a second of processor time",
                err=True,
            )
    often = ", ".join(f"{kind} {drawn[kind]} ({struck[kind]})" for kind in KINDS)
    say(f"days that had a kind of fault, and how often it struck: {often}", err=True)
    for report in failed[:SHOWN_MAX]:
        say(err=True)
        say(f"day {report.day.seed} fails: {report.findings[0]}", err=True)
        small = shrink(report, lambda day: say(f"  smaller: {day.command()}", err=True))
        if not as_json:
            _show(run_day(small.day, keep_trace=True), as_json=False)
    raise typer.Exit(1 if failed else 0)


def _reports(days: list[Day], jobs: int) -> Iterator[Report]:
    if jobs == 1:
        yield from map(run_day, days)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        yield from pool.map(run_day, days)


def _show(report: Report, as_json: bool) -> None:
    if as_json:
        _print_json(report)
        return
    for line in report.lines:
        say(line)
    struck = ", ".join(f"{kind} {count}" for kind, count in sorted(report.struck.items()))
    say()
    say(
        f"day {report.day.seed}: {report.payments} payments in {report.virtual_s:.0f} s,"
        f" the switch started {report.lives} times; faults: {struck or 'none'}"
    )
    say(f"trace {report.digest}")
    for finding in report.findings:
        say(f"DOES NOT HOLD  {finding}")
    if report.findings:
        say(f"replay: {report.day.command()}")
    else:
        say("all checks hold")


def _print_json(report: Report) -> None:
    document: dict[str, Any] = {
        "seed": report.day.seed,
        "command": report.day.command(),
        "clean": not report.findings,
        "findings": report.findings,
        "digest": report.digest,
        "payments": report.payments,
        "lives": report.lives,
        "drawn": sorted(report.drawn),
        "faults": report.struck,
        "virtual_s": round(report.virtual_s, 3),
        "cpu_s": round(report.cpu_s, 3),
    }
    print_json(document)


def _catch(file: Path, names: list[str], jobs: int) -> None:
    """Plant each bug in a process of its own and print how many seeds it takes to catch it."""
    planters: SimpleQueue[Planter] = SimpleQueue()
    missed = 0

    def catch(name: str) -> tuple[int, str]:
        planter = planters.get()
        try:
            return planter.catch(name, 1, SEEDS_A_BUG_MAX, PAYMENTS)
        finally:
            planters.put(planter)

    with ExitStack() as stack:
        for _ in range(jobs):
            planters.put(stack.enter_context(Planter(file)))
        pool = stack.enter_context(ThreadPoolExecutor(jobs))
        for name, (took, finding) in zip(names, pool.map(catch, names), strict=True):
            missed += not took
            say(f"{name:<32} {f'seed {took}' if took else 'NOT CAUGHT':<12} {finding}")
    raise typer.Exit(1 if missed else 0)
