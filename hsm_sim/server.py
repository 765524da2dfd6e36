"""The TCP shell of the security module: frames in, frames out.

A frame is a 2-byte big-endian length and as many bytes. Requests of a connection are answered in
their order, pipelined ones in one write. The module itself is synchronous and quick, so it runs on
the trio thread. Places are few: who sends no command loses his to the next one
(``config/admission.py``). Source: docs/hsm.md, "Framing".
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
import trio

from acquirer.codecs.errors import FrameError
from acquirer.config.admission import Admission, Turned
from acquirer.config.log_limit import LogLimit
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
        max_connections: how many at once. Where there are as many, a newcomer takes the place of
            one that has sent no command, or else of one that was silent for
            ``first_command_s``; where there is none such, he is closed at once.
        first_command_s: a connection that has not sent a command that the module knows for so long
            is closed.
        idle_timeout_s: a connection that neither sends nor takes anything for so long is closed,
            a 64th of that later at the most.
    """

    frame_bytes_max: int = FRAME_BYTES_MAX
    max_connections: int = 64
    first_command_s: float = 30.0
    idle_timeout_s: float = 600.0

    def __post_init__(self) -> None:
        if not 1 <= self.frame_bytes_max <= 0xFFFF:
            raise HsmConfigError("frame_bytes_max is 1 to 65535")
        if self.max_connections < 1 or self.first_command_s <= 0 or self.idle_timeout_s <= 0:
            raise HsmConfigError("max_connections, first_command_s, idle_timeout_s: more than 0")


class HsmServer:
    """Serves a :class:`SecurityModule` on trio streams.

    Attributes:
        connections: connections open now.
        refused_connections: connections closed because there were too many, newcomers or not.
        broken_frames: connections closed because of a frame that cannot be.
    """

    def __init__(self, module: SecurityModule, limits: ServerLimits | None = None) -> None:
        self._module = module
        self._limits = limits or ServerLimits()
        places = self._limits.max_connections
        self._admission: Admission[trio.CancelScope] = Admission(
            places, places, self._limits.first_command_s
        )
        self._log_limit = LogLimit()
        self.refused_connections = 0
        self.broken_frames = 0

    @property
    def connections(self) -> int:
        """Connections that have a place now."""
        return len(self._admission)

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
        connection = trio.CancelScope()
        async with stream:
            admitted = self._admission.enter(connection, "", trio.current_time())
            if isinstance(admitted, Turned):
                self._refused()
                return
            if admitted.gives_way is not None:
                self._refused()
                admitted.gives_way.cancel()
            try:
                with connection:
                    await self._answer(stream, connection)
            except FrameError as error:
                self.broken_frames += 1
                self._tell("hsm_frame_refused", reason=str(error))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                log.debug("hsm_connection_ended")
            finally:
                self._admission.leave(connection)

    async def _answer(self, stream: trio.abc.Stream, connection: trio.CancelScope) -> None:
        talk = Conversation(self._module.execute_text, self._limits.frame_bytes_max)
        idle_s = self._limits.idle_timeout_s
        connection.deadline = trio.current_time() + min(self._limits.first_command_s, idle_s)
        renew_at = math.inf
        while received := await stream.receive_some(_RECEIVE_BYTES_MAX):
            known = talk.frames - self._module.unknown_count
            replies = talk.feed(bytes(received))
            now = trio.current_time()
            if talk.frames - self._module.unknown_count > known:
                self._admission.prove(connection, now)
                renew_at = now if renew_at == math.inf else renew_at
            if now >= renew_at:
                renew_at = now + idle_s / _DEADLINE_MOVES
                connection.deadline = renew_at + idle_s
            if replies:
                await stream.send_all(replies)

    def _refused(self) -> None:
        self.refused_connections += 1
        self._tell("hsm_connection_refused", connections=self.connections)

    def _tell(self, event: str, **facts: object) -> None:
        """Write a line that a stranger can cause, but not more than a few a second."""
        left_out = self._log_limit.take(trio.current_time())
        if left_out is not None:
            log.warning(event, **facts, left_out=left_out)

    def __repr__(self) -> str:
        return f"<HsmServer with {self.connections} connections>"
