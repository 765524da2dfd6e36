"""The TCP shell of the security module: frames in, frames out.

A frame is a 2-byte big-endian length and as many bytes. Requests of a connection are answered in
their order, pipelined ones in one write. The module itself is synchronous and quick, so it runs on
the trio thread. Source: hsm-interface, "Framing".
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
import trio

from acquirer.codecs.errors import FrameError
from acquirer.hsm_sim.conversation import FRAME_BYTES_MAX, Conversation
from acquirer.hsm_sim.errors import HsmConfigError
from acquirer.hsm_sim.module import SecurityModule

log = structlog.get_logger("acquirer.hsm_sim")

_RECEIVE_BYTES_MAX = 64 * 1024
_DEADLINE_MOVES = 64
"""How often a busy connection's deadline moves in one idle time: moving it costs a heap's entry."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What one server gives at most.

    Attributes:
        frame_bytes_max: bytes of a request, length header apart.
        max_connections: connections beyond it are closed at once.
        idle_timeout_s: a connection that neither sends nor takes anything for so long is closed,
            a 64th of that later at the most.
    """

    frame_bytes_max: int = FRAME_BYTES_MAX
    max_connections: int = 64
    idle_timeout_s: float = 600.0

    def __post_init__(self) -> None:
        if not 1 <= self.frame_bytes_max <= 0xFFFF:
            raise HsmConfigError("frame_bytes_max is 1 to 65535")
        if self.max_connections < 1 or self.idle_timeout_s <= 0:
            raise HsmConfigError("max_connections and idle_timeout_s are more than 0")


class HsmServer:
    """Serves a :class:`SecurityModule` on trio streams.

    Attributes:
        connections: connections open now.
        refused_connections: connections closed because there were too many.
        broken_frames: connections closed because of a frame that cannot be.
    """

    def __init__(self, module: SecurityModule, limits: ServerLimits | None = None) -> None:
        self._module = module
        self._limits = limits or ServerLimits()
        self.connections = 0
        self.refused_connections = 0
        self.broken_frames = 0

    async def serve(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen until cancelled.

        Args:
            port: TCP port; 0 lets the system choose.
            host: address to bind.
            task_status: is started with the listeners once they listen.

        Resource handling: closes its listeners and connections when cancelled.

        Raises:
            OSError: the address cannot be bound.
        """
        await self.serve_listeners(
            await trio.open_tcp_listeners(port, host=host), task_status=task_status
        )

    async def serve_listeners(
        self,
        listeners: list[trio.SocketListener],
        *,
        tls: ssl.SSLContext | None = None,
        task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve on listeners that are open already, until cancelled.

        Args:
            listeners: closed when cancelled.
            tls: every connection begins with a handshake; None serves plain TCP.
            task_status: is started with the same listeners.
        """
        serve: Callable[..., Awaitable[None]] = trio.serve_listeners
        chosen: Sequence[trio.abc.Listener[trio.abc.Stream]] = listeners
        if tls is not None:
            chosen = [trio.SSLListener(one, tls, https_compatible=True) for one in listeners]
        await serve(self.handle, chosen, task_status=task_status)

    async def handle(self, stream: trio.abc.Stream) -> None:
        """Answer one connection until its end, then close it.

        Error handling: frames that cannot be, idle peers, failed handshakes and broken
        connections end this connection only.
        """
        async with stream:
            if self.connections >= self._limits.max_connections:
                self.refused_connections += 1
                log.warning("hsm_connection_refused", connections=self.connections)
                return
            self.connections += 1
            try:
                await self._answer(stream)
            except FrameError as error:
                self.broken_frames += 1
                log.info("hsm_frame_refused", reason=str(error))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                log.debug("hsm_connection_ended")
            finally:
                self.connections -= 1

    async def _answer(self, stream: trio.abc.Stream) -> None:
        talk = Conversation(self._module.execute_text, self._limits.frame_bytes_max)
        idle_s = self._limits.idle_timeout_s
        slack_s = idle_s / _DEADLINE_MOVES
        renew_at = -math.inf
        with trio.CancelScope() as idle:
            while True:
                now = trio.current_time()
                if now >= renew_at:
                    renew_at = now + slack_s
                    idle.deadline = renew_at + idle_s
                received = await stream.receive_some(_RECEIVE_BYTES_MAX)
                if not received:
                    return
                replies = talk.feed(bytes(received))
                if replies:
                    await stream.send_all(replies)
        log.debug("hsm_connection_idle")

    def __repr__(self) -> str:
        return f"<HsmServer with {self.connections} connections>"
