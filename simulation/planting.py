"""Bugs planted on purpose, to see that the simulator catches them.

A planted bug is one line of the product that is replaced in memory when its module is imported.
A line that is no longer there is an error, so that the list cannot rot unseen. This module
imports nothing of the product, because it must be at work before anything else is; run as a
program, it serves a :class:`Planter`: each bug in a fork of a process that has imported what the
product is built on, which takes most of a start's time.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from typing import Self

# What the product is built on, and takes long to import.
BUILT_ON = (
    "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.kdf.hkdf",
    "h11",
    "iso8583",
    "jinja2.sandbox",
    "msgspec",
    "prometheus_client",
    "psycopg",
    "rich.console",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.sqlite",
    "starlette.responses",
    "structlog",
    "trio",
)


class PlantingError(Exception):
    """A patch does not fit the source any more."""


@dataclass(frozen=True, slots=True)
class Plant:
    """One bug.

    Attributes:
        name: short, unique.
        module: dotted name of the module.
        line: the line as it stands, without indentation; it must occur exactly once.
        instead: what stands there instead.
        seed: the first day to look at in a short run, because it is known to catch it.
        payments: of each day in a short run.
        trouble: the kind of fault that shows it; empty for one of the usual.
    """

    name: str
    module: str
    line: str
    instead: str
    seed: int = 1
    payments: int = 100
    trouble: str = ""


def load_plants(path: Path) -> list[Plant]:
    """The bugs of a TOML file, ``[[plants]]`` with the fields of :class:`Plant`."""
    document = tomllib.loads(path.read_text("utf-8"))
    return [Plant(**entry) for entry in document["plants"]]


def patched(source: str, plant: Plant) -> str:
    """A module's source with the bug in it.

    Raises:
        PlantingError: the line is not there, or more than once.
    """
    lines = source.splitlines(keepends=True)
    places = [index for index, line in enumerate(lines) if line.strip() == plant.line.strip()]
    if len(places) != 1:
        raise PlantingError(
            f"planted bug {plant.name!r}: {plant.module} has {len(places)} lines {plant.line!r}"
        )
    (place,) = places
    indentation = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
    lines[place] = f"{indentation}{plant.instead.strip()}\n"
    return "".join(lines)


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles a module from patched source, and leaves no cached bytecode."""

    plant: Plant

    def get_code(self, fullname: str) -> object:  # type: ignore[override]
        """The module's code with the bug."""
        source = self.get_data(self.path).decode("utf-8")
        return compile(patched(source, self.plant), self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    """Gives one module the patching loader."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module's spec, if it is the one."""
        if fullname != self._plant.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None:
            raise PlantingError(f"planted bug {self._plant.name!r}: no module {fullname}")
        loader = _Loader(fullname, spec.origin)
        loader.plant = self._plant
        spec.loader = loader
        return spec


def plant(bug: Plant) -> None:
    """Plant a bug in this process; its module must not have been imported yet.

    Raises:
        PlantingError: too late.
    """
    if bug.module in sys.modules:
        raise PlantingError(f"planted bug {bug.name!r}: {bug.module} is imported already")
    sys.meta_path.insert(0, _Finder(bug))


def seeds_until_caught(
    file: Path, name: str, first: int, most: int, payments: int
) -> tuple[int, str]:
    """Plant a bug in this fresh process and live through days until one finds it.

    Args:
        file: the list of bugs.
        name: which one; where a trouble shows it, days without that are passed over, else
            days have the usual faults only.
        first: the first seed.
        most: how many seeds to try.
        payments: of each day.

    Returns:
        How many seeds it took, 0 where none caught it, and the first finding.
    """
    (bug,) = [bug for bug in load_plants(file) if bug.name == name]
    plant(bug)
    from acquirer.simulation.day import KINDS, USUAL, Day, Faults
    from acquirer.simulation.run import run_day

    kinds = frozenset(KINDS if bug.trouble else USUAL)
    for count in range(1, most + 1):
        day = Day(first + count - 1, payments, faults=kinds)
        if bug.trouble and bug.trouble not in Faults(day).drawn:
            continue
        findings = run_day(day).findings
        if findings:
            return count, findings[0]
    return 0, ""


class Planter:
    """A process that plants bugs of one list, one after the other.

    Resource handling: a context manager; it ends the process.

    Args:
        file: the list of bugs.
    """

    def __init__(self, file: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "acquirer.simulation.planting", str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.communicate()

    def catch(self, name: str, first: int, most: int, payments: int) -> tuple[int, str]:
        """As :func:`seeds_until_caught`; where it fails, 0 and why."""
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answers is not None
        asked.write(f"{name}\t{first}\t{most}\t{payments}\n")
        asked.flush()
        took, _, finding = answers.readline().strip().partition("\t")
        return int(took or 0), finding


def serve(file: Path) -> None:
    """Answer a planter's questions, each in a fork."""
    for name in BUILT_ON:
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            answer = _answer(file, *line.split("\t"))
            sys.stdout.write(answer)
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(child, 0)


def _answer(file: Path, name: str, *numbers: str) -> str:
    first, most, payments = map(int, numbers)
    try:
        took, finding = seeds_until_caught(file, name, first, most, payments)
    except Exception as error:
        took, finding = 0, f"{type(error).__name__}: {error}"
    return f"{took}\t{' '.join(finding.split())}\n"


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
