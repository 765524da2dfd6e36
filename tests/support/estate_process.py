"""``acquirer up`` and other commands as processes of their own, for tests that look at them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from limits import HANG_S, comes

PROGRAM = (sys.executable, "-m", "acquirer")
CARELESS = 0
"""The umask of a shell that lets everybody read all that is made in it."""
QUIET = {**os.environ, "ACQUIRER_LOG_LEVEL": "info"}


@contextmanager
def up(data: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """Start it on a data folder; yields process and ready line, ends it by SIGTERM."""
    with (data.parent / "up.log").open("ab") as log:
        process = subprocess.Popen(
            (*PROGRAM, "up", "--data", str(data), *options),
            stdout=subprocess.PIPE,
            stderr=log,
            env=QUIET,
            umask=CARELESS,
        )
        try:
            assert process.stdout is not None
            yield process, msgspec.json.decode(process.stdout.readline())
        finally:
            process.terminate()
            process.wait(HANG_S)


def acquirer(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end."""
    return subprocess.run((*PROGRAM, *arguments), capture_output=True, check=False, umask=CARELESS)


def terminal(data: Path, *arguments: str) -> dict[str, Any]:
    """One transaction of the demo estate's first terminal."""
    ran = acquirer("terminal", "--tid", "10000001", "--data", str(data), "--json", *arguments)
    assert ran.stdout, ran.stderr.decode()
    result: dict[str, Any] = msgspec.json.decode(ran.stdout)
    return result


def children(process: subprocess.Popen[bytes]) -> list[int]:
    """The process ids of a process's children."""
    threads = Path(f"/proc/{process.pid}/task").glob("*/children")
    return sorted(int(pid) for thread in threads for pid in thread.read_text().split())


def gone(pid: int) -> bool:
    """Whether a process comes to its end (or is only waiting to be buried)."""

    def ended() -> bool:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        return state == "Z"

    return comes(ended)


def logged(folder: Path, event: str) -> bool:
    """Whether something comes to stand in the log of what ``up`` runs."""
    return comes(lambda: event in (folder / "up.log").read_text())


def runs(process: subprocess.Popen[bytes], command: str) -> list[int]:
    """The process ids of the children that run a command."""
    found = []
    for pid in children(process):
        with suppress(FileNotFoundError, ProcessLookupError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            found += [pid] * (command.encode() in words)
    return found


def part(process: subprocess.Popen[bytes], command: str) -> int:
    """The process id of the child that runs a command."""
    (pid,) = runs(process, command)
    return pid


def sells(data: Path) -> bool:
    """Whether a sale comes to be approved."""
    sale = ("sale", "--amount", "1.00", "--card", "bob")
    return comes(lambda: terminal(data, *sale)["outcome"] == "approved")
