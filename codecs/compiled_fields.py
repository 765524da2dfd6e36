"""Which data elements can be compiled, and the source of one field's reading and writing.

The lines here do for one field what pyiso8583 and ``dialect.py`` do, on slices of the whole
message as one text; where they cannot tell that it is sound they ``return`` or raise an error, and
the caller lets pyiso8583 decide. A kind of field that is not known here is not compiled.
``compiled.py`` puts the lines of one bitmap or field sequence together.
Source: ISO 8583:1987, 4.3 and 4.4.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields

from acquirer.codecs.dialect_file import DialectFile, FieldFormat, FieldSpec, Pads
from acquirer.codecs.wire_codecs import EBCDIC1047

_ONE_BYTE = ("latin-1", "cp500", "cp037", EBCDIC1047)
_MANY_BYTES = ("gb18030", "utf-8")
# Whatever else a file, a field of it or its specification may say, none of it is compiled.
_FILE_KNOWN = frozenset(
    {
        *("title", "mti", "bitmap", "secondary_bitmap", "length_header", "tpdu", "header"),
        *("trailer", "match_key", "reversal_mti", "defaults", "needs", "fields"),
    }
)
_FORMAT_KNOWN = frozenset(
    {
        *("type", "name", "length", "max", "accept_max", "prefix", "encoding", "odd", "pad"),
        *("prefix_encoding", "accept_pad", "separator", "fill", "fill_side", "parts"),
    }
)
_SPEC_KNOWN = frozenset({"pyiso", "separator", "hex_text", "prefix_digits", "fill"})
_PYISO_KNOWN = frozenset(
    {"data_enc", "len_type", "len_count", "desc", "max_len", "len_enc", "left_pad", "right_pad"}
)
SECURITY_CONTROL = 53


@dataclass(frozen=True, slots=True)
class Shape:
    """One field that can be compiled.

    Attributes:
        kind: ``bcd`` (packed digits), ``bytes`` (hexadecimal values), ``hex`` (the same as text),
            ``text`` of one byte a character, ``many`` where a character may be several bytes.
        type: as the dialect's file has it.
        codec: of text; ``ascii`` counts as ``latin-1`` and is checked apart.
        size: of a fixed field, or the largest: digits, bytes or characters.
        prefix: bytes of the length prefix, 0 for a fixed field.
        prefix_codec: ``bcd``, ``b`` or the codec of its digits.
        pad: nibble written beside an odd number of digits; ``accepted`` those read.
        pad_left: whether it stands before them.
    """

    number: int
    kind: str
    type: str
    codec: str
    is_ascii: bool
    size: int
    prefix: int
    prefix_codec: str
    pad: str
    accepted: str
    pad_left: bool
    separator: str
    fill: tuple[str, str] | None

    @property
    def name(self) -> str:
        """Its variable."""
        return f"f{self.number}"


def shapes_of(file: DialectFile, compiled: Mapping[str, FieldSpec]) -> dict[int, Shape]:
    """The shapes of all fields that can be compiled.

    Args:
        compiled: each field's specification.
    """
    if not _is_known(file, _FILE_KNOWN):
        return {}
    found = {int(key): _shape(int(key), f, compiled[key]) for key, f in file.fields.items()}
    return {number: shape for number, shape in found.items() if shape is not None}


def _is_known(entry: DialectFile | FieldFormat | FieldSpec, known: frozenset[str]) -> bool:
    """Whether an entry says nothing but what is known here."""
    others = (f for f in fields(entry) if f.name not in known)
    return all(getattr(entry, f.name) == f.default for f in others)


def _shape(number: int, entry: FieldFormat, spec: FieldSpec) -> Shape | None:
    """The field's shape, or nothing where anything of it is not known here."""
    pyiso, codec, kind = spec.pyiso, str(spec.pyiso["data_enc"]), entry.type
    if not (_is_known(entry, _FORMAT_KNOWN) and _is_known(spec, _SPEC_KNOWN)):
        return None
    if pyiso.keys() - _PYISO_KNOWN:
        return None
    found = _kind(kind, codec, str(pyiso.get("len_count")), spec.hex_text)
    prefix_codec = _plain(str(pyiso.get("len_enc", "")))
    pads = [(side, pyiso[side]) for side in ("left_pad", "right_pad") if side in pyiso]
    if not found or (pyiso["len_type"] and prefix_codec not in ("bcd", "b", *_ONE_BYTE)):
        return None
    if (found == "bcd") != (len(pads) == 1 and isinstance(pads[0][1], Pads)):
        return None
    pad = pads[0][1] if pads else Pads("", "")
    return Shape(
        number=number,
        kind=found,
        type=kind,
        codec=_plain(codec),
        is_ascii=codec == "ascii",
        size=pyiso["max_len"],
        prefix=pyiso["len_type"],
        prefix_codec=prefix_codec,
        pad=str.__str__(pad),
        accepted=pad.accepted,
        pad_left=bool(pads) and pads[0][0] == "left_pad",
        separator=spec.separator,
        fill=spec.fill,
    )


def _kind(kind: str, codec: str, count: str, hex_text: bool) -> str:
    """How the field is read and written; empty where that is not known here."""
    if codec == "b":
        packed = count == "nibbles" and kind in ("n", "z") and not hex_text
        plain = count == "bytes" and kind in ("b", "raw") and not hex_text
        return "bcd" if packed else "bytes" if plain else ""
    if count != "bytes" or _plain(codec) not in (*_ONE_BYTE, *_MANY_BYTES):
        return ""
    is_many = _plain(codec) in _MANY_BYTES
    if hex_text:
        return "hex" if kind == "b" and not is_many else ""
    if kind in ("n", "z"):
        return "" if is_many else "text"
    return ("many" if is_many else "text") if kind in ("an", "ans") else ""


def _plain(codec: str) -> str:
    return "latin-1" if codec == "ascii" else codec


def can_compile(shapes: Mapping[int, Shape], numbers: Collection[int]) -> bool:
    """Whether all fields of a message are known here, and what tracks depend on is digits."""
    if not all(number in shapes for number in numbers):
        return False
    if SECURITY_CONTROL not in numbers:
        return True
    control = shapes[SECURITY_CONTROL]
    return control.type == "n" and control.fill is None


# --- reading ----------------------------------------------------------------------------------


class Cursor:
    """Where reading stands: the variable ``i``, if a length came before, and bytes behind it."""

    def __init__(self, behind: int) -> None:
        self.behind = behind
        self.moves = False

    def at(self, more: int = 0) -> str:
        """The offset in bytes."""
        return f"i+{self.behind + more}" if self.moves else str(self.behind + more)

    def at_nibble(self, more: int = 0) -> str:
        """The offset in hexadecimal digits."""
        return f"j+{2 * self.behind + more}" if self.moves else str(2 * self.behind + more)

    def move(self, length: str, more: int) -> Iterator[str]:
        """The lines that go on behind so many bytes and a length that is known when it runs."""
        yield f"i = {self.at(more)} + {length}"
        yield "j = i + i"
        self.behind, self.moves = 0, True


def text_name(codec: str) -> str:
    """The variable that holds the whole message in a codec."""
    return "t_" + codec.replace("-", "_")


def reading(shape: Shape, cursor: Cursor) -> Iterator[str]:
    """The lines that put a field's value into its variable."""
    if not shape.prefix:
        size = shape.size
        yield from _slice(shape, cursor, 0, str(size), size % 2 == 1)
        cursor.behind += (size + 1) // 2 if shape.kind == "bcd" else size
    else:
        yield f"n = {_length(shape, cursor)}"
        yield f"if n > {shape.size}: return"
        yield from _slice(shape, cursor, shape.prefix, "n", None)
        yield from cursor.move("(n + 1 >> 1)" if shape.kind == "bcd" else "n", shape.prefix)
    if shape.type == "z" and shape.kind == "text":
        yield f"{shape.name} = {shape.name}.replace('=', 'D')"


def _length(shape: Shape, cursor: Cursor) -> str:
    width = shape.prefix
    if shape.prefix_codec == "b":
        return f"int.from_bytes(raw[{cursor.at()}:{cursor.at(width)}], 'big')"
    if shape.prefix_codec == "bcd":
        return f"int(h[{cursor.at_nibble()}:{cursor.at_nibble(2 * width)}])"
    return f"digits({text_name(shape.prefix_codec)}[{cursor.at()}:{cursor.at(width)}])"


def _slice(
    shape: Shape, cursor: Cursor, skip: int, length: str, is_odd: bool | None
) -> Iterator[str]:
    """The value behind a prefix; ``is_odd`` is None where only running it tells."""
    name = shape.name

    def to(end: str) -> str:
        return f"{end}+{length}" if cursor.moves or length == "n" else str(int(end) + int(length))

    if shape.kind == "bcd":
        start = cursor.at_nibble(2 * skip)
        if is_odd is None:
            yield f"{name} = h[{start}:{to(start)}+(n & 1)]"
            yield "if n & 1:"
            yield from (f"    {line}" for line in _without_pad(shape))
        elif is_odd:
            yield f"{name} = h[{start}:{to(cursor.at_nibble(1))}]"
            yield from _without_pad(shape)
        else:
            yield f"{name} = h[{start}:{to(start)}]"
        return
    start = cursor.at(skip)
    if shape.kind == "bytes":
        first = cursor.at_nibble(2 * skip)
        double = f"{length}+{length}" if length == "n" else str(2 * int(length))
        yield f"{name} = h[{first}:{first}+{double}]"
    elif shape.kind == "many":
        yield f"{name} = raw[{start}:{to(start)}].decode({shape.codec!r})"
    elif shape.kind == "hex":
        yield f"{name} = fromhex({text_name(shape.codec)}[{start}:{to(start)}]).hex().upper()"
    else:
        yield f"{name} = {text_name(shape.codec)}[{start}:{to(start)}]"


def _without_pad(shape: Shape) -> Iterator[str]:
    place, rest = ("0", "1:") if shape.pad_left else ("-1", ":-1")
    yield f"if {shape.name}[{place}] not in {shape.accepted!r}: return"
    yield f"{shape.name} = {shape.name}[{rest}]"


# --- writing ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Piece:
    """An expression of text and what it becomes: ``hex``, ``raw`` bytes, or a text codec."""

    how: str
    text: str


def preparing(shape: Shape, *, control: bool) -> Iterator[str]:
    """The lines that bring a value into the form in which it is measured.

    Args:
        control: whether the message has the field that says that tracks are a cryptogram.
    """
    name = shape.name
    if shape.fill is not None:
        char, side = shape.fill
        yield f"{name} = {name}.{'ljust' if side == 'right' else 'rjust'}({shape.size}, {char!r})"
    if shape.type == "z":
        yield f"{name} = {name}.replace('=', 'D')"
        yield from track_check(shape, control=control)
        if shape.separator == "=":
            unless = "if not sealed: " if control else ""
            yield f"{unless}{name} = {name}.replace('D', '=')"
    if shape.kind == "hex":
        yield f"{name} = fromhex({name}).hex().upper()"
    elif shape.kind == "many":
        yield f"{name} = {name}.encode({shape.codec!r})"


def track_check(shape: Shape, *, control: bool) -> Iterator[str]:
    """A track holds digits and separators, or any nibble where it is a cryptogram."""
    plain = f"{shape.name}.strip('0123456789D')"
    if control:
        sealed = f"{shape.name}.strip('0123456789ABCDEF')"
        yield f"if ({sealed} if sealed else {plain}): return"
    else:
        yield f"if {plain}: return"


def measuring(shape: Shape) -> Iterator[str]:
    """The lines that refuse what is too long or, in a fixed field, too short."""
    name = shape.name
    if shape.kind == "bytes":
        if shape.prefix:
            yield f"n{shape.number}, odd = divmod(len({name}), 2)"
            yield f"if odd or n{shape.number} > {shape.size}: return"
        else:
            yield f"if len({name}) != {2 * shape.size}: return"
    elif shape.prefix:
        yield f"n{shape.number} = len({name})"
        yield f"if n{shape.number} > {shape.size}: return"
    else:
        yield f"if len({name}) != {shape.size}: return"


def pieces(shape: Shape) -> Iterator[Piece]:
    """A field as it is written: its length, if it has one, and its value."""
    name, count = shape.name, f"n{shape.number}"
    if shape.prefix:
        if shape.prefix_codec in ("bcd", "b"):
            digit = "d" if shape.prefix_codec == "bcd" else "X"
            yield Piece("hex", f"'%0{2 * shape.prefix}{digit}' % {count}")
        else:
            yield Piece(shape.prefix_codec, f"'%0{shape.prefix}d' % {count}")
    if shape.kind == "bcd":
        yield from _packed(shape)
    elif shape.kind == "bytes":
        yield Piece("hex", name)
    elif shape.kind == "many":
        yield Piece("raw", name)
    else:
        yield Piece(shape.codec, name)


def _packed(shape: Shape) -> Iterator[Piece]:
    """Digits, and beside an odd number of them the pad."""
    value = Piece("hex", shape.name)
    if shape.prefix:
        pad = Piece("hex", f"({shape.pad!r} if n{shape.number} & 1 else '')")
    elif shape.size % 2:
        pad = Piece("hex", repr(shape.pad))
    else:
        yield value
        return
    yield from (pad, value) if shape.pad_left else (value, pad)
