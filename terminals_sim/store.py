"""Where a terminal's state lies: a JSON file, or memory for load runs.

The file is replaced whole, by a synced temporary file and a rename, so that a power cut leaves
the old state or the new one. A lock beside it keeps a second terminal program out. It holds no
card number, track, PIN or clear key; it is readable by its owner only.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Protocol

import msgspec
import trio

from acquirer.terminals_sim.errors import StateFileError
from acquirer.terminals_sim.state import TerminalState


class Store(Protocol):
    """Keeps one terminal's state."""

    async def save(self, state: TerminalState) -> None:
        """Make the state durable; returns only then."""


class MemoryStore:
    """Keeps the state as long as the process lives; for load runs and tests."""

    def __init__(self) -> None:
        self.saved: TerminalState | None = None

    async def save(self, state: TerminalState) -> None:
        """Remember the state."""
        self.saved = state


class FileStore:
    """Keeps the state in one JSON file.

    Resource handling: the constructor takes the lock, :meth:`close` gives it back; use it in a
    ``with`` block.

    Args:
        path: the file; its folder is made where it is missing.

    Raises:
        StateFileError: the folder cannot be made, or another program holds the lock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(
                path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600
            )
        except OSError as error:
            raise StateFileError(f"{path}: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise StateFileError(f"{path}: another terminal program uses this state") from None

    def load(self) -> TerminalState | None:
        """The saved state, or None where there is no file yet.

        Raises:
            StateFileError: the file cannot be read, or is no terminal state.
        """
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=TerminalState)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateFileError(f"{self.path}: {error.strerror}") from None
        except msgspec.MsgspecError as error:
            raise StateFileError(f"{self.path}: no terminal state: {error}") from None

    async def save(self, state: TerminalState) -> None:
        """Replace the file; returns when the new one is on the disk.

        Raises:
            StateFileError: it cannot be written.
        """
        await trio.to_thread.run_sync(self.write, state)

    def write(self, state: TerminalState) -> None:
        """As :meth:`save`, without an event loop."""
        text = msgspec.json.format(msgspec.json.encode(state), indent=1)
        temporary = self.path.with_name(f".{self.path.name}.new")
        try:
            with open(temporary, "wb", opener=_private) as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise StateFileError(f"{self.path}: {error.strerror}") from None

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._lock)

    def __enter__(self) -> FileStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
