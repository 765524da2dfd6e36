"""Two checkouts in pairs, in the order ABBA: what a sale costs here as a share of there.

Each checkout's own ``acquirer bench --data`` writes the configuration of its switch; then each
switch is started anew, with empty books, and meets this checkout's bank and load. So the one
that is measured is the only thing that differs. Figures are scaled by the loop that ran beside.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from shutil import copy
from typing import Any

from acquirer.bench.children import child
from acquirer.bench.sales import Part, lone_job, play, sales_job
from acquirer.simulation.provision import write_config


@dataclass(frozen=True, slots=True)
class Side:
    """A checkout: its Python, and a folder with its switch's and its terminals' files."""

    interpreter: str
    files: Path


@dataclass(frozen=True, slots=True)
class Run:
    """One switch that was measured."""

    busy: Part
    lone: Part

    @property
    def cpu_us(self) -> float:
        """Processor time by sale, in turns of the loop that ran beside."""
        return self.busy.measured.cpu_us / self.busy.calibration_us


def compare(other: Path, pairs: int, connections: int, seconds: float) -> dict[str, Any]:
    """Measure this checkout and another; ratios are this one's figures over the other's.

    Args:
        other: its root folder, with a ``.venv``.
        pairs: every second one begins with the other.

    Raises:
        RuntimeError: a checkout does not run; its log says why.
    """
    with tempfile.TemporaryDirectory(prefix="acquirer-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        here = _side(sys.executable, folder / "here", connections)
        there = _side(str(other / ".venv" / "bin" / "python"), folder / "there", connections)
        bank = stack.enter_context(child("-m", "acquirer.bench.host"))["bank"]
        runs: list[tuple[Run, Run]] = []
        for pair in range(pairs):
            order = (here, there) if pair % 2 == 0 else (there, here)
            found = {side.files: _run(side, bank, connections, seconds) for side in order}
            runs.append((found[here.files], found[there.files]))
    return _report(runs, connections, seconds)


def _side(interpreter: str, files: Path, connections: int) -> Side:
    """The files that a checkout's own measurement writes before it begins."""
    size = ("--connections", str(connections + 1), "--data", str(files))
    command = (interpreter, "-m", "acquirer", "bench", *size)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as bench:
        while bench.poll() is None and not _document(files):
            time.sleep(0.1)
        bench.terminate()
    if not _document(files):
        raise RuntimeError(f"acquirer bench of {interpreter} ended with {bench.returncode}")
    return Side(interpreter, files)


def _document(files: Path) -> dict[str, Any]:
    """The switch's file once it is whole; empty before."""
    try:
        return tomllib.loads((files / "switch.toml").read_text("utf-8"))
    except (FileNotFoundError, tomllib.TOMLDecodeError):
        return {}


def _run(side: Side, bank: str, connections: int, seconds: float) -> Run:
    with tempfile.TemporaryDirectory(prefix="acquirer-bench-") as name:
        folder, estate = Path(name), Path(name) / "estate.toml"
        copy(side.files / "estate.toml", estate)
        document = _document(side.files)
        for entry in document["banks"]:
            entry["address"] = bank
        path = folder / "switch.toml"
        write_config(path, document)
        arguments = ("-m", "acquirer", "serve", "--config", str(path))
        with child(*arguments, interpreter=side.interpreter) as switch:
            busy = play(folder, sales_job(switch, estate, connections, seconds))
            return Run(busy, play(folder, lone_job(switch, estate, connections)))


def _report(runs: list[tuple[Run, Run]], connections: int, seconds: float) -> dict[str, Any]:
    here, there = zip(*runs, strict=True)
    cpu = [ours.cpu_us / theirs.cpu_us for ours, theirs in runs]
    tps = [ours.busy.measured.tps / theirs.busy.measured.tps for ours, theirs in runs]
    lone = [ours.lone.measured.p50_ms / theirs.lone.measured.p50_ms for ours, theirs in runs]
    return {
        "cpu_ratio": round(statistics.median(cpu), 4),
        "tps_ratio": round(statistics.median(tps), 4),
        "lone_p50_ratio": round(statistics.median(lone), 4),
        "cpu_ratios": [round(ratio, 4) for ratio in cpu],
        "tps_ratios": [round(ratio, 4) for ratio in tps],
        "lone_p50_ratios": [round(ratio, 4) for ratio in lone],
        "here": _figures(here),
        "there": _figures(there),
        "errors": sum(
            part.measured.errors for pair in runs for run in pair for part in (run.busy, run.lone)
        ),
        "connections": connections,
        "seconds": seconds,
    }


def _figures(runs: tuple[Run, ...]) -> dict[str, float]:
    """Medians of one side."""

    def median(values: list[float]) -> float:
        return round(statistics.median(values), 2)

    return {
        "cpu_us_per_sale": median([run.busy.measured.cpu_us for run in runs]),
        "switch_tps": median([run.busy.measured.tps for run in runs]),
        "p50_ms": median([run.busy.measured.p50_ms for run in runs]),
        "p99_ms": median([run.busy.measured.p99_ms for run in runs]),
        "lone_p50_ms": median([run.lone.measured.p50_ms for run in runs]),
        "calibration_us": median([run.busy.calibration_us for run in runs]),
        "load_busy": median([run.busy.measured.load_busy for run in runs]),
    }
