"""What can go wrong in a format, sorted by who must act.

Every error of this folder derives from :class:`CodecError`. No message text holds card data:
texts name the field, the offset and what was expected, never the value found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class CodecError(ValueError):
    """Root of this folder's errors.

    Attributes:
        text: what is wrong, without the place.
        field: path of the field, such as ``"35"``, ``"t"`` (MTI), ``"p"`` (bitmap) or ``"59.ON"``.
        offset: byte offset in the message where decoding stopped, or -1 where it has none.
        partial: fields decoded before the failing one (as ``Message.fields``), with the MTI
            under key 0 where it was read; empty where nothing was.
        readable: every field that could be read although the message is refused, in the same
            form; empty where reading stopped at the failing one.
    """

    _places: ClassVar[dict[str, str]] = {
        "t": "MTI",
        "p": "bitmap",
        "1": "secondary bitmap",
        "h": "TPDU and header",
        "length": "length",
        "trailer": "trailer",
    }

    def __init__(
        self,
        text: str,
        *,
        field: str = "",
        offset: int = -1,
        partial: dict[int, str] | None = None,
    ) -> None:
        place = self._places.get(field, f"field {field}")
        where = f"{place}: " if field else ""
        at = f" (at byte {offset})" if offset >= 0 else ""
        super().__init__(f"{where}{text}{at}")
        self.text = text
        self.field = field
        self.offset = offset
        self.partial = partial or {}
        self.readable: dict[int, str] = {}


class RemoteFormatError(CodecError):
    """The peer sent bytes that are no message; the reply hint is DE39=30."""


class LocalFormatError(CodecError):
    """We tried to send what the dialect cannot hold: a bug or a wrong configuration."""


class FrameError(RemoteFormatError):
    """The byte stream cannot be cut into frames any more; the connection must be closed.

    Attributes:
        frames: whole frames that came with these bytes before the fault.
    """

    frames: Sequence[bytes] = ()


class DialectError(CodecError):
    """A dialect file is wrong; the operator must mend it."""

    _places: ClassVar[dict[str, str]] = {}
