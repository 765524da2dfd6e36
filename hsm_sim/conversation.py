"""One connection without its socket: received bytes in, reply bytes out.

A frame is a 2-byte big-endian length and as many bytes. All frames of one receive are cut, carried
out and answered in one go, in their order, so that pipelined requests cost one read and one write.
Source: docs/hsm.md, "Framing".
"""

from __future__ import annotations

from collections.abc import Callable

from acquirer.codecs.errors import FrameError

FRAME_BYTES_MAX = 32 * 1024

TextCall = Callable[[str], str]


class Conversation:
    """The requests of one connection and their replies.

    Holds at most one incomplete frame. After a :class:`FrameError` it is of no use any more.

    Attributes:
        frame_bytes_max: bytes of a request, its length apart.
        frames: requests answered.
    """

    __slots__ = ("_execute", "_rest", "frame_bytes_max", "frames")

    def __init__(self, execute: TextCall, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        """Args: ``execute`` answers one request, both Latin-1 text."""
        self._execute = execute
        self._rest = b""
        self.frame_bytes_max = frame_bytes_max
        self.frames = 0

    def feed(self, received: bytes) -> bytes:
        """Take received bytes, in any split, and give the replies of all requests now whole.

        Args:
            received: what came from the socket.

        Returns:
            Frames to send, an empty string where no request is whole.

        Raises:
            FrameError: a length is zero or beyond the limit. Requests before it in the same
                receive have been carried out, their replies are lost.
        """
        data = self._rest + received if self._rest else received
        execute, longest = self._execute, self.frame_bytes_max
        start, size = 0, len(data)
        whole = size >= 2 and size >= 2 + (data[0] << 8 | data[1])
        text = data.decode("latin-1") if whole else ""
        replies: list[str] = []
        while size - start >= 2:
            length = data[start] << 8 | data[start + 1]
            if not 0 < length <= longest:
                raise FrameError(f"a frame of {length} bytes; 1 to {longest} are allowed", offset=0)
            end = start + 2 + length
            if end > size:
                break
            reply = execute(text[start + 2 : end])
            replies.append(f"{chr(len(reply) >> 8)}{chr(len(reply) & 0xFF)}{reply}")
            start = end
        self._rest = data[start:]
        self.frames += len(replies)
        return "".join(replies).encode("latin-1")

    @property
    def pending_bytes(self) -> int:
        """Bytes of an incomplete frame that wait for their rest."""
        return len(self._rest)
