"""``acquirer up`` and other commands as processes of their own, for tests that look at them."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

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
            process.wait(60)


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


def gone(pid: int, within_s: float = 10.0) -> bool:
    """Whether a process has ended (or is only waiting to be buried)."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
    return False


def logged(folder: Path, event: str, within_s: float = 10.0) -> bool:
    """Whether something comes to stand in the log of what ``up`` runs."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if event in (folder / "up.log").read_text():
            return True
    return False
