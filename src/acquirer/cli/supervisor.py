"""One child process of ``acquirer up``: started with its file, watched, started again, stopped.

What keeps a child from starting the first time ends ``up``, for then the configuration is wrong.
Later nothing does: a child that ends is started again, at once and then after longer and longer
pauses, with one line of the log each time; why a child ended by itself it says on stderr.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import structlog
import trio

from acquirer.config.children import PARENT_PIPE, program
from acquirer.config.loading import ConfigError
from acquirer.simulation.provision import write_config

log = structlog.get_logger("acquirer.up")

READY_S = 120.0
STOP_S = 25.0
PAUSE_FIRST_S = 1.0
PAUSE_CAP_S = 30.0
SETTLED_S = 60.0
"""A child that was ready for so long is started again at once when it ends."""


class Part:
    """One child process.

    Args:
        name: the command that it runs; for the log.
        path: of its configuration file.
        document: what is written there before each start.
        arguments: of the command line.
        parent_pipe: a descriptor at whose end the child ends.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        document: dict[str, Any],
        arguments: tuple[str, ...],
        parent_pipe: int,
    ) -> None:
        self._name = name
        self._path = path
        self._document = document
        self._arguments = arguments
        self._parent_pipe = parent_pipe
        self._process: trio.Process | None = None

    async def run(self, *, task_status: trio.TaskStatus[dict[str, str]]) -> None:
        """Keep the process running until cancelled; reports its addresses when it is ready first.

        Resource handling: a process that runs when this is cancelled goes on; see :meth:`stop`.

        Raises:
            ConfigError: it did not start the first time; the text names it.
            OSError: likewise.
        """
        addresses = await self._start()
        self._keep(addresses)
        task_status.started(addresses)
        pause_s = 0.0
        while True:
            ready_at = trio.current_time()
            assert self._process is not None
            reason = _words(await self._process.wait())
            if trio.current_time() - ready_at >= SETTLED_S:
                pause_s = 0.0
            while reason:
                log.error("part_died", part=self._name, reason=reason, again_in_s=pause_s)
                await trio.sleep(pause_s)
                pause_s = min(max(pause_s * 2, PAUSE_FIRST_S), PAUSE_CAP_S)
                reason = await self._start_again()
            log.info("part_restarted", part=self._name)

    async def _start_again(self) -> str:
        """Start once more; what kept it from getting ready, or nothing."""
        try:
            await self._start()
        except (ConfigError, OSError, msgspec.MsgspecError) as error:
            return str(error)
        return ""

    async def _start(self) -> dict[str, str]:
        write_config(self._path, self._document)
        self._process = process = await trio.lowlevel.open_process(
            program(*self._arguments),
            stdout=subprocess.PIPE,
            env={**os.environ, PARENT_PIPE: str(self._parent_pipe)},
            pass_fds=(self._parent_pipe,),
            start_new_session=True,
        )
        with trio.move_on_after(READY_S):
            line = await _first_line(process)
            if line:
                document = msgspec.json.decode(line, type=dict[str, Any])
                return {k: str(v) for k, v in document.items() if k != "ready"}
            words = _words(await process.wait())
            raise ConfigError(self._path, "", f"{self._name} {words} before it was ready")
        process.kill()
        await process.wait()
        raise ConfigError(self._path, "", f"{self._name} was not ready within {READY_S:g} s")

    def _keep(self, addresses: dict[str, str]) -> None:
        """What holds for later starts: it listens where the others know it, and has books."""
        if "database" in self._document:
            self._document["database"]["create"] = False
        listen = self._document.get("listen")
        if isinstance(listen, dict):
            self._document["listen"] = {key: addresses[key] for key in listen}
        elif listen is not None:
            self._document["listen"] = next(iter(addresses.values()))
            if "iso" in self._document:
                self._document["iso"]["listen"] = addresses["order_host"]
        else:
            self._document["hsm"]["listen"][0] = addresses["hsm"]

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL where that does not help in time; :meth:`run` must have ended."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        with trio.move_on_after(STOP_S):
            await process.wait()
            return
        log.error("killed", part=self._name)
        process.kill()
        await process.wait()


def _words(code: int) -> str:
    """How a process ended.

    >>> _words(-9), _words(2)
    ('was killed by signal 9', 'ended with exit code 2')
    """
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


async def _first_line(process: trio.Process) -> bytes:
    """What a process says when it is ready; empty where it ends before."""
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        data = await process.stdout.receive_some(4096)
        if not data:
            return b""
        line += data
    return line
