"""Shapes that hosts use beyond plain digits and text, each as a dialect file says it."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquirer.codecs.dialect import Dialect, load_dialect
from acquirer.codecs.errors import DialectError, LocalFormatError, RemoteFormatError
from acquirer.codecs.message import Message
from acquirer.codecs.wire_codecs import EBCDIC1047


def dialect_of(folder: Path, field: str, number: int = 60, defaults: str = "") -> Dialect:
    """A dialect with one field, and DE39 behind or before it."""
    path = folder / "vendor.toml"
    path.write_text(
        f'{defaults}\n[fields]\n{number} = {{ {field} }}\n39 = {{ type = "an", length = 2 }}\n',
        "utf-8",
    )
    return load_dialect(str(path))


def body_of(dialect: Dialect, value: str, number: int = 60) -> bytes:
    """A field's bytes on the wire; the message must come back as it was, and so must fit."""
    message = Message("0200", {number: value})
    raw = dialect.encode(message)
    assert dialect.decode(raw).fields == message.fields
    assert dialect.fits(number, value)
    return raw[12:]


def read(dialect: Dialect, body: str, number: int = 60) -> str:
    """The value of a field with these bytes."""
    raw = b"0200" + dialect.bitmap.of(number) + bytes.fromhex(body)
    return dialect.decode(raw).get(number)


@pytest.mark.parametrize(
    ("field", "value", "body"),
    [
        # Packed digits: bytes counted, in each encoding of the prefix (jPOS IFB_LLHNUM's cousins).
        ('type="n", max=40, prefix=2, prefix_encoding="bcd", encoding="bcd", '
         'prefix_counts="bytes"', "005100000005", "06005100000005"),
        ('type="n", max=40, prefix=2, prefix_encoding="binary", encoding="bcd", '
         'prefix_counts="bytes"', "1" * 32, "10" + "1" * 32),
        ('type="n", max=40, prefix=2, prefix_encoding="ascii", encoding="bcd", '
         'prefix_counts="bytes", odd="left", pad="F"', "123", "3032" + "123F"),
        ('type="n", max=40, prefix=3, prefix_encoding="bcd", encoding="bcd", '
         'prefix_counts="bytes", odd="right", pad="F"', "123", "0002" + "F123"),
        ('type="z", max=37, prefix=2, prefix_encoding="binary", encoding="bcd", '
         'prefix_counts="bytes", odd="left", pad="F"', "12345D6", "04" + "12345D6F"),
        # Bytes: digits counted (HexNibblesPrefixer), and bytes of hexadecimal (IFA_LLABINARY).
        ('type="b", max=8, prefix=2, prefix_encoding="bcd", prefix_counts="digits"',
         "ABCDEF", "06ABCDEF"),
        ('type="b", max=99, prefix=2, encoding="hex", prefix_counts="bytes"',
         "ABCDEF", b"03ABCDEF".hex()),
        ('type="b", max=99, prefix=3, encoding="hex", prefix_counts="bytes", '
         'prefix_encoding="bcd"', "ABCDEF", "0003" + b"ABCDEF".hex()),
        ('type="b", max=99, prefix=2, encoding="hex", prefix_counts="bytes", '
         'prefix_encoding="binary"', "ABCDEF", "03" + b"ABCDEF".hex()),
        ('type="b", max=99, prefix=2, encoding="hex", prefix_counts="bytes", '
         'prefix_encoding="ebcdic"', "ABCDEF", "F0F3" + b"ABCDEF".hex()),
        # Prefixes: hexadecimal digits (moov prefix.Hex), up to six, EBCDIC 1047.
        ('type="ans", max=255, prefix=2, prefix_encoding="hex"', "x" * 26,
         (b"1A" + b"x" * 26).hex()),
        ('type="ans", max=99999, prefix=5', "abc", b"00003abc".hex()),
        ('type="ans", max=999999, prefix=6, prefix_encoding="bcd"', "abc", "000003616263"),
        ('type="ans", max=99, prefix=2, prefix_encoding="ebcdic1047", encoding="ebcdic1047"',
         "[a]", "F0F3AD81BD"),
        ('type="n", max=99, prefix=2, prefix_encoding="ascii", encoding="bcd"',
         "123", "30330123"),
        ('type="n", max=99, prefix=2, prefix_encoding="ebcdic", encoding="bcd"',
         "1234", "F0F41234"),
        ('type="ans", max=99, prefix=2, prefix_encoding="ebcdic", encoding="ascii"',
         "ab", "F0F26162"),
        # Hexadecimal digits, an odd number too (moov PackedBCDHex, jPOS IFB_LLHEX).
        ('type="h", max=40, prefix=2, prefix_encoding="binary", encoding="bcd"',
         "1D2", "0301D2"),
        ('type="h", length=5, encoding="bcd", odd="left", pad="F"', "ABCDE", "ABCDEF"),
        ('type="h", length=4', "0AFF", b"0AFF".hex()),
        # Amounts with a sign: text, packed, EBCDIC, zoned.
        ('type="x+n", length=8', "C00001250", b"C00001250".hex()),
        ('type="x+n", length=8, encoding="bcd"', "D00001250", "4400001250"),
        ('type="x+n", length=7, encoding="bcd"', "D0001250", "4400001250"),
        ('type="x+n", length=8, encoding="ebcdic"', "D00001250", "D00001250".encode("cp500").hex()),
        ('type="x+n", length=8, sign="overpunch"', "D00001251", b"0000125J".hex()),
        ('type="x+n", length=8, sign="overpunch", encoding="ebcdic"',
         "C00001250", "F0F0F0F0F1F2F5C0"),
        ('type="x+n", length=8, sign="overpunch", encoding="ebcdic"',
         "D00001250", "F0F0F0F0F1F2F5D0"),
        # Filling, on either side, to the length of a fixed and to the maximum of another field.
        ('type="ans", length=6, fill=" ", strip=true', "ab", b"ab    ".hex()),
        ('type="ans", length=6, fill=" ", fill_side="left", strip=true', "ab", b"    ab".hex()),
        ('type="n", length=6, fill="0", fill_side="left", strip=true', "12", b"000012".hex()),
        ('type="ans", max=6, prefix=2, fill=" ", strip=true', "ab", b"06ab    ".hex()),
        ('type="n", length=16, encoding="bcd", fill="F"', "123456789", "123456789FFFFFFF"),
        ('type="n", length=7, encoding="bcd", fill="F", odd="left", pad="F"', "12345", "12345FFF"),
        ('type="ans", max=4, prefix=2, fill=" "', "ab  ", b"04ab  ".hex()),
        # A field that takes no bytes (jPOS IF_NOP).
        ('type="ans", length=0', "", ""),
    ],
)  # fmt: skip
def test_each_shape_is_a_key_of_the_file(tmp_path: Path, field: str, value: str, body: str) -> None:
    """Written, read back and known to fit."""
    assert body.upper() == body_of(dialect_of(tmp_path, field), value).hex().upper()


def test_packed_digits_whose_prefix_counts_bytes(tmp_path: Path) -> None:
    """The message as it was reported."""
    field = 'type="n", max=40, prefix=2, prefix_counts="bytes"'
    text = 'mti = "bcd"\n[defaults]\nnumeric = "bcd"\nprefix_encoding = "bcd"'
    path = tmp_path / "vendor.toml"
    path.write_text(
        f'{text}\n[fields]\n3 = {{ type = "n", length = 6 }}\n60 = {{ {field} }}\n', "utf-8"
    )
    raw = bytes.fromhex("0100" + "2000000000000010" + "123456" + "06" + "005100000005")

    assert load_dialect(str(path)).decode(raw).fields == {3: "123456", 60: "005100000005"}


@pytest.mark.parametrize(
    ("field", "body", "words"),
    [
        ('type="n", max=40, prefix=2, encoding="bcd", prefix_counts="bytes"', "3031AB", "letters"),
        ('type="b", max=8, prefix=2, prefix_counts="digits"', "3033ABCD", "padding"),
        ('type="ans", max=99, prefix=2, prefix_encoding="hex"', b"0Gab".hex(), "no digits"),
        (
            'type="b", max=9, prefix=2, encoding="hex", prefix_counts="bytes"',
            "20314142",
            "no digits",
        ),
        ('type="h", length=2', b"0G".hex(), "not hexadecimal"),
        ('type="x+n", length=2', b"X12".hex(), "C or D"),
        ('type="x+n", length=2', b"C1A".hex(), "followed by 2 digits"),
        ('type="x+n", length=3, encoding="bcd"', "431123", "padding"),
        ('type="x+n", length=2, encoding="bcd"', "431A", "followed by 2 digits"),
        ('type="x+n", length=2, encoding="bcd"', "FF11", "C or D"),
        ('type="n", length=4, encoding="bcd", fill="F"', "F12F", "letters"),
    ],
)  # fmt: skip
def test_what_is_no_such_value_is_refused(
    tmp_path: Path, field: str, body: str, words: str
) -> None:
    """A peer's bytes: the error names the field."""
    with pytest.raises(RemoteFormatError, match=words) as caught:
        read(dialect_of(tmp_path, field), body)

    assert caught.value.field == "60"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ('type="x+n", length=8', "00001250"),
        ('type="x+n", length=8', "C1250"),
        ('type="x+n", length=8, encoding="bcd"', "X00001250"),
        ('type="h", length=2', "0G"),
        ('type="n", max=4, prefix=2, encoding="bcd", prefix_counts="bytes"', "12345"),
        ('type="n", max=4, prefix=2, encoding="bcd", prefix_counts="bytes"', "12A"),
        ('type="ans", length=4, fill=" ", strip=true', "a "),
        ('type="ans", length=4, fill=" ", strip=true', "abcde"),
    ],
)
def test_what_a_shape_cannot_hold_is_not_sent(tmp_path: Path, field: str, value: str) -> None:
    """Known before, and refused when it is written."""
    dialect = dialect_of(tmp_path, field)

    assert not dialect.fits(60, value)
    with pytest.raises(LocalFormatError, match="field 60"):
        dialect.encode(Message("0200", {60: value}))


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ('type="n", length=6, prefix_counts="bytes"', "prefix_counts"),
        ('type="ans", max=6, prefix=1, prefix_counts="digits"', "text counts bytes"),
        ('type="n", length=6, sign="overpunch"', "x\\+n"),
        ('type="x+n", length=6, sign="overpunch", encoding="bcd"', "zone"),
        ('type="x+n", max=6, prefix=1', "has a length"),
        ('type="ans", length=6, strip=true', "needs a fill"),
        ('type="ans", max=256, prefix=2, prefix_encoding="hex"', "does not fit"),
        ('type="ans", max=9, prefix=7', "1 to 6"),
        ('type="ans", max=9, accept_max=12, prefix=2, fill=" "', "accept_max"),
        ('type="n", length=0', "1 to 999999"),
        ('type="n", length=6, fill="F"', "filled"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(
    tmp_path: Path, field: str, words: str
) -> None:
    """At start, with the field."""
    with pytest.raises(DialectError, match=f"field 60: .*{words}"):
        dialect_of(tmp_path, field)


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    """Keys of the file, of its tables and what contradicts itself in a field."""
    path = tmp_path / "vendor.toml"
    path.write_text(
        'mti = "acsii"\nheader = "0"\nlenght_header = "binary2"\n[defaults]\npad = "E"\n[fields]\n'
        '3 = { type = "n", lenght = 6 }\n4 = { type = "n" }\n130 = { type = "n", length = 1 }\n',
        "utf-8",
    )

    with pytest.raises(DialectError) as caught:
        load_dialect(str(path))

    told = str(caught.value)
    places = ("mti: ", "header is no", "lenght_header", "defaults.pad", "fields.3.lenght")
    assert [] == [place for place in (*places, "field 130: ") if place not in told]
    path.write_text('[fields]\n3 = { type = "n" }\n4 = { length = 6 }\n', "utf-8")
    with pytest.raises(DialectError, match=r"field 3: .*; fields\.4: type is missing"):
        load_dialect(str(path))


def test_code_page_1047_is_as_java_has_it() -> None:
    """Where it differs from 037; the table is of OpenJDK 17's IBM1047."""
    differing = {0x15: "\n", 0x25: "\x85", 0x5F: "^", 0xAD: "[", 0xB0: "¬", 0xBA: "Ý", 0xBB: "¨"}
    differing[0xBD] = "]"
    everything = bytes(range(256))

    assert everything == everything.decode(EBCDIC1047).encode(EBCDIC1047)
    assert differing == {
        code: mine
        for code, (mine, other) in enumerate(
            zip(everything.decode(EBCDIC1047), everything.decode("cp037"), strict=True)
        )
        if mine != other
    }


def test_a_trailer_stands_behind_each_message(tmp_path: Path) -> None:
    """Inside the length; without it a message is refused."""
    path = tmp_path / "vendor.toml"
    path.write_text('extends = "iso87_ascii"\ntrailer = "03"\n', "utf-8")
    dialect = load_dialect(str(path))
    raw = bytes.fromhex("30323130" + "0020000002000000" + "313233343536" + "3030")

    assert dialect.frame_body(raw) == raw + b"\x03"
    assert dialect.split_envelope(raw + b"\x03") == (b"", raw)
    with pytest.raises(RemoteFormatError, match="trailer: a message ends with 03"):
        dialect.split_envelope(raw)


EVERY_SHAPE = """
[fields]
11 = { type = "n", length = 6, encoding = "bcd" }
28 = { type = "x+n", length = 8, encoding = "bcd" }
29 = { type = "x+n", length = 8, encoding = "ebcdic", sign = "overpunch" }
39 = { type = "an", length = 2 }
41 = { type = "ans", length = 8, fill = " ", strip = true }
42 = { type = "n", length = 16, encoding = "bcd", fill = "F" }
46 = { type = "ans", max = 255, prefix = 2, prefix_encoding = "hex", encoding = "ebcdic1047" }
48 = { type = "h", max = 20, prefix = 2, prefix_encoding = "binary", encoding = "bcd" }
55 = { type = "b", max = 99, prefix = 2, encoding = "hex", prefix_counts = "bytes" }
60 = { type = "n", max = 40, prefix = 2, encoding = "bcd", prefix_counts = "bytes", pad = "F" }
62 = { type = "b", max = 20, prefix = 2, prefix_counts = "digits" }
63 = { type = "ans", max = 9999, prefix = 5 }
"""
SHAPED = {
    11: st.text("0123456789", min_size=6, max_size=6),
    28: st.from_regex(r"[CD][0-9]{8}", fullmatch=True),
    29: st.from_regex(r"[CD][0-9]{8}", fullmatch=True),
    39: st.text("0123456789", min_size=2, max_size=2),
    41: st.from_regex(r"[A-Z0-9]{0,8}", fullmatch=True),
    42: st.text("0123456789", max_size=16),
    46: st.text("abc[]^XYZ", max_size=30),
    48: st.text("0123456789ABCDEF", max_size=20),
    55: st.binary(max_size=40).map(lambda raw: raw.hex().upper()),
    60: st.text("0123456789", max_size=20).map(lambda text: text[: len(text) // 2 * 2]),
    62: st.binary(max_size=20).map(lambda raw: raw.hex().upper()),
    63: st.text("abc", max_size=30),
}


@pytest.fixture(name="shaped", scope="module", params=[1, 1_000_000], ids=["compiled", "plain"])
def make_shaped(request: pytest.FixtureRequest) -> Dialect:
    """A dialect of all shapes at once, with functions of its own where these are possible."""
    return Dialect(tomllib.loads(EVERY_SHAPE), "shaped", seen_min=request.param)


@settings(max_examples=150, deadline=None)
@given(fields=st.fixed_dictionaries({}, optional=SHAPED))
def test_all_shapes_stand_beside_each_other(shaped: Dialect, fields: dict[int, str]) -> None:
    """What is written is read back, and around, with functions of the dialect's own or without."""
    message = Message("0200", dict(sorted(fields.items())))
    for _ in range(2):
        raw = shaped.encode(message)
        assert message == shaped.decode(raw)
        assert (message, ()) == shaped.decode_around(raw)
    assert message.fields == shaped.read_loosely(raw).fields


@settings(max_examples=300, deadline=None)
@given(
    fields=st.fixed_dictionaries({}, optional=SHAPED),
    cuts=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3), st.binary(max_size=3))),
)
def test_whatever_is_damaged_the_error_is_the_codecs_own(
    shaped: Dialect, fields: dict[int, str], cuts: list[tuple[int, int, bytes]]
) -> None:
    """Any bytes give a message that can be written again, or an error with a place."""
    raw = bytearray(shaped.encode(Message("0200", dict(sorted(fields.items())))))
    for at, size, more in cuts:
        raw[at : at + size] = more
    refused: RemoteFormatError | None = None
    try:
        message = shaped.decode(bytes(raw))
    except RemoteFormatError as error:
        refused = error
    if refused:
        assert refused.field
        assert refused.partial.items() <= refused.readable.items()
        return
    assert message.fields == shaped.decode(shaped.encode(message)).fields
