"""Reading around a field at fault: the rest of the message is there, and what is wrong is told."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquirer.codecs.dialect import Dialect, load_dialect
from acquirer.codecs.dialect_source import shipped_dialects
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.message import Message

CUP = load_dialect("cup_pos")
BANK = load_dialect("iso87_ascii")
REPLY = {7: "0604123456", 11: "000017", 37: "123456789012", 38: "000123", 39: "00"}
SAMPLES = {"n": "1", "z": "6D1", "an": "A", "ans": "A", "b": "AB", "raw": "AB"}


@pytest.fixture
def chinese(tmp_path: Path) -> Dialect:
    """A bank whose text is GB18030."""
    path = tmp_path / "chinese.toml"
    path.write_text('extends = "iso87_ascii"\n[defaults]\ntext = "gb18030"\n', "utf-8")
    return load_dialect(str(path))


def faults_of(faults: tuple[RemoteFormatError, ...]) -> list[tuple[str, int, str]]:
    """Field, byte and reason of each."""
    return [(fault.field, fault.offset, fault.text) for fault in faults]


def with_text(dialect: Dialect, number: int, data: bytes) -> tuple[bytes, int]:
    """A reply whose field of text, with a prefix of two digits, has these bytes, and its place."""
    text = "x" * len(data)
    raw = dialect.encode(Message("0210", {**REPLY, number: text}))
    at = raw.index(b"%02d" % len(data) + text.encode())
    return raw[:at] + b"%02d" % len(data) + data + raw[at + 2 + len(data) :], at


def test_a_sound_message_has_no_faults() -> None:
    """As it is decoded otherwise."""
    raw = BANK.encode(Message("0210", dict(REPLY)))

    assert (BANK.decode(raw), ()) == BANK.decode_around(raw)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"A" * 23 + b"\xc4", "A" * 23),
        ("余额不足".encode("gb18030") + b"\x81\x30\x81", "余额不足"),
        (b"\x81\x30", ""),
    ],
)
def test_cut_text_is_read_as_far_as_it_goes(chinese: Dialect, data: bytes, text: str) -> None:
    """Half a character at the end; where nothing is before it, there is no field."""
    raw, at = with_text(chinese, 44, data)

    message, faults = chinese.decode_around(raw)

    assert text == message.get(44)
    assert REPLY == {number: message.get(number) for number in REPLY}
    reason = "cut inside a character" if text else "no text in gb18030"
    assert [("44", at, reason)] == faults_of(faults)
    assert raw == message.raw


def test_text_that_is_none_is_left_out(chinese: Dialect) -> None:
    """Not a cut, but bytes of another encoding."""
    raw, at = with_text(chinese, 44, b"A\xffB")

    message, faults = chinese.decode_around(raw)

    assert REPLY == message.fields
    assert [("44", at)] == [fault[:2] for fault in faults_of(faults)]


@pytest.mark.parametrize(
    ("dialect", "fields", "sound", "broken", "field"),
    [
        (BANK, {24: "789"}, b"789", b"78A", "24"),
        (BANK, {44: "A" * 25}, b"25" + b"A" * 25, b"26" + b"A" * 26, "44"),
        (CUP, {22: "077"}, bytes.fromhex("0770"), bytes.fromhex("0775"), "22"),
        (CUP, {15: "0604"}, bytes.fromhex("0604"), bytes.fromhex("06F4"), "15"),
        (CUP, {44: "abc"}, b"\x03abc", b"\x26" + b"x" * 26, "44"),
    ],
)
def test_a_field_whose_length_is_certain_is_left_out(
    dialect: Dialect, fields: dict[int, str], sound: bytes, broken: bytes, field: str
) -> None:
    """Letters among digits, another padding, more than the dialect allows."""
    whole = {11: "000017", 37: "555555555555", **fields, 41: "10000001"}
    raw = dialect.encode(Message("0210", whole))
    assert 1 == raw.count(sound)

    message, faults = dialect.decode_around(raw.replace(sound, broken))

    assert {11: "000017", 37: "555555555555", 41: "10000001"} == message.fields
    assert [(field, raw.index(sound))] == [fault[:2] for fault in faults_of(faults)]


@pytest.mark.parametrize(
    ("sound", "broken", "field"),
    [
        (b"03abc", b" 3abc", "44"),
        (b"03abc", b"x3abc", "44"),
        (b"03abc", b"04abc", "49"),
        (b"03abc", b"02abc", "49"),
        (b"156", b"156!", "49"),
        (b"156", b"15", "49"),
    ],
)
def test_a_message_whose_lengths_are_not_certain_is_refused(
    sound: bytes, broken: bytes, field: str
) -> None:
    """A prefix that is none, bytes too many or too few; what can be read is told all the same."""
    raw = BANK.encode(Message("0210", {**REPLY, 44: "abc", 49: "156"}))

    with pytest.raises(RemoteFormatError) as caught:
        BANK.decode_around(raw.replace(sound, broken))

    error = caught.value
    assert field == error.field
    readable = {number: error.readable[number] for number in REPLY}
    assert (REPLY, "0210") == (readable, error.readable[0])


@pytest.mark.parametrize("broken", [b"02A0" + bytes(8), b"02", b"0200" + b"\xff" * 24, b""])
def test_what_has_no_head_is_refused(broken: bytes) -> None:
    """No MTI, no bitmap, or one of fields that no dialect has."""
    with pytest.raises(RemoteFormatError):
        BANK.decode_around(broken)


def field_bytes(dialect: Dialect, number: int, value: str) -> bytes:
    """A data element as it stands in a message."""
    alone, none = Message("0210", {number: value}), Message("0210", {})
    secondary = dialect.bitmap.half_size if number > 64 and not dialect.bitmap.always_both else 0
    return dialect.encode(alone)[len(dialect.encode(none)) + secondary :]


@settings(max_examples=200, deadline=None)
@given(data=st.data(), name=st.sampled_from(shipped_dialects()))
def test_whatever_one_field_holds_the_others_are_read(data: st.DataObject, name: str) -> None:
    """Any bytes in the place of a field's own, as many: all other fields are as they were."""
    dialect = load_dialect(name)
    numbers = data.draw(st.lists(st.sampled_from(sorted(dialect.types)), min_size=2, unique=True))
    fields = {number: sample(dialect, number) for number in sorted(numbers)}
    fields.pop(53, None)
    wrong = data.draw(st.sampled_from(sorted(fields)))
    raw = dialect.encode(Message("0210", dict(fields)))
    body = field_bytes(dialect, wrong, fields[wrong])
    at = len(raw) - sum(
        len(field_bytes(dialect, number, value))
        for number, value in fields.items()
        if number >= wrong
    )
    prefix = len(body) - content_bytes(dialect, wrong)
    noise = data.draw(st.binary(min_size=len(body) - prefix, max_size=len(body) - prefix))

    message, faults = dialect.decode_around(
        raw[:at] + body[:prefix] + noise + raw[at + len(body) :]
    )

    others = {number: value for number, value in fields.items() if number != wrong}
    assert others == {n: value for n, value in message.fields.items() if n != wrong}
    assert [fault.field for fault in faults] in ([], [str(wrong)])
    assert wrong in message.fields or [(str(wrong), at)] == [f[:2] for f in faults_of(faults)]


def sample(dialect: Dialect, number: int) -> str:
    """A value that fits."""
    spec: dict[str, Any] = dialect._spec[str(number)]
    one = SAMPLES[dialect.types[number]]
    if spec["len_type"]:
        return one
    units: int = spec["max_len"]
    if dialect.types[number] in ("b", "raw"):
        return one * (units if spec["data_enc"] == "b" else units // 2)
    return one * units


def content_bytes(dialect: Dialect, number: int) -> int:
    """How many bytes a sample has without its prefix."""
    return len(field_bytes(dialect, number, sample(dialect, number))) - int(
        dialect._spec[str(number)]["len_type"]
    )
