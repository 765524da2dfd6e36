"""A program of the product as a child process: started, ended in any way, started again."""

from __future__ import annotations

import os
import signal
import subprocess

import msgspec
import trio
from limits import HANG_S

from acquirer.config.children import PARENT_PIPE, program


class Program:
    """One at a time, with the same arguments each time; it ends with this process.

    Args:
        arguments: of ``acquirer``.
    """

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._process: trio.Process | None = None

    async def start(self) -> dict[str, str]:
        """Start it and give its ready line."""
        read_end, self._ours = os.pipe()
        try:
            self._process = await trio.lowlevel.open_process(
                list(program(*self._arguments)),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "ACQUIRER_LOG_LEVEL": "error", PARENT_PIPE: str(read_end)},
                pass_fds=(read_end,),
            )
        finally:
            os.close(read_end)
        assert self._process.stdout is not None
        line = b""
        with trio.fail_after(HANG_S):
            while not line.endswith(b"\n"):
                data = await self._process.stdout.receive_some(4096)
                assert data, f"{self._arguments} did not start"
                line += data
        ready: dict[str, str] = msgspec.json.decode(line)
        return ready

    def send(self, how: signal.Signals) -> None:
        """Send a signal if it runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(how)

    async def wait(self) -> None:
        """Wait for its end."""
        if self._process is not None:
            await self._process.wait()
            os.close(self._ours)
            self._process = None

    async def end(self, how: signal.Signals) -> None:
        """Send a signal and wait for the end."""
        self.send(how)
        await self.wait()
