"""Fields that hold fields: with a bitmap of their own, one behind the other, or with tags.

The field's value stays one value; its parts are cut out and put together on demand. Parts with a
bitmap and parts by position are read as a small message of their own, so whatever a dialect file
can say of a field it can say of a part. ``docs/dialects.md`` has the keys.
Source: ISO 8583:1987, 4.4.5 (private fields); docs/dialects.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from acquirer.codecs import bertlv
from acquirer.codecs.errors import CodecError, LocalFormatError, RemoteFormatError
from acquirer.codecs.masking import mask_objects
from acquirer.codecs.message import Message

_HEAD = b"0800"


@dataclass(frozen=True, slots=True)
class PartsFormat:
    """``[fields.N.parts]``: what a field is made of.

    Attributes:
        kind: ``bitmap`` (a bitmap says which parts follow), ``positional`` (all in order, the last
            may be absent), ``tagged`` (tag, length, value), ``ber`` (BER-TLV).
        bitmap: how a bitmap is written.
        fields: number → keys of a field, as in ``[fields]``; by position they count from 1.
        tag: characters of a tag; ``prefix`` digits of the length behind it, in text.
        length_first: whether the length stands before the tag and counts it.
        names: tag → name.
        binary: tags whose values are bytes, written in hexadecimal.
        shown: whether parts of a field that is masked may be shown.
    """

    kind: Literal["bitmap", "positional", "tagged", "ber"]
    bitmap: Literal["binary", "hex"] = "binary"
    fields: dict[str, dict[str, Any]] = field(default_factory=dict)
    tag: int = 2
    prefix: int = 3
    length_first: bool = False
    names: dict[str, str] = field(default_factory=dict)
    binary: tuple[str, ...] = ()
    shown: bool = False


class Coder(Protocol):
    """What reads and writes the parts as a message: a dialect."""

    names: dict[int, str]

    def decode(self, raw: bytes) -> Message:
        """A message."""
        ...

    def encode(self, message: Message) -> bytes:
        """Its bytes."""
        ...


def inner_source(entry: PartsFormat, defaults: Mapping[str, Any], *, as_text: bool) -> Any:
    """The dialect document of parts with a bitmap or by position.

    Args:
        defaults: of the outer file.
        as_text: whether the field's value is digits or text, whatever their bytes are outside.

    Raises:
        ValueError: numbers that no part can have.
    """
    shift = 0 if entry.kind == "bitmap" else 1
    if not all(key.isascii() and key.isdigit() for key in entry.fields):
        raise ValueError("parts: fields have numbers")
    numbers = sorted(map(int, entry.fields))
    if shift and numbers != list(range(1, min(len(numbers), 63) + 1)):
        raise ValueError("parts: positions count from 1, 63 at most")
    own = {"numeric": "ascii", "prefix_encoding": "ascii"} if as_text else {}
    return {
        "bitmap": entry.bitmap,
        "defaults": {**defaults, **own},
        "fields": {str(int(key) + shift): value for key, value in entry.fields.items()},
    }


class FieldParts:
    """Cuts one field into its parts and puts it together again.

    Args:
        number: of the field, for error paths.
        entry: what it is made of.
        codec: of its text and tags.
        coder: of parts with a bitmap or by position.
        as_text: whether the field's value is text, and not bytes in hexadecimal.
    """

    def __init__(
        self,
        number: int,
        entry: PartsFormat,
        codec: str,
        coder: Coder | None,
        *,
        as_text: bool,
    ) -> None:
        self._path = str(number)
        self._entry = entry
        self._codec = codec
        self._coder = coder
        self._as_text = as_text
        self.shown = entry.shown

    def name(self, key: str) -> str:
        """A part's name, empty where it has none."""
        if self._coder is None:
            return bertlv.TAG_NAMES.get(key, "") if self._entry.kind == "ber" else self._named(key)
        return self._coder.names.get(int(key) + self._shift, "")

    def split(self, value: str) -> dict[str, str]:
        """The parts by number or tag, in their order.

        Args:
            value: the field's, as in ``Message.fields``.

        Raises:
            RemoteFormatError: the value does not have the shape that the file says; the path names
                the part.
        """
        return self._split(self._body(value))

    def shown_parts(self, value: str) -> dict[str, str]:
        """As :meth:`split`, with card data in BER-TLV objects hidden."""
        if self._entry.kind != "ber":
            return self.split(value)
        return {tag: text for _, tag, text in mask_objects(self._body(value))}

    def join(self, parts: Mapping[str, str]) -> str:
        """The reverse of :meth:`split`.

        Raises:
            LocalFormatError: a part that the field does not have, or that does not fit.
        """
        body = self._join(parts)
        return body.decode(self._codec) if self._as_text else body.hex().upper()

    def _body(self, value: str) -> bytes:
        return value.encode(self._codec) if self._as_text else bytes.fromhex(value)

    def _split(self, body: bytes) -> dict[str, str]:
        if self._entry.kind == "ber":
            return {item.tag: item.value.hex().upper() for item in bertlv.parse(body)}
        if self._coder is None:
            return self._items(body)
        fields = self._message(self._coder, body).fields
        return {str(number - self._shift): value for number, value in fields.items()}

    def _join(self, parts: Mapping[str, str]) -> bytes:
        try:
            if self._entry.kind == "ber":
                return bertlv.build([(tag, bytes.fromhex(value)) for tag, value in parts.items()])
            if self._coder is None:
                return b"".join(self._item(tag, value) for tag, value in parts.items())
            fields = {int(key) + self._shift: value for key, value in sorted(parts.items())}
            fields = dict(sorted(fields.items()))
            if self._shift and list(fields) != list(range(2, len(fields) + 2)):
                raise LocalFormatError("a part stands after an absent one", field=self._path)
            raw = self._coder.encode(Message(_HEAD.decode("ascii"), fields))
        except CodecError as error:
            raise LocalFormatError(error.text, field=self._inner(error.field)) from None
        except ValueError as error:
            raise LocalFormatError(str(error), field=self._path) from None
        return raw[len(_HEAD) + (8 if self._shift else 0) :]

    @property
    def _shift(self) -> int:
        return 0 if self._entry.kind == "bitmap" else 1

    def _named(self, tag: str) -> str:
        return self._entry.names.get(tag, "")

    def _message(self, coder: Coder, body: bytes) -> Message:
        """The parts as a message; by position with as many as there are bytes for."""
        count = len(self._entry.fields)
        while True:
            bits = ((1 << count) - 1) << (63 - count) if self._shift else 0
            bitmap = bits.to_bytes(8, "big") if self._shift else b""
            try:
                return coder.decode(_HEAD + bitmap + body)
            except RemoteFormatError as error:
                head = len(_HEAD) + len(bitmap)
                if self._shift and count and error.offset == head + len(body):
                    count -= 1
                    continue
                path = self._inner(error.field)
                at = max(error.offset - head, 0)
                raise RemoteFormatError(error.text, field=path, offset=at) from None

    def _inner(self, key: str) -> str:
        if key.isdigit() and self._coder is not None:
            key = str(int(key) - self._shift)
        return f"{self._path}.{key}" if key else self._path

    def _items(self, body: bytes) -> dict[str, str]:
        entry, at, found = self._entry, 0, dict[str, str]()
        while at < len(body):
            text = body[at : at + entry.tag + entry.prefix].decode(self._codec, "replace")
            cut = entry.prefix if entry.length_first else entry.tag
            first, second = text[:cut], text[cut:]
            tag, digits = (second, first) if entry.length_first else (first, second)
            path = f"{self._path}.{tag}"
            if not (digits.isascii() and digits.isdigit() and len(digits) == entry.prefix):
                raise RemoteFormatError("the length is no digits", field=path, offset=at)
            at += entry.tag + entry.prefix
            size = int(digits) - (entry.tag if entry.length_first else 0)
            value = body[at : at + max(size, 0)]
            if len(value) != size or tag in found:
                fault = f"{size} bytes are needed, {len(value)} follow"
                fault = "stands twice" if tag in found else fault
                raise RemoteFormatError(fault, field=path, offset=at)
            found[tag] = self._text(tag, value, at)
            at += size
        return found

    def _text(self, tag: str, value: bytes, at: int) -> str:
        if tag in self._entry.binary:
            return value.hex().upper()
        try:
            return value.decode(self._codec)
        except UnicodeDecodeError:
            path = f"{self._path}.{tag}"
            raise RemoteFormatError(f"no text in {self._codec}", field=path, offset=at) from None

    def _item(self, tag: str, value: str) -> bytes:
        entry = self._entry
        body = bytes.fromhex(value) if tag in entry.binary else value.encode(self._codec)
        size = len(body) + (entry.tag if entry.length_first else 0)
        digits = f"{size:0{entry.prefix}d}"
        if len(tag) != entry.tag or len(digits) != entry.prefix:
            raise LocalFormatError("the tag or the length does not fit", field=tag)
        head = digits + tag if entry.length_first else tag + digits
        return head.encode(self._codec) + body
