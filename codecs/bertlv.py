"""BER-TLV as cards use it: DE55 and the IC parameters in DE62.

Reads definite lengths of up to five bytes, shortest or not, and tags of up to three; constructed
tags are read into their children. Bytes 00 and FF before, between and behind objects are filler.
It knows no tag's meaning but for the names in :data:`TAG_NAMES`.
Source: ISO/IEC 7816-4, 5.2.2; EMV 4.3 Book 3, annex B; ISO/IEC 8825-1, 8.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from acquirer.codecs.errors import LocalFormatError, RemoteFormatError

DEPTH_MAX = 8
OBJECTS_MAX = 200
BYTES_MAX = 4096
_FILLER = b"\x00\xff"
_LENGTH_BYTES_MAX = 4

TAG_NAMES = {
    "4F": "application identifier",
    "50": "application label",
    "57": "track 2 equivalent data",
    "5A": "application PAN",
    "5F20": "cardholder name",
    "5F24": "application expiry date",
    "5F2A": "transaction currency code",
    "5F34": "PAN sequence number",
    "71": "issuer script template 1",
    "72": "issuer script template 2",
    "82": "application interchange profile",
    "84": "dedicated file name",
    "8A": "authorisation response code",
    "91": "issuer authentication data",
    "95": "terminal verification results",
    "9A": "transaction date",
    "9B": "transaction status information",
    "9C": "transaction type",
    "9F02": "amount authorised",
    "9F03": "amount other",
    "9F06": "application identifier (terminal)",
    "9F08": "application version (card)",
    "9F09": "application version (terminal)",
    "9F10": "issuer application data",
    "9F1A": "terminal country code",
    "9F1E": "interface device serial number",
    "9F26": "application cryptogram",
    "9F27": "cryptogram information data",
    "9F33": "terminal capabilities",
    "9F34": "cardholder verification results",
    "9F35": "terminal type",
    "9F36": "application transaction counter",
    "9F37": "unpredictable number",
    "9F41": "transaction sequence counter",
    "9F63": "card product identification",
    "9F74": "electronic cash authorisation code",
    "DF31": "issuer script result",
}


@dataclass(frozen=True, slots=True)
class Tlv:
    """One data object: a tag in upper-case hexadecimal and its value.

    ``children`` are the objects inside a constructed value; ``value`` is whole either way.

    >>> first = parse(bytes.fromhex("9F2701809A03180209"))[0]
    >>> first.tag, first.value.hex()
    ('9F27', '80')
    """

    tag: str
    value: bytes
    children: tuple[Tlv, ...] = ()

    @property
    def constructed(self) -> bool:
        """Whether the tag says that the value is made of further objects."""
        return bool(int(self.tag[:2], 16) & 0x20)

    def __repr__(self) -> str:
        return f"Tlv({self.tag}, {len(self.value)} bytes)"


def parse(value: bytes, field: str = "55") -> tuple[Tlv, ...]:
    """Read all objects.

    Args:
        value: the bytes of the field.
        field: the data element's number, for error paths.

    Raises:
        RemoteFormatError: with the path and offset: a tag or length that is cut off, an
            indefinite length, a value longer than what is left, or a limit passed.
    """
    try:
        return _Reader(value, field, _FILLER).read()
    except RemoteFormatError:
        if (read := _read_with_ff_tags(value)) is None:
            raise
        return read


def readings(value: bytes) -> list[tuple[Tlv, ...]]:
    """Every way in which the bytes can be read; more than one only where FF can be both.

    FF begins no tag of ISO/IEC 7816-4, and is filler; private templates begin with it all the
    same. Who hides what a field holds must look at both; none where the bytes are no objects.
    """
    found = [_read_with_ff_tags(value)]
    with suppress(RemoteFormatError):
        found.insert(0, _Reader(value, "55", _FILLER).read())
    return [read for read in found if read is not None]


def _read_with_ff_tags(value: bytes) -> tuple[Tlv, ...] | None:
    if 0xFF in value:
        with suppress(RemoteFormatError):
            return _Reader(value, "55", b"\x00").read()
    return None


def build(objects: Iterable[Tlv | tuple[str, bytes]]) -> bytes:
    """Write objects one after another, lengths in their shortest form.

    Args:
        objects: ``Tlv`` or pairs of tag (hexadecimal) and value.

    Raises:
        LocalFormatError: a tag that is none, or a value that is too long.
    """
    out = bytearray()
    for item in objects:
        tag, value = (item.tag, item.value) if isinstance(item, Tlv) else item
        out += _tag_bytes(tag)
        size = len(value)
        if size > BYTES_MAX:
            raise LocalFormatError(f"more than {BYTES_MAX} bytes", field=tag)
        out += _length_bytes(size)
        out += value
    return bytes(out)


def find(objects: Iterable[Tlv], tag: str) -> bytes | None:
    """The value of the first object with this tag, children included, or ``None``."""
    return next((item.value for item in walk(objects) if item.tag == tag), None)


def walk(objects: Iterable[Tlv]) -> Iterator[Tlv]:
    """All objects in their order, each before its children."""
    for item in objects:
        yield item
        yield from walk(item.children)


class _Reader:
    """One pass over a field; counts objects over all levels."""

    __slots__ = ("_count", "_field", "_filler", "_value")

    def __init__(self, value: bytes, field: str, filler: bytes) -> None:
        self._value = value
        self._field = field
        self._filler = filler
        self._count = 0

    def read(self) -> tuple[Tlv, ...]:
        size = len(self._value)
        if size > BYTES_MAX:
            raise RemoteFormatError(f"more than {BYTES_MAX} bytes", field=self._field)
        return self.objects(0, size, 1)

    def objects(self, at: int, end: int, depth: int) -> tuple[Tlv, ...]:
        if depth > DEPTH_MAX:
            raise self._error(f"more than {DEPTH_MAX} levels", at)
        found: list[Tlv] = []
        while at < end:
            if self._value[at] in self._filler:
                at += 1
                continue
            self._count += 1
            if self._count > OBJECTS_MAX:
                raise self._error(f"more than {OBJECTS_MAX} objects", at)
            constructed = bool(self._value[at] & 0x20)
            tag, at = self._tag(at, end)
            size, at = self._length(at, end)
            if size > end - at:
                raise self._error(f"{size} bytes are needed, {end - at} are left", at, tag)
            children = self.objects(at, at + size, depth + 1) if constructed else ()
            found.append(Tlv(tag, self._value[at : at + size], children))
            at += size
        return tuple(found)

    def _tag(self, at: int, end: int) -> tuple[str, int]:
        start = at
        at += 1
        if self._value[start] & 0x1F == 0x1F:
            while at < end and self._value[at] & 0x80:
                at += 1
            at += 1
        if at > end:
            raise self._error("the tag is cut off", start)
        if at - start > 3:
            raise self._error("a tag of more than 3 bytes", start)
        return self._value[start:at].hex().upper(), at

    def _length(self, at: int, end: int) -> tuple[int, int]:
        if at >= end:
            raise self._error("the length is missing", at)
        first = self._value[at]
        if first < 0x80:
            return first, at + 1
        count = first & 0x7F
        if count == 0:
            raise self._error("an indefinite length", at)
        if count > _LENGTH_BYTES_MAX:
            raise self._error(f"a length of more than {_LENGTH_BYTES_MAX + 1} bytes", at)
        if at + 1 + count > end:
            raise self._error("the length is cut off", at)
        return int.from_bytes(self._value[at + 1 : at + 1 + count], "big"), at + 1 + count

    def _error(self, text: str, offset: int, tag: str = "") -> RemoteFormatError:
        path = f"{self._field}.{tag}" if tag else self._field
        return RemoteFormatError(text, field=path, offset=offset)


def _tag_bytes(tag: str) -> bytes:
    try:
        raw = bytes.fromhex(tag)
    except ValueError:
        raw = b""
    several = bool(raw) and raw[0] & 0x1F == 0x1F
    shape = [byte & 0x80 for byte in raw[1:]]
    whole = (not several and not shape) or (several and shape and not shape[-1] and all(shape[:-1]))
    if not raw or not raw[0] or len(raw) > 3 or not whole:
        raise LocalFormatError("no BER-TLV tag of 1 to 3 bytes", field=tag)
    return raw


def _length_bytes(size: int) -> bytes:
    if size < 0x80:
        return bytes([size])
    if size < 0x100:
        return bytes([0x81, size])
    return b"\x82" + size.to_bytes(2, "big")
