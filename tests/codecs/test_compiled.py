"""Compiled dialects against pyiso8583: the same values, bytes, errors, fields and offsets.

Every shipped dialect, and dialects that differ from one in encodings, prefixes, pads, fills and
bitmaps, read and write the same messages twice: with generated functions and without.
"""

import json
import sys
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from acquirer.codecs.compiled import COUNTED_MAX, Functions
from acquirer.codecs.dialect import Dialect
from acquirer.codecs.dialect_source import dialect_source, shipped_dialects
from acquirer.codecs.errors import CodecError, DialectError
from acquirer.codecs.message import Message

NEVER = sys.maxsize
DIALECTS = shipped_dialects()
VECTORS = Path(__file__).parents[1] / "vectors" / "messages.json"
REAL = json.loads(VECTORS.read_text("utf-8"))["messages"]
NUMERIC = ("bcd", "ascii", "ebcdic", "ebcdic037", "ebcdic1047")
TEXT = ("ascii", "latin1", "ebcdic", "ebcdic037", "ebcdic1047", "gb18030", "utf8")
PREFIXES = ("bcd", "binary", "hex", "ascii", "ebcdic", "ebcdic037", "ebcdic1047")
WRONG: tuple[str, ...] = (
    "",
    "1",
    "12",
    "123",
    "1234",
    "12345",
    "123456",
    "1234567",
    "1=2D",
    "12D4",
    "1A",
    "1AB2",
)
WRONG += (
    "C1234",
    "D0000",
    "ab12",
    "12 3",
    "1é3",
    "٣٤5",
    "²34",
    "中文",
    "AB",
    "A B",
    "\ud800",
    "AABBCC",
    "aabbccdd",
    "AABBCCD",
)
DAMAGE = (0x00, 0x0A, 0x12, 0x1F, 0x20, 0x31, 0x3D, 0x44, 0x80, 0xF1, 0xFA, 0xFF)


class Twins:
    """One dialect twice: compiled as soon as it can be, and never."""

    def __init__(self, source: dict[str, Any]) -> None:
        self.compiled = Dialect(source, "twin", seen_min=1)
        self.plain = Dialect(source, "twin", seen_min=NEVER)
        self.fields: dict[int, dict[str, Any]] = {
            int(number): entry for number, entry in source["fields"].items()
        }

    def read(self, raw: bytes) -> None:
        """Read a message with both, before and after a function is made for it."""
        expected = outcome_of_reading(self.plain, raw)
        assert expected == outcome_of_reading(self.compiled, raw)
        assert expected == outcome_of_reading(self.compiled, raw)

    def judge(self, raw: bytes) -> None:
        """What a generated function reads is what pyiso8583 reads; else it reads nothing."""
        read = self.compiled.compiled.decode(raw)
        if read is not None:
            assert outcome_of_reading(self.plain, raw) == parts(read)

    def write(self, mti: str, values: dict[int, str]) -> Any:
        """What both write, or how both refuse, before and after a function is made for it."""
        expected = outcome_of_writing(self.plain, mti, values)
        assert expected == outcome_of_writing(self.compiled, mti, values)
        assert expected == outcome_of_writing(self.compiled, mti, values)
        return expected


def outcome_of_reading(dialect: Dialect, raw: bytes) -> Any:
    """A message's parts in their order, or all that an error says."""
    try:
        message = dialect.decode(raw)
    except CodecError as error:
        return (str(error), error.text, error.field, error.offset, error.partial, error.readable)
    return parts(message)


def parts(message: Message) -> Any:
    """All of a message, its fields in their order."""
    assert type(message.raw) is bytes
    return (message.mti, list(message.fields.items()), message.raw)


def outcome_of_writing(dialect: Dialect, mti: str, values: dict[int, str]) -> Any:
    """The bytes, or all that an error says."""
    message = Message(mti, dict(values))
    try:
        raw = dialect.encode(message)
    except CodecError as error:
        return (str(error), error.text, error.field, error.offset)
    assert raw == message.raw
    return raw


def formats() -> list[dict[str, Any]]:
    """One field of every kind that a dialect file can have."""
    shapes: list[dict[str, Any]] = [{"length": 3}, {"length": 4}]
    shapes += [{"max": 5, "prefix": 2, "prefix_encoding": style} for style in PREFIXES]
    shapes += [{"max": 5, "accept_max": 6, "prefix": 2, "prefix_encoding": "ascii"}]
    fills = [{"length": 4, "fill": char, "fill_side": side} for char, side in FILLS]
    pads = [{"odd": side, "accept_pad": pad} for side in ("left", "right") for pad in ACCEPTED]
    pads += [{"odd": side, "pad": "F"} for side in ("left", "right")]
    found = [{"type": kind, "encoding": "bcd"} | pad for kind in "nz" for pad in pads]
    found += [{"type": kind, "encoding": text} for kind in "nz" for text in NUMERIC[1:]]
    found += [{"type": "z", "encoding": text, "separator": "D"} for text in NUMERIC[1:]]
    found += [{"type": kind, "encoding": text} for kind in ("an", "ans") for text in TEXT]
    found += [{"type": "b", "encoding": binary} for binary in ("raw", "hex")] + [{"type": "raw"}]
    many = [entry | shape for entry in found for shape in shapes]
    many += [entry | fill for entry in found if entry["type"] == "ans" for fill in fills]
    return [*many, *UNCOMMON]


UNCOMMON: list[dict[str, Any]] = [
    {"type": "n", "length": 4, "fill": "0", "fill_side": "left"},
    {"type": "n", "length": 4, "encoding": "bcd", "fill": "0", "fill_side": "left"},
    {"type": "n", "max": 5, "prefix": 2, "encoding": "bcd", "prefix_counts": "bytes"},
    {"type": "n", "length": 4, "encoding": "bcd", "fill": "F"},
    {"type": "ans", "length": 4, "fill": " ", "strip": True},
    {"type": "ans", "max": 5, "prefix": 2, "fill": " "},
    {"type": "ans", "length": 0},
    {"type": "b", "max": 5, "prefix": 2, "encoding": "hex", "prefix_counts": "bytes"},
    {"type": "b", "max": 5, "prefix": 2, "encoding": "raw", "prefix_counts": "digits"},
    {"type": "raw", "max": 5, "prefix": 5, "prefix_encoding": "binary"},
    {"type": "h", "length": 4},
    {"type": "h", "max": 5, "prefix": 2, "encoding": "bcd"},
    {"type": "x+n", "length": 4},
]
FILLS = [(" ", "right"), ("'", "left"), ("\\", "right")]
ACCEPTED = ("0", "F", "0F")
FORMATS = formats()


@st.composite
def sources(draw: st.DrawFn) -> dict[str, Any]:
    """A shipped dialect, as it is or with other fields, defaults, MTI and bitmap."""
    source = dialect_source(draw(st.sampled_from(DIALECTS)))
    if draw(st.booleans()):
        return source
    defaults = {
        "numeric": st.sampled_from(NUMERIC),
        "text": st.sampled_from(TEXT),
        "binary": st.sampled_from(("raw", "hex")),
        "prefix_encoding": st.sampled_from(PREFIXES),
        "odd": st.sampled_from(("left", "right")),
        "separator": st.sampled_from("=D"),
    }
    others = {
        "mti": st.sampled_from(NUMERIC),
        "bitmap": st.sampled_from(("binary", "hex")),
        "secondary_bitmap": st.sampled_from(("flagged", "always")),
        "defaults": st.fixed_dictionaries({}, optional=defaults),
    }
    changed = {**source, **draw(st.fixed_dictionaries({}, optional=others))}
    numbers = st.sampled_from([str(n) for n in (2, 3, 22, 35, 36, 41, 48, 53, 55, 59, 66, 102)])
    some = st.dictionaries(numbers, st.sampled_from(FORMATS), max_size=8)
    changed["fields"] = source["fields"] | draw(some)
    return changed


def value_for(entry: dict[str, Any]) -> st.SearchStrategy[str]:
    """A value that a field of this format can hold, mostly."""
    kind = entry["type"]
    low, high = (entry["length"],) * 2 if "length" in entry else (0, min(entry["max"], 40))
    if kind in ("b", "raw"):
        return st.binary(min_size=low, max_size=high).map(lambda raw: raw.hex().upper())
    alphabet: Any = {"n": "0123456789", "z": "0123456789D"}.get(
        kind, st.characters(min_codepoint=32, max_codepoint=126)
    )
    return st.text(alphabet, min_size=low, max_size=high)


def twins_of(source: dict[str, Any]) -> Twins:
    """Both, where such a file is allowed."""
    try:
        return Twins(source)
    except DialectError:
        assume(False)
        raise


def drawn_message(data: st.DataObject, twins: Twins) -> tuple[str, dict[int, str]]:
    """An MTI and values, in any order of the fields."""
    numbers = data.draw(st.lists(st.sampled_from(sorted(twins.fields)), unique=True, max_size=12))
    values = {number: data.draw(value_for(twins.fields[number])) for number in numbers}
    return data.draw(st.text("0123456789", min_size=4, max_size=4)), values


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_both_write_and_read_the_same(data: st.DataObject) -> None:
    """Messages that fit, written and read."""
    twins = twins_of(data.draw(sources()))
    raw = twins.write(*drawn_message(data, twins))

    if isinstance(raw, bytes):
        twins.read(raw)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_both_find_the_same_fault_in_damaged_messages(data: st.DataObject) -> None:
    """Bytes changed, cut or inserted behind the bitmap or anywhere, once the function is made."""
    twins = twins_of(data.draw(sources()))
    mti, values = drawn_message(data, twins)
    raw = twins.write(mti, values)
    assume(isinstance(raw, bytes))
    twins.read(raw)
    for _ in range(4):
        damaged = bytearray(raw)
        at = data.draw(st.integers(0, len(damaged)))
        cut = data.draw(st.integers(0, 3))
        damaged[at : at + cut] = data.draw(st.binary(min_size=0, max_size=3))
        twins.read(bytes(damaged))


@pytest.mark.parametrize("kind", ["n", "z", "h", "x+n", "an", "ans", "b", "raw"])
def test_both_judge_every_value_and_byte_of_one_field_alike(kind: str) -> None:
    """Values of all lengths and alphabets; each byte damaged, the end cut and drawn out."""
    for entry, mti in zip(FORMATS, cycle(("bcd", "ascii", "ebcdic")), strict=False):
        if entry["type"] != kind:
            continue
        fields = {"48": entry, "53": {"type": "n", "length": 16, "encoding": "ascii"}}
        twins = Twins({"mti": mti, "fields": fields})
        controls: list[dict[int, str]] = [{}, {53: "26" + "1" * 14}]
        sound = [
            raw
            for more in controls
            for value in WRONG
            if isinstance(raw := twins.write("0200", {48: value, **more}), bytes)
        ]
        assert sound
        for raw in sound:
            twins.read(raw)
        if "max" in entry and "fill" not in entry:
            wider = Twins({"mti": mti, "fields": {"48": entry | {"max": 8, "accept_max": 9}}})
            for value in WRONG:
                if isinstance(raw := wider.write("0200", {48: value}), bytes):
                    twins.judge(raw)
        for raw in sound[-6:]:
            for at in range(twins.compiled.bitmap.start + 8, len(raw)):
                for byte in DAMAGE:
                    twins.judge(raw[:at] + bytes([byte]) + raw[at + 1 :])
                twins.judge(raw[:at])
            twins.judge(raw + b"1")
            twins.judge(b"\xf1A" + raw[2:])


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("control", ["", "2600000000000000", "2610000000000000"])
@pytest.mark.parametrize("track", ["", "1", "123D456", "123=456", "12AF56", "12af56", "1 2"])
def test_both_agree_on_tracks(name: str, control: str, track: str) -> None:
    """Separators of both sorts, and any nibble where DE53 says that tracks are a cryptogram."""
    twins = Twins(dialect_source(name))
    fields = {35: track} | ({53: control} if control else {})
    raw = twins.write("0200", fields)

    if isinstance(raw, bytes):
        twins.read(raw)
        twins.read(raw.replace(b"D", b"=").replace(b"1", b"C"))


def test_half_bytes_of_two_fields_are_no_byte() -> None:
    """Neighbours are written in one go, and each must be whole by itself."""
    twins = Twins(dialect_source("cup_pos"))
    twins.write("0200", {62: "AABBCC", 55: "AABB"})

    for value in ("AAB", "A", "AABBC"):
        assert not isinstance(twins.write("0200", {62: value, 55: value}), bytes)


@pytest.mark.parametrize("name", DIALECTS)
def test_both_agree_on_messages_without_fields(name: str) -> None:
    """An empty bitmap, of one half and of two, with and without bytes behind it."""
    twins = Twins(dialect_source(name))
    raw = twins.write("0800", {})
    half = len(raw) - twins.compiled.bitmap.start
    flagged = raw[:-half] + (b"\x80" if half == 8 else b"8") + raw[1 - half :] + raw[-half:]

    for message in (raw, raw + b"1", raw[:-1], flagged, flagged + b"1", flagged[:-1]):
        twins.read(message)


@pytest.mark.parametrize("name", DIALECTS)
def test_a_message_with_every_field_is_compiled(name: str) -> None:
    """What a shipped dialect has can all be compiled, so that nothing real is slow."""
    twins = Twins(dialect_source(name))
    values = {
        number: "0" * (2 * size if entry["type"] in ("b", "raw") else size)
        for number, entry in sorted(twins.fields.items())
        for size in [entry.get("length", 4)]
    }
    raw = twins.write("0200", values)
    twins.read(raw)
    compiled = twins.compiled.compiled

    assert compiled.encode(Message("0200", values)) == raw
    read = compiled.decode(raw)
    assert read is not None
    assert read.fields == values


@pytest.mark.parametrize("vector", REAL, ids=lambda vector: str(vector.get("name", "")))
def test_published_messages_read_the_same(vector: dict[str, Any]) -> None:
    """Messages that others have published, in every dialect, whole and cut short."""
    raw = bytes.fromhex(vector["hex"])
    for name in DIALECTS:
        twins = Twins(dialect_source(name))
        for start in (0, 2, 5, 11, 13):
            twins.read(raw[start:])
            twins.read(raw[start:-1])


def test_what_is_not_known_is_not_compiled() -> None:
    """A character set of several bytes in a numeric role, or a key from elsewhere: pyiso8583."""
    source = dialect_source("iso87_ascii")
    source["fields"]["53"] = {"type": "an", "length": 16}
    twins = Twins(source)
    values = {35: "12AF", 53: "2610000000000000"}

    raw = twins.write("0200", values)
    twins.read(raw)

    assert twins.compiled.compiled.encode(Message("0200", values)) is None
    assert twins.compiled.compiled.decode(raw) is None


def test_what_is_read_around_faults_is_learnt_too() -> None:
    """Messages of a link get functions as those of terminals do."""
    dialect = Dialect(dialect_source("iso87_ascii"), "learner", seen_min=3)
    raw = dialect.encode(Message("0210", {11: "000001", 39: "00"}))
    assert dialect.compiled.decode(raw) is None
    for _ in range(3):
        assert (dialect.decode(raw), ()) == dialect.decode_around(raw)
    assert dialect.decode(raw) == dialect.compiled.decode(raw)


def test_functions_are_made_for_what_comes_often_and_few_are_kept() -> None:
    """Whatever strangers send, memory is bounded, and what is in use stays."""
    made: list[int] = []

    def make(key: int) -> int:
        made.append(key)
        return -key

    functions: Functions[int] = Functions(make, seen_min=3, kept_max=4)
    for _ in range(3):
        assert functions.get(1) is None
        functions.saw(1)
    assert functions.get(1) == -1
    for key in range(2, 100):
        for _ in range(3):
            functions.saw(key)
        assert functions.get(1) == -1
        assert len(functions) <= 8
    assert made == list(range(1, 100))

    for key in range(1000, 1000 + 3 * COUNTED_MAX):
        functions.saw(key)
        assert functions.counted <= COUNTED_MAX
