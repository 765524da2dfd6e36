"""DE59: tagged items, the order data of the terminal interface.

Layout of each item: tag 2 characters, length 3 digits (bytes), value. Text is in the terminal
profile's encoding, GB18030 unless told otherwise. Start at :meth:`De59.parse` and
:meth:`De59.build`. Source: docs/interfaces/terminal.md, parts 2 and 5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from acquirer.codecs.errors import DialectError, LocalFormatError, RemoteFormatError

BYTES_MAX = 600
ITEMS_MAX = 60
_HEAD = 5
_TAG = re.compile(r"[A-Za-z0-9]{2}")
# No control, line or bidi character: what people read must be what programs compare.
_LINE = r"[^\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
_ORDER_TAGS = ("ON", *(f"N{place}" for place in range(2, 10)))
_SHAPES = {
    tag: (re.compile(pattern), text)
    for tag, pattern, text in (
        *((tag, _LINE + "{1,40}", "an order number is 1 to 40 characters") for tag in _ORDER_TAGS),
        ("OC", _LINE + "{1,20}", "a courier id is 1 to 20 characters"),
        ("OS", "[0-9]{2}", "an order status is 2 digits"),
        ("OW", "[123]{1,3}", "ways of payment are 1, 2 and 3"),
        ("OX", "[0-9]{2}", "an exception reason is 2 digits"),
    )
}


@dataclass(frozen=True, slots=True)
class De59:
    """The items of one DE59, in the order of the message; no tag stands twice.

    >>> order = De59.build({"ON": "SF1000000001", "OC": "C01"})
    >>> bytes(order)
    b'ON012SF1000000001OC003C01'
    >>> De59.parse(bytes(order)).text("ON")
    'SF1000000001'
    """

    items: tuple[tuple[str, bytes], ...] = ()

    @classmethod
    def parse(cls, value: bytes) -> De59:
        """Read the items of a DE59.

        Args:
            value: the field's bytes (``message.binary(59)``); empty where it is absent.

        Raises:
            RemoteFormatError: with the path ``59`` or ``59.<tag>`` and the offset in the field.
        """
        if len(value) > BYTES_MAX:
            raise RemoteFormatError(f"more than {BYTES_MAX} bytes", field="59")
        items: list[tuple[str, bytes]] = []
        seen: set[str] = set()
        at = 0
        while at < len(value):
            tag = value[at : at + 2].decode("latin-1")
            if not _TAG.fullmatch(tag):
                raise RemoteFormatError("a tag is 2 letters or digits", field="59", offset=at)
            digits = value[at + 2 : at + _HEAD]
            if len(digits) != 3 or not digits.isdigit():
                raise RemoteFormatError("a length is 3 digits", field=f"59.{tag}", offset=at + 2)
            end = at + _HEAD + int(digits)
            if end > len(value):
                text = f"{int(digits)} bytes are needed, {len(value) - at - _HEAD} are there"
                raise RemoteFormatError(text, field=f"59.{tag}", offset=at + _HEAD)
            if tag in seen:
                raise RemoteFormatError("the tag stands twice", field=f"59.{tag}", offset=at)
            if len(items) == ITEMS_MAX:
                raise RemoteFormatError(f"more than {ITEMS_MAX} items", field="59", offset=at)
            seen.add(tag)
            items.append((tag, value[at + _HEAD : end]))
            at = end
        return cls(tuple(items))

    @classmethod
    def build(cls, texts: Mapping[str, str | bytes], encoding: str = "gb18030") -> De59:
        """Make items from texts (encoded) or bytes (as they are), in the mapping's order.

        Raises:
            LocalFormatError: a wrong tag, text that the encoding lacks, or more than the limits.
            DialectError: no such encoding.
        """
        items: list[tuple[str, bytes]] = []
        for tag, text in texts.items():
            path = f"59.{tag}"
            if not _TAG.fullmatch(tag):
                raise LocalFormatError("a tag is 2 letters or digits", field=path)
            try:
                value = text if isinstance(text, bytes) else text.encode(encoding)
            except UnicodeError:
                raise LocalFormatError(f"text that {encoding} lacks", field=path) from None
            except LookupError:
                raise DialectError(f"no such text encoding: {encoding}", field="59") from None
            items.append((tag, value))
        total = sum(_HEAD + len(value) for _, value in items)
        if total > BYTES_MAX or len(items) > ITEMS_MAX:
            text = f"{len(items)} items of {total} bytes; {ITEMS_MAX} of {BYTES_MAX} are allowed"
            raise LocalFormatError(text, field="59")
        return cls(tuple(items))

    def get(self, tag: str) -> bytes | None:
        """The value's bytes, or ``None`` where the tag is absent."""
        for name, value in self.items:
            if name == tag:
                return value
        return None

    def text(self, tag: str, encoding: str = "gb18030") -> str:
        """The value as text, or the empty string where the tag is absent.

        Raises:
            RemoteFormatError: no text of this encoding, or not of the tag's shape.
            DialectError: no such encoding.
        """
        value = self.get(tag)
        if value is None:
            return ""
        try:
            text = value.decode(encoding)
        except UnicodeError:
            raise RemoteFormatError(f"no {encoding} text", field=f"59.{tag}") from None
        except LookupError:
            raise DialectError(f"no such text encoding: {encoding}", field="59") from None
        shape = _SHAPES.get(tag)
        if shape and not shape[0].fullmatch(text):
            raise RemoteFormatError(shape[1], field=f"59.{tag}")
        return text

    def need(self, tag: str, encoding: str = "gb18030") -> str:
        """The text of an item that must be there.

        Raises:
            RemoteFormatError: absent, empty, or as for :meth:`text` (reply hint 30).
        """
        text = self.text(tag, encoding)
        if not text:
            raise RemoteFormatError("the message needs this item", field=f"59.{tag}")
        return text

    @property
    def hex(self) -> str:
        """The field as ``Message.fields[59]`` holds it: upper-case hexadecimal."""
        return bytes(self).hex().upper()

    def __bytes__(self) -> bytes:
        return b"".join(b"%s%03d%s" % (t.encode("ascii"), len(v), v) for t, v in self.items)

    def __contains__(self, tag: str) -> bool:
        return self.get(tag) is not None

    def __iter__(self) -> Iterator[str]:
        return (tag for tag, _ in self.items)

    def __len__(self) -> int:
        return len(self.items)
