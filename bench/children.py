"""Helper processes of a measurement."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from acquirer.config.children import PARENT_PIPE


def print_ready(**addresses: str) -> None:
    """Say on standard output where a helper listens, as :func:`child` reads it."""
    print(msgspec.json.encode(addresses).decode(), flush=True)


@dataclass(frozen=True, slots=True)
class Helper:
    """A process that is ready: its number, and where it listens by name."""

    process: int
    addresses: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.addresses[name]


@contextmanager
def child(
    *arguments: str, quiet: bool = False, interpreter: str = sys.executable
) -> Iterator[Helper]:
    """A helper process that dies with this one; yields it when its ready line is there.

    Args:
        arguments: of the Python interpreter.
        quiet: whether its log is thrown away.
        interpreter: another checkout's, for a helper that is of that checkout.
    """
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        (interpreter, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else None,
        env={**os.environ, PARENT_PIPE: str(read_end)},
        pass_fds=(read_end,),
    )
    os.close(read_end)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(arguments)} did not start")
        yield Helper(process.pid, msgspec.json.decode(line))
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(write_end)
