"""BER-TLV."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.codecs import bertlv
from acquirer.codecs.bertlv import Tlv, build, find, parse, readings, walk
from acquirer.codecs.errors import CodecError, LocalFormatError, RemoteFormatError

VECTORS = Path(__file__).parents[1] / "vectors" / "messages.json"


def test_icc_data_of_a_published_sale() -> None:
    """DE55 of cup-whty-sale, object by object, and back."""
    messages = json.loads(VECTORS.read_text("utf-8"))["messages"]
    whole = next(m["hex"] for m in messages if m["id"] == "cup-whty-sale")
    start = whole.index("9F2608")
    raw = bytes.fromhex(whole[start : start + 2 * 145])

    objects = parse(raw)

    assert objects[0].tag == "9F26"
    assert find(objects, "9F36") == bytes.fromhex("0FCD")
    assert find(objects, "84") == bytes.fromhex("A000000333010101")
    assert find(objects, "5A") is None
    assert raw == build(objects)


def test_constructed_object_has_children() -> None:
    """Template 71 with two objects inside."""
    objects = parse(bytes.fromhex("7109" + "9F18021234" + "860154" + "00"))

    assert objects[0].constructed
    assert [item.tag for item in walk(objects)] == ["71", "9F18", "86"]
    assert find(objects, "86") == b"\x54"


@pytest.mark.parametrize(
    "raw",
    [
        "00009A0318020900009C010000",
        "FFFF9A031802099C0100FF",
        "00FF9A03180209FF009C0100FF00FF",
    ],
)
def test_filler_between_objects_is_skipped(raw: str) -> None:
    """00 and FF, before, between and behind them (ISO/IEC 7816-4, 5.2.2)."""
    assert parse(bytes.fromhex(raw)) == (Tlv("9A", bytes.fromhex("180209")), Tlv("9C", b"\x00"))


def test_filler_inside_a_template_is_skipped() -> None:
    """As between any objects."""
    assert [item.tag for item in walk(parse(bytes.fromhex("7106FF00860154FF")))] == ["71", "86"]


@pytest.mark.parametrize("length", ["03", "8103", "820003", "83000003", "8400000003"])
def test_every_form_of_a_length_is_read(length: str) -> None:
    """One to five bytes, shortest or not."""
    assert parse(bytes.fromhex("9A" + length + "180209")) == (Tlv("9A", bytes.fromhex("180209")),)


def test_tag_that_begins_with_ff_is_read_where_no_filler_fits() -> None:
    """A private template, such as FF8105."""
    raw = bytes.fromhex("FF810505" + "9F27021122")

    assert [item.tag for item in walk(parse(raw))] == ["FF8105", "9F27"]


def test_bytes_that_can_be_read_in_two_ways_are_read_in_both() -> None:
    """FF as filler before tag 81, or as the first byte of FF8105."""
    both = readings(bytes.fromhex("FF8105049F270180"))

    assert [[item.tag for item in walk(objects)] for objects in both] == [
        ["81"],
        ["FF8105", "9F27"],
    ]
    assert len(readings(bytes.fromhex("9F270180FF"))) == 1
    assert readings(b"\x9f") == []


@pytest.mark.parametrize(
    ("size", "head"), [(127, "7F"), (128, "8180"), (255, "81FF"), (256, "820100")]
)
def test_lengths_are_written_in_their_shortest_form(size: int, head: str) -> None:
    """One byte to 127, two to 255, then three."""
    raw = build([("DF8101", bytes(size))])

    assert raw.startswith(bytes.fromhex("DF8101" + head))
    assert find(parse(raw), "DF8101") == bytes(size)


@pytest.mark.parametrize(
    ("raw", "field", "offset"),
    [
        ("9F", "55", 0),
        ("9F81818101", "55", 0),
        ("9A", "55", 1),
        ("9A80", "55", 1),
        ("9A830000FF", "55.9A", 5),
        ("9A850000000001FF", "55", 1),
        ("FFFF9A04FF", "55.9A", 4),
        ("9A82FF", "55", 1),
        ("9A0418", "55.9A", 2),
        ("71039A0218", "55.9A", 4),
        ("71" + "02", "55.71", 2),
    ],
)
def test_broken_objects_name_tag_and_offset(raw: str, field: str, offset: int) -> None:
    """Cut off, indefinite, or longer than what is left."""
    with pytest.raises(RemoteFormatError) as caught:
        parse(bytes.fromhex(raw))

    assert (caught.value.field, caught.value.offset) == (field, offset)


def test_limits_are_kept() -> None:
    """Depth, number of objects, size."""
    nested = build([("9A", b"")])
    for _ in range(bertlv.DEPTH_MAX - 1):
        nested = build([("71", nested)])
    parse(nested)
    for raw in (build([("71", nested)]), b"\x9a\x00" * (bertlv.OBJECTS_MAX + 1), bytes(4097)):
        with pytest.raises(RemoteFormatError, match="more than"):
            parse(raw)


@pytest.mark.parametrize("tag", ["", "00", "9F", "5A01", "9F8181", "ZZ", "DF81818101"])
def test_tag_that_is_none_is_our_error(tag: str) -> None:
    """Not written, whatever the value."""
    with pytest.raises(LocalFormatError):
        build([(tag, b"")])


def test_value_over_the_limit_is_our_error() -> None:
    """The limit of reading holds for writing too."""
    with pytest.raises(LocalFormatError):
        build([("9A", bytes(bertlv.BYTES_MAX + 1))])


def test_objects_do_not_show_their_values() -> None:
    """They may hold card data."""
    assert repr(Tlv("5A", b"\x62\x25")) == "Tlv(5A, 2 bytes)"


PRIMITIVE = st.sampled_from(["9A", "9F26", "DF8101", "5A", "82"])


@given(pairs=st.lists(st.tuples(PRIMITIVE, st.binary(max_size=300)), max_size=8))
def test_parse_reverses_build(pairs: list[tuple[str, bytes]]) -> None:
    """Any values under any tags."""
    assert pairs == [(item.tag, item.value) for item in parse(build(pairs))]


@given(raw=st.binary(max_size=200))
def test_any_bytes_give_objects_or_a_codec_error(raw: bytes) -> None:
    """Nothing else is raised."""
    try:
        objects = parse(raw)
    except CodecError:
        return
    if not any(item.tag.startswith("FF") for item in walk(objects)):
        assert objects == parse(build(objects))
