"""DE59's items."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.codecs.de59 import BYTES_MAX, ITEMS_MAX, De59
from acquirer.codecs.errors import CodecError, DialectError, LocalFormatError, RemoteFormatError


def test_items_keep_their_order() -> None:
    """Bytes out are bytes in."""
    raw = b"OC003C01ON004SF12"

    items = De59.parse(raw)

    assert list(items) == ["OC", "ON"]
    assert (items.text("ON"), items.text("OC")) == ("SF12", "C01")
    assert raw == bytes(items)
    assert raw.hex().upper() == items.hex


def test_length_counts_bytes_of_the_encoding() -> None:
    """Two characters of GB18030 are four bytes."""
    items = De59.build({"OT": "你好"})

    assert bytes(items) == b"OT004\xc4\xe3\xba\xc3"
    assert De59.parse(bytes(items)).text("OT") == "你好"


def test_encoding_belongs_to_the_terminal() -> None:
    """The same text in another encoding."""
    items = De59.build({"OT": "你好"}, "utf-8")

    assert items.text("OT", "utf-8") == "你好"


@pytest.mark.parametrize("tag", ["ON", "N2", "N9", "OC"])
@pytest.mark.parametrize(
    "character", ["\x00", "\x1b", "\x7f", "\x9b", "\u202e", "\u2066", "\u200f"]
)
def test_a_number_holds_nothing_that_cannot_be_seen(tag: str, character: str) -> None:
    """Control, C1 and bidi characters in an order number or a courier id are a format error."""
    items = De59.build({tag: f"SF1{character}2"})

    with pytest.raises(RemoteFormatError) as caught:
        items.text(tag)

    assert f"59.{tag}" == caught.value.field


def test_absent_item_is_empty_or_refused() -> None:
    """``text`` gives the empty string, ``need`` an error with the tag."""
    items = De59.parse(b"")

    assert (items.text("ON"), items.get("ON"), len(items)) == ("", None, 0)
    assert "ON" not in items
    with pytest.raises(RemoteFormatError) as caught:
        items.need("ON")
    assert caught.value.field == "59.ON"


@pytest.mark.parametrize(
    ("raw", "field", "offset"),
    [
        (b"O", "59", 0),
        (b"O-003abc", "59", 0),
        (b"ON", "59.ON", 2),
        (b"ON00", "59.ON", 2),
        (b"ON0 3abc", "59.ON", 2),
        (b"ON003ab", "59.ON", 5),
        (b"ON001aOC002x", "59.OC", 11),
        (b"ON001aON001b", "59.ON", 6),
        (b"A" * (BYTES_MAX + 1), "59", -1),
    ],
)
def test_broken_items_name_tag_and_offset(raw: bytes, field: str, offset: int) -> None:
    """Where a terminal vendor must look."""
    with pytest.raises(RemoteFormatError) as caught:
        De59.parse(raw)

    assert (field, offset) == (caught.value.field, caught.value.offset)


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("ON", ""),
        ("ON", "x" * 41),
        ("ON", "line\nbreak"),
        ("OC", "x" * 21),
        ("OS", "0"),
        ("OW", "4"),
        ("OX", "1x"),
    ],
)
def test_known_items_have_a_shape(tag: str, text: str) -> None:
    """Lengths and digits of the interface's table."""
    with pytest.raises(RemoteFormatError) as caught:
        De59.build({tag: text}).text(tag)

    assert f"59.{tag}" == caught.value.field


def test_order_number_of_forty_wide_characters_is_allowed() -> None:
    """The limit counts characters, not bytes."""
    assert De59.build({"ON": "单" * 40}).need("ON") == "单" * 40


def test_bytes_that_are_no_text_are_refused_when_read_as_text() -> None:
    """The item itself parses."""
    items = De59.parse(b"OD002\xff\xff")

    assert items.get("OD") == b"\xff\xff"
    with pytest.raises(RemoteFormatError, match="gb18030"):
        items.text("OD")


@pytest.mark.parametrize(
    "texts",
    [
        {"O": "x"},
        {"O-": "x"},
        {"OD": "x" * (BYTES_MAX - 4)},
        {f"{n:02d}": "" for n in range(ITEMS_MAX + 1)},
    ],
)
def test_items_beyond_the_limits_are_our_error(texts: dict[str, str]) -> None:
    """Nothing is sent that the field cannot hold."""
    with pytest.raises(LocalFormatError):
        De59.build(texts)


def test_text_that_the_encoding_lacks_is_our_error() -> None:
    """ASCII has no Chinese characters."""
    with pytest.raises(LocalFormatError, match="ascii"):
        De59.build({"OT": "你"}, "ascii")


@pytest.mark.parametrize("encoding", ["klingon", "hex"])
def test_encoding_that_does_not_exist_is_the_operators_error(encoding: str) -> None:
    """A wrong terminal profile."""
    with pytest.raises(DialectError):
        De59.build({"OT": "x"}, encoding)
    with pytest.raises(DialectError):
        De59.parse(b"OT001x").text("OT", encoding)


TAGS = st.text("ABCXYZ019", min_size=2, max_size=2)


@given(texts=st.dictionaries(TAGS, st.text(st.characters(codec="gb18030"), max_size=8), max_size=9))
def test_parse_reverses_build(texts: dict[str, str]) -> None:
    """Any text of the encoding survives."""
    items = De59.build(texts)

    assert items == De59.parse(bytes(items))
    assert texts == {tag: items.text(tag) for tag in items}


@given(raw=st.binary(max_size=BYTES_MAX + 5))
def test_any_bytes_give_items_or_a_codec_error(raw: bytes) -> None:
    """Nothing else is raised, and what parses is written back alike."""
    try:
        assert raw == bytes(De59.parse(raw))
    except CodecError:
        return
