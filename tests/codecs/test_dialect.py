"""Dialect: decoding and encoding, errors, MACs, envelopes, match keys."""

from pathlib import Path

import pytest

from acquirer.codecs.dialect import Dialect, load_dialect
from acquirer.codecs.dialect_source import shipped_dialects
from acquirer.codecs.errors import LocalFormatError, RemoteFormatError
from acquirer.codecs.message import Message

CUP = load_dialect("cup_pos")
BANK = load_dialect("iso87_ascii")


def raw(mti: str, bitmap: str, body: str) -> bytes:
    """A terminal message from its hexadecimal parts."""
    return bytes.fromhex(mti + bitmap + body)


def test_shipped_dialects_are_those_of_the_interfaces() -> None:
    """The terminals' dialect, four of ISO 8583:1987, and that of order hosts."""
    iso87 = ["iso87_ascii", "iso87_ascii_hex", "iso87_bcd", "iso87_ebcdic"]
    expected = ["cup_pos", *iso87, "order_host"]
    assert expected == shipped_dialects()


@pytest.mark.parametrize("pad", ["0", "F"])
def test_left_aligned_odd_digits_accept_either_pad(pad: str) -> None:
    """DE22 n3 stands left in two bytes; the nibble beside it is 0 or F."""
    message = CUP.decode(raw("0800", "0000040000000000", f"021{pad}"))

    assert message.fields == {22: "021"}


def test_left_aligned_odd_digits_write_a_zero_pad() -> None:
    """Whatever was read, 0 is written."""
    message = CUP.decode(raw("0800", "0000040000000000", "021F"))

    assert raw("0800", "0000040000000000", "0210") == CUP.encode(message)


def test_left_aligned_odd_digits_refuse_another_pad() -> None:
    """A nibble of 5 beside three digits is no padding."""
    with pytest.raises(RemoteFormatError) as caught:
        CUP.decode(raw("0800", "0000040000000000", "0215"))

    assert caught.value.field == "22"


def test_right_aligned_odd_digits_have_a_zero_on_the_left() -> None:
    """DE23 n3 stands right in two bytes."""
    message = CUP.decode(raw("0800", "0000020000000000", "0001"))

    assert message.fields == {23: "001"}
    assert raw("0800", "0000020000000000", "0001") == CUP.encode(message)


def test_letters_in_a_numeric_field_are_a_format_error() -> None:
    """DE11 with a nibble A names field, offset and what was read before."""
    with pytest.raises(RemoteFormatError) as caught:
        CUP.decode(raw("0200", "2020000000000000", "00000000000A"))

    error = caught.value
    assert (error.field, error.offset, error.partial) == ("11", 13, {0: "0200", 3: "000000"})


def test_truncated_field_tells_what_was_read_before() -> None:
    """The error carries the MTI and the whole fields."""
    with pytest.raises(RemoteFormatError) as caught:
        CUP.decode(raw("0200", "2020000000000000", "0000000000"))

    assert caught.value.partial == {0: "0200", 3: "000000"}


@pytest.mark.parametrize(
    ("bitmap", "body", "field"),
    [
        ("3020040000800000", "00000000000000001A0000170210" + b"10000001".hex(), "4"),
        ("2020040000800000", "0000000000170215" + b"10000001".hex(), "22"),
        ("2020000020800000", "0000000000173933" + "31" * 19 + b"10000001".hex(), "35"),
        ("2020000004800000", "000000000017FF4130313233" + b"10000001".hex(), "38"),
    ],
)
def test_fields_around_a_wrong_one_are_readable(bitmap: str, body: str, field: str) -> None:
    """DE11 and DE41 are there for a reply with code 30 where the lengths still lead to them."""
    with pytest.raises(RemoteFormatError) as caught:
        CUP.decode(raw("0200", bitmap, body))

    readable = caught.value.readable
    assert field == caught.value.field
    assert (readable[0], readable[11], readable[41]) == ("0200", "000017", "10000001")
    assert int(field) not in readable


def test_undefined_field_is_named_as_such() -> None:
    """A bit of the bitmap that the dialect lacks fails with that field."""
    with pytest.raises(RemoteFormatError, match="field 5: not part of this dialect"):
        CUP.decode(raw("0200", "0800000000000000", "00"))


def test_third_bitmap_is_refused() -> None:
    """Bit 65 announces fields above 128, which no dialect here has."""
    bitmaps = bytes.fromhex("800000000000000080000000000000000000000000000000")

    with pytest.raises(RemoteFormatError, match="field 65: not part of this dialect"):
        BANK.decode(b"0800" + bitmaps)


def test_mti_of_other_than_digits_is_refused() -> None:
    """Letters in the MTI are no message."""
    with pytest.raises(RemoteFormatError, match="MTI"):
        CUP.decode(raw("02A0", "0000000000000000", ""))


@pytest.mark.parametrize("prefix", [b" 5", b"+5", b"-1", b"0A"])
def test_text_length_prefix_holds_digits_only(prefix: bytes) -> None:
    """Signs and blanks that Python would read as numbers are refused."""
    body = b"0200" + bytes.fromhex("0000000100000000") + prefix + b"12345"

    with pytest.raises(RemoteFormatError) as caught:
        BANK.decode(body)

    assert caught.value.field == "32"


@pytest.mark.parametrize(
    ("field", "value"),
    [(11, "12345A"), (11, "12345"), (35, "62X"), (52, "0G"), (99, "1"), (5, "0"), (65, "00")],
)
def test_encode_refuses_values_that_do_not_fit(field: int, value: str) -> None:
    """The error is ours, and names the field."""
    with pytest.raises(LocalFormatError) as caught:
        CUP.encode(Message("0200", {field: value}))

    assert str(field) == caught.value.field


def test_tracks_are_written_with_an_equals_sign_in_text_dialects() -> None:
    """In memory the separator is D, in ASCII it is = by default, and both are read."""
    message = Message("0200", {35: "6225880000000007D3012101"})

    encoded = BANK.encode(message)

    assert encoded.endswith(b"6225880000000007=3012101")
    assert message.fields == BANK.decode(encoded.replace(b"=", b"D")).fields


def test_enciphered_tracks_may_hold_any_nibble() -> None:
    """With the third digit of DE53 set, DE35 is a cryptogram."""
    message = Message("0200", {35: "6225880000A0000BCDEF", 53: "2610000000000000"})

    assert message == CUP.decode(CUP.encode(message))
    with pytest.raises(LocalFormatError):
        CUP.encode(Message("0200", {**message.fields, 53: "2600000000000000"}))


def test_unlisted_text_of_a_bank_reply_is_kept() -> None:
    """Bytes beyond ASCII in a bank's free text do not fail the message."""
    message = Message("0210", {39: "00", 44: "\xc4\xe3\xba\xc3"})

    assert message == BANK.decode(BANK.encode(message))


@pytest.mark.parametrize(
    ("dialect", "fields", "field"),
    [(CUP, {11: "", 64: ""}, 64), (BANK, {11: "", 64: ""}, 64), (BANK, {70: "", 128: ""}, 128)],
)
def test_mac_is_the_last_field(dialect: Dialect, fields: dict[int, str], field: int) -> None:
    """64, or 128 with a secondary bitmap."""
    assert field == dialect.mac_field(fields)


@pytest.mark.parametrize("name", ["cup_pos", "iso87_ascii", "iso87_ascii_hex", "iso87_ebcdic"])
@pytest.mark.parametrize("field", [64, 128])
def test_mac_replaces_its_placeholder(name: str, field: int) -> None:
    """The bytes under the MAC end before it, in binary and hexadecimal dialects alike."""
    dialect = load_dialect(name)
    if field not in dialect.types:
        field = 64
    message = Message("0200", {11: "000001", field: "00" * 8})
    encoded = dialect.encode(message)
    mac = bytes.fromhex("0123456789ABCDEF")

    sealed = dialect.with_mac(encoded, mac)

    assert mac == dialect.decode(sealed).binary(field)
    assert dialect.mac_input(encoded) == dialect.mac_input(sealed)
    assert encoded.startswith(dialect.mac_input(sealed))


def test_envelope_is_cut_and_answered_with_swapped_addresses() -> None:
    """TPDU source and destination change places; the header is echoed."""
    frame = bytes.fromhex("6000030001613100311108") + b"message"

    envelope, message = CUP.split_envelope(frame)

    assert message == b"message"
    assert bytes.fromhex("6000010003613100311108") == CUP.reply_envelope(envelope)


def test_dialect_without_envelope_cuts_nothing() -> None:
    """A bank's frame is the message."""
    assert BANK.split_envelope(b"0800") == (b"", b"0800")
    assert BANK.reply_envelope(b"") == b""


def test_frame_shorter_than_its_envelope_is_refused() -> None:
    """Nothing is left for a message."""
    with pytest.raises(RemoteFormatError):
        CUP.split_envelope(bytes(11))


def test_fixed_header_of_a_link_is_written_and_cut(tmp_path: Path) -> None:
    """A dialect file can name a header that stands before each message."""
    path = tmp_path / "vendor.toml"
    path.write_text('extends = "iso87_ascii"\nheader = "49534F303030"\n', "utf-8")
    dialect = load_dialect(str(path))

    assert dialect.envelope == b"ISO000"
    assert dialect.split_envelope(b"ISO0000800") == (b"ISO000", b"0800")
    assert dialect.reply_envelope(b"ISO000") == b"ISO000"


def test_match_key_is_shared_by_request_and_reply() -> None:
    """The MTI's class and the dialect's fields; the function digit does not count."""
    fields = {7: "0604123456", 11: "000017", 37: "123456789012"}

    request = BANK.match_key(Message("0200", {**fields, 4: "000000000100"}))
    reply = BANK.match_key(Message("0210", {**fields, 39: "00"}))

    assert request == ("02", "0604123456", "000017", "123456789012")
    assert request == reply


def test_needed_field_that_is_absent_is_named() -> None:
    """A dialect says what a message cannot be understood without."""
    with pytest.raises(RemoteFormatError) as caught:
        BANK.check_needs(Message("0210", {11: "000017"}))

    assert caught.value.field == "39"


def test_fields_beyond_the_needed_ones_are_kept() -> None:
    """What a dialect does not list for an MTI is no error."""
    BANK.check_needs(Message("0210", {11: "000017", 39: "00", 120: "more"}))
    BANK.check_needs(Message("9999", {}))


def test_host_that_always_sends_both_bitmaps(tmp_path: Path) -> None:
    """Sixteen bytes follow the MTI, and bit 1 is clear."""
    path = tmp_path / "both.toml"
    path.write_text('extends = "iso87_ascii"\nsecondary_bitmap = "always"\n', "utf-8")
    dialect = load_dialect(str(path))
    short, long = Message("0800", {11: "000001"}), Message("0800", {11: "000001", 70: "301"})

    assert b"0800" + bytes.fromhex("0020" + "00" * 14) + b"000001" == dialect.encode(short)
    assert bytes.fromhex("00200000000000000400000000000000") == dialect.encode(long)[4:20]
    assert [short, long] == [dialect.decode(m.raw) for m in (short, long)]
    assert dialect.mac_field({11}) == 128


@pytest.mark.parametrize("name", ["nope", "", "../dialects/cup_pos", "nope.toml"])
def test_unknown_dialect_is_the_operators_error(name: str) -> None:
    """The text names what was asked for."""
    with pytest.raises(ValueError, match="dialect"):
        load_dialect(name)


def test_repr_shows_the_dialect_and_masks_messages() -> None:
    """No card data in a debugger or log."""
    message = Message("0200", {2: "6225880000000007", 52: "F421C8F4FFE584DC"})

    assert repr(CUP) == "Dialect('cup_pos', 39 fields)"
    assert repr(message) == "Message(0200 2='622588******0007', 52='[8 bytes hidden]')"
