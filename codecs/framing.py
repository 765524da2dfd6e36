"""Cutting a byte stream into frames by a length header. Sans-IO.

Covers every header of the terminal and bank interfaces: 2 or 4 bytes binary (big-endian), 2 or
4 ASCII digits, 2 bytes BCD, each counting itself or not.
Source: ``docs`` of the interfaces; ISO 8583 itself leaves framing to the carrier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from acquirer.codecs.errors import DialectError, FrameError, LocalFormatError


@dataclass(frozen=True, slots=True)
class LengthHeader:
    """The shape of a length header.

    Attributes:
        encoding: ``binary`` (big-endian), ``ascii`` (digits) or ``bcd``.
        size: bytes that the header takes.
        inclusive: whether the length counts the header itself.
    """

    encoding: Literal["binary", "ascii", "bcd"] = "binary"
    size: int = 2
    inclusive: bool = False

    def encode(self, body: bytes) -> bytes:
        """Header and body as one byte string.

        Raises:
            LocalFormatError: the body is longer than the header can say.
        """
        length = len(body) + (self.size if self.inclusive else 0)
        if length > self.length_max:
            raise LocalFormatError(f"{length} bytes do not fit this length header")
        if self.encoding == "binary":
            return length.to_bytes(self.size, "big") + body
        if self.encoding == "ascii":
            return f"{length:0{self.size}d}".encode("ascii") + body
        return bytes.fromhex(f"{length:0{self.size * 2}d}") + body

    def decode(self, header: bytes) -> int:
        """The body's length in bytes.

        Raises:
            FrameError: the header holds no length, or one that is shorter than itself.
        """
        if self.encoding == "binary":
            length = int.from_bytes(header, "big")
        else:
            digits = header.hex() if self.encoding == "bcd" else header.decode("latin-1")
            if not (digits.isascii() and digits.isdigit()):
                raise FrameError("the length header holds no digits", offset=0)
            length = int(digits)
        length -= self.size if self.inclusive else 0
        if length < 0:
            raise FrameError("the length is shorter than its own header", offset=0)
        return length

    @property
    def length_max(self) -> int:
        """The largest number that the header can hold."""
        if self.encoding == "binary":
            return int(256**self.size - 1)
        return int(10 ** (self.size if self.encoding == "ascii" else self.size * 2) - 1)

    @classmethod
    def parse(cls, text: str) -> LengthHeader:
        """Read the short form of configuration files.

        Args:
            text: ``<encoding><size>`` with an optional ``+`` where the length counts itself:
                ``binary2``, ``binary4``, ``ascii4``, ``ascii2+``, ``bcd2``.
        """
        shape = text.removesuffix("+")
        encoding, size = shape[:-1], shape[-1:]
        if encoding not in ("binary", "ascii", "bcd") or size not in ("2", "4"):
            raise DialectError(
                f"no such length header: {text!r}; use binary2, binary4, ascii2, ascii4 or bcd2, "
                "with + where the length counts itself"
            )
        return cls(encoding, int(size), text.endswith("+"))  # type: ignore[arg-type]


# More than this is no message that somebody made too long, but a stream that is out of step.
SKIPPED_BYTES_MAX = 65_535


class FrameDecoder:
    """Turns received bytes, in any split, into whole frames.

    Holds at most one incomplete frame: header plus ``frame_bytes_max`` bytes.

    Args:
        header: the shape of the length header.
        frame_bytes_max: the longest body that is taken.
        tolerant: give an empty frame for one that is empty or too long, and go on behind it,
            for links that must outlive a malformed message; else such a frame is an error.
    """

    __slots__ = ("_buffer", "_header", "_skip", "_tolerant", "frame_bytes_max")

    def __init__(
        self, header: LengthHeader, frame_bytes_max: int, *, tolerant: bool = False
    ) -> None:
        self._header = header
        self._buffer = bytearray()
        self._tolerant = tolerant
        self._skip = 0
        self.frame_bytes_max = frame_bytes_max

    def feed(self, data: bytes) -> list[bytes]:
        """Take received bytes and give the bodies of all frames that are now whole.

        Raises:
            FrameError: a header is no length, is zero, or claims more than the limit. The stream
                cannot be followed any more; the frames before stand in the error.
        """
        buffer = self._buffer
        buffer += data
        if self._skip:
            skipped = min(self._skip, len(buffer))
            del buffer[:skipped]
            self._skip -= skipped
        size = self._header.size
        frames: list[bytes] = []
        start = 0
        try:
            while len(buffer) - start >= size:
                length = self._header.decode(bytes(buffer[start : start + size]))
                if length == 0 or length > self.frame_bytes_max:
                    if self._tolerant and length <= SKIPPED_BYTES_MAX:
                        frames.append(b"")
                        left = len(buffer) - start - size
                        start += size + min(length, left)
                        self._skip = max(length - left, 0)
                        continue
                    raise FrameError(
                        f"a frame of {length} bytes; 1 to {self.frame_bytes_max} are allowed",
                        offset=0,
                    )
                end = start + size + length
                if len(buffer) < end:
                    break
                frames.append(bytes(buffer[start + size : end]))
                start = end
        except FrameError as error:
            error.frames = frames
            raise
        del buffer[:start]
        return frames

    @property
    def pending_bytes(self) -> int:
        """Bytes of an incomplete frame that wait for their rest."""
        return len(self._buffer)
