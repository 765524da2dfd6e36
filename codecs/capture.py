"""Finds the message in bytes that somebody captured: bare, with TPDU and header, with a length.

For people and tools that look at traffic. A server knows its framing and never guesses.
Source: docs/interfaces/terminal.md, part 1; docs/interfaces/bank-link.md, "Framing and dialects".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from acquirer.codecs.dialect import Dialect
from acquirer.codecs.errors import CodecError, FrameError, RemoteFormatError
from acquirer.codecs.loose_reading import Reading
from acquirer.codecs.message import Message

_CLASSES = tuple("12345678")


@dataclass(frozen=True, slots=True)
class Capture:
    """What was found in captured bytes.

    Attributes:
        length: what the length prefix says, or ``None`` where there is none.
        prefix: the length prefix's bytes, empty where there is none.
        envelope: TPDU and header, empty where there are none.
        raw: the message, MTI to last field.
        message: decoded, or ``None``.
        trailer: the bytes behind the message, empty where there are none.
        error: why it did not decode, or what is wrong with its framing.
        reading: of a message that did not decode, what could be read of it.
    """

    length: int | None
    prefix: bytes
    envelope: bytes
    raw: bytes
    message: Message | None = None
    error: CodecError | None = None
    reading: Reading | None = None
    trailer: bytes = b""

    @property
    def framing(self) -> str:
        """``bare message``, or what stands before it, such as ``length, TPDU, header``."""
        found = ["length"] if self.prefix else []
        if len(self.envelope) == 11:
            found += ["TPDU", "header"]
        elif self.envelope:
            found.append("header")
        return ", ".join(found) or "bare message"


def open_capture(data: bytes, dialect: Dialect) -> Capture:
    """Find and decode the message; never raises on bad bytes.

    Every framing that the dialect has is tried; the first under which the message decodes is
    taken, else the one whose framing fits best and which starts with an MTI, with its error.

    Args:
        data: one message, with or without the dialect's length prefix and envelope.
        dialect: how to read it.
    """
    whole = _candidates(data, dialect)
    cut = [_without_trailer(found, dialect.trailer) for found in whole]
    candidates = [found for found in cut if found] + whole
    for found in candidates:
        try:
            message = dialect.decode(found.raw)
        except CodecError:
            continue
        return replace(found, message=message, error=_length_error(found))
    best = next((one for one in candidates if _has_mti(one.raw, dialect)), candidates[0])
    try:
        return replace(best, message=dialect.decode(best.raw))
    except CodecError as error:
        reading = dialect.read_loosely(best.raw)
        return replace(best, error=_length_error(best) or error, reading=reading)


def _candidates(data: bytes, dialect: Dialect) -> list[Capture]:
    """All readings of the framing, the most telling first."""
    size = dialect.length_header.size
    prefix, body = data[:size], data[size:]
    try:
        length: int | None = dialect.length_header.decode(prefix) if body else None
    except FrameError:
        length = None
    wrapped, bare = _envelope(data, dialect), Capture(None, b"", b"", data)
    inner = _envelope(body, dialect)
    found: list[Capture] = []
    if length == len(body):
        if inner:
            found.append(Capture(length, prefix, *inner))
        found.append(Capture(length, prefix, b"", body))
    if wrapped:
        found.append(Capture(None, b"", *wrapped))
    if inner and length is not None and length != len(body):
        found.append(Capture(length, prefix, *inner))
    found.append(bare)
    if length is not None and length != len(body) and _has_mti(body, dialect):
        found.append(Capture(length, prefix, b"", body))
    return found


def _without_trailer(found: Capture, trailer: bytes) -> Capture | None:
    if not trailer or not found.raw.endswith(trailer):
        return None
    return replace(found, raw=found.raw[: -len(trailer)], trailer=trailer)


def _has_mti(raw: bytes, dialect: Dialect) -> bool:
    mti = dialect.read_loosely(raw).mti
    return mti[:1] in ("0", "1", "2") and mti[1:2] in _CLASSES


def _envelope(data: bytes, dialect: Dialect) -> tuple[bytes, bytes] | None:
    size = len(dialect.envelope)
    if not size or len(data) <= size:
        return None
    if dialect.has_tpdu:
        fits = data[0] == 0x60 and data[:5].hex().isdigit()
    else:
        fits = data[:size] == dialect.envelope
    return (data[:size], data[size:]) if fits else None


def _length_error(found: Capture) -> CodecError | None:
    follow = len(found.envelope) + len(found.raw) + len(found.trailer)
    if found.length is None or found.length == follow:
        return None
    text = f"the length says {found.length} bytes, {follow} follow"
    return RemoteFormatError(text, field="length", offset=0)
