"""Messages of one dialect read and written by generated functions, a tenth of pyiso8583's time.

One function for each bitmap that is read and each sequence of fields that is written; it works on
slices of the whole message as one text and gives nothing where anything is doubtful. Then
pyiso8583 decides, and words the error: what is right and wrong stands in ``dialect.py`` alone, and
``tests/codecs/test_compiled.py`` holds the two to each other. Peers choose bitmaps, so a function
is made only for what has been seen many times, and few are kept.
"""

from __future__ import annotations

from binascii import a2b_hex
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Generic, TypeVar, cast

from acquirer.codecs.bitmap import BitmapLayout
from acquirer.codecs.compiled_fields import (
    SECURITY_CONTROL,
    Cursor,
    Piece,
    Shape,
    can_compile,
    measuring,
    pieces,
    preparing,
    reading,
    shapes_of,
    text_name,
    track_check,
)
from acquirer.codecs.dialect_file import DialectFile, FieldSpec
from acquirer.codecs.message import Message

SEEN_MIN = 32
KEPT_MAX = 256
COUNTED_MAX = 1024

_Key = TypeVar("_Key", bound=Hashable)
_Read = Callable[[bytes], Message | None]
_Write = Callable[[str, Iterable[str]], bytes | None]


class Functions(Generic[_Key]):
    """Functions by key, made once a key has been seen often enough; few are kept.

    Args:
        make: the function of a key.
        seen_min: how often a key must be seen.
        kept_max: functions of either generation: what is used moves to the younger one, and when
            that is full it becomes the older one, whose unused functions go.
    """

    def __init__(
        self, make: Callable[[_Key], Any], seen_min: int = SEEN_MIN, kept_max: int = KEPT_MAX
    ) -> None:
        self._make = make
        self._seen_min = seen_min
        self._kept_max = kept_max
        self._young: dict[_Key, Any] = {}
        self._old: dict[_Key, Any] = {}
        self._counted: dict[_Key, int] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    @property
    def counted(self) -> int:
        """Keys that are counted and have no function yet."""
        return len(self._counted)

    def get(self, key: _Key) -> Any:
        """The function of a key, or None where there is none yet."""
        found = self._young.get(key)
        if found is None and (found := self._old.pop(key, None)) is not None:
            self._keep(key, found)
        return found

    def saw(self, key: _Key) -> None:
        """Count a key that has no function; makes it once that is worth while."""
        count = self._counted.get(key, 0) + 1
        if count >= self._seen_min:
            self._counted.pop(key, None)
            self._keep(key, self._make(key))
            return
        if len(self._counted) >= COUNTED_MAX:
            self._counted.clear()
        self._counted[key] = count

    def _keep(self, key: _Key, function: Any) -> None:
        if len(self._young) >= self._kept_max:
            self._old, self._young = self._young, {}
        self._young[key] = function


class CompiledMessages:
    """Reads and writes the messages of one dialect where that is beyond doubt.

    Args:
        file: the dialect.
        compiled: the specifications of its fields and of its MTI (``t``).
        bitmap: where it stands and how it is written.
        seen_min: how often a bitmap or a sequence of fields must be seen before it is compiled.
    """

    def __init__(
        self,
        file: DialectFile,
        compiled: Mapping[str, FieldSpec],
        bitmap: BitmapLayout,
        seen_min: int = SEEN_MIN,
    ) -> None:
        self._shapes = shapes_of(file, compiled)
        self._mti = str(compiled["t"].pyiso["data_enc"]).replace("ascii", "latin-1")
        self._bitmap = bitmap
        self._half = slice(bitmap.start, bitmap.start + bitmap.half_size)
        self._both = slice(bitmap.start, bitmap.start + 2 * bitmap.half_size)
        self._readers: Functions[bytes] = Functions(self._reader, seen_min)
        self._writers: Functions[tuple[int, ...]] = Functions(self._writer, seen_min)
        codec = "latin-1" if bitmap.codec == "b" else bitmap.codec
        first = bytes(range(128, 256)) if bitmap.codec == "b" else "89ABCDEF".encode(codec)
        self._flagged = frozenset(first[n : n + 1] for n in range(len(first)))

    def decode(self, raw: bytes) -> Message | None:
        """The message, or None where pyiso8583 must say what it is."""
        reader = self._readers.get(self._key(raw)) if type(raw) is bytes else None
        return None if reader is None else reader(raw)

    def decoded(self, raw: bytes) -> None:
        """Learn that pyiso8583 has decoded a message."""
        if type(raw) is bytes and self._readers.get(key := self._key(raw)) is None:
            self._readers.saw(key)

    def encode(self, message: Message) -> bytes | None:
        """MTI to last field, or None where pyiso8583 must say what it is."""
        fields = message.fields
        writer = self._writers.get(tuple(fields))
        return None if writer is None else writer(message.mti, fields.values())

    def encoded(self, message: Message) -> None:
        """Learn that pyiso8583 has encoded a message."""
        if self._writers.get(key := tuple(message.fields)) is None:
            self._writers.saw(key)

    def _key(self, raw: bytes) -> bytes:
        """The bytes of the bitmap."""
        half = raw[self._half]
        return raw[self._both] if self._bitmap.always_both or half[:1] in self._flagged else half

    # --- reading ------------------------------------------------------------------------------

    def _reader(self, key: bytes) -> _Read:
        shapes = self._found(self._numbers(key))
        if shapes is None:
            return _nothing
        lines = list(self._reading(shapes, self._bitmap.start + len(key)))
        return cast(_Read, _compile("raw", lines))

    def _numbers(self, key: bytes) -> tuple[int, ...] | None:
        """The data elements of a bitmap that is written as we would write it."""
        head = bytes(self._bitmap.start) + key
        numbers = self._bitmap.numbers(head) - {1}
        is_whole = len(key) in (self._bitmap.half_size, 2 * self._bitmap.half_size)
        if not is_whole or self._bitmap.read(head).hex() != self._hex(key):
            return None
        return tuple(sorted(numbers))

    def _hex(self, key: bytes) -> str:
        """The bitmap's digits; of text only if they are upper-case hexadecimal."""
        if self._bitmap.codec == "b":
            return key.hex()
        text = key.decode(self._bitmap.codec, "replace")
        return text.lower() if text == text.upper() else ""

    def _found(self, numbers: tuple[int, ...] | None) -> list[Shape] | None:
        if numbers is None or not can_compile(self._shapes, numbers):
            return None
        return [self._shapes[number] for number in numbers]

    def _reading(self, shapes: Sequence[Shape], start: int) -> Iterator[str]:
        yield "h = raw.hex().upper()"
        codecs = {s.codec for s in shapes if s.kind in ("text", "hex")}
        codecs |= {s.prefix_codec for s in shapes if s.prefix_codec not in ("", "b", "bcd")}
        for codec in sorted(codecs | ({self._mti} - {"b"})):
            yield f"{text_name(codec)} = raw.decode({codec!r})"
        yield "mti = h[0:4]" if self._mti == "b" else f"mti = {text_name(self._mti)}[0:4]"
        yield "if not mti.isdecimal(): return"
        cursor = Cursor(start)
        for shape in shapes:
            yield from reading(shape, cursor)
        yield f"if {cursor.at()} != len(raw): return"
        yield from _checks(shapes)
        tracks = [shape for shape in shapes if shape.type == "z"]
        control = _has_control(shapes)
        if tracks and control:
            yield "sealed = f53[2:3] == '1'"
        for shape in tracks:
            yield from track_check(shape, control=control)
        values = ", ".join(f"{shape.number}: {shape.name}" for shape in shapes)
        yield f"return Message(mti, {{{values}}}, raw)"

    # --- writing ------------------------------------------------------------------------------

    def _writer(self, key: tuple[int, ...]) -> _Write:
        shapes = self._found(key)
        if shapes is None or not all(type(number) is int for number in key):
            return _nothing
        return cast(_Write, _compile("mti, values", list(self._writing(shapes))))

    def _writing(self, shapes: Sequence[Shape]) -> Iterator[str]:
        yield "if len(mti) != 4 or not (mti.isdecimal() and mti.isascii()): return"
        if shapes:
            yield f"{', '.join(shape.name for shape in shapes)}, = values"
        control = _has_control(shapes)
        if control:
            yield "sealed = f53[2:3] == '1'"
        for shape in shapes:
            yield from preparing(shape, control=control)
        yield from _checks(shapes)
        for shape in shapes:
            yield from measuring(shape)
        written = [Piece("hex" if self._mti == "b" else self._mti, "mti")]
        written += self._written_bitmap(shapes)
        for shape in sorted(shapes, key=lambda shape: shape.number):
            written += pieces(shape)
        yield f"return {' + '.join(_joined(written))}"

    def _written_bitmap(self, shapes: Sequence[Shape]) -> list[Piece]:
        bits = sum(1 << (128 - shape.number) for shape in shapes)
        both = self._bitmap.always_both
        if not both and any(shape.number > 64 for shape in shapes):
            bits, both = bits | 1 << 127, True
        digits = bits.to_bytes(16, "big")[: 16 if both else 8].hex().upper()
        if self._bitmap.codec != "b":
            return [Piece(self._bitmap.codec.replace("ascii", "latin-1"), repr(digits))]
        return [Piece("raw", repr(bytes.fromhex(digits)))]


def _has_control(shapes: Sequence[Shape]) -> bool:
    return any(shape.number == SECURITY_CONTROL for shape in shapes)


def _checks(shapes: Sequence[Shape]) -> Iterator[str]:
    """Digits in numeric fields, of which only 0 to 9 can be written, and ASCII where it must be."""
    numeric = [shape.name for shape in shapes if shape.type == "n"]
    if numeric:
        yield f"if not ({' + '.join(numeric)}).isdecimal(): return"
    texts = [s.name for s in shapes if s.is_ascii and s.kind == "text" and s.type not in ("n", "z")]
    if texts:
        yield f"if not ({' + '.join(texts)}).isascii(): return"


def _joined(written: Sequence[Piece]) -> Iterator[str]:
    """Expressions of bytes: neighbours that become bytes in the same way do so together."""
    for how, group in groupby(written, key=lambda piece: piece.how):
        texts = [piece.text for piece in group]
        if how == "raw":
            yield " + ".join(texts)
            continue
        text = texts[0] if len(texts) == 1 else f"''.join(({', '.join(texts)}))"
        yield f"a2b_hex({text})" if how == "hex" else f"({text}).encode({how!r})"


def _digits(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("a length is digits")
    return int(text)


def _nothing(*_: object) -> None:
    """For what cannot be compiled."""


def _compile(arguments: str, lines: Sequence[str]) -> Any:
    """A function of these lines, which gives None where they return early or meet what is wrong."""
    body = "".join(f"        {line}\n" for line in lines)
    source = (
        f"def compiled({arguments}):\n    try:\n{body}"
        "    except (ValueError, IndexError, TypeError, AttributeError):\n        return None\n"
    )
    names: dict[str, Any] = {
        "Message": Message,
        "a2b_hex": a2b_hex,
        "digits": _digits,
        "fromhex": bytes.fromhex,
    }
    exec(compile(source, "<dialect>", "exec"), names)
    return names["compiled"]
