"""Fields that hold fields, as a dialect file says."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.codecs.dialect import Dialect, load_dialect
from acquirer.codecs.errors import CodecError, DialectError, LocalFormatError, RemoteFormatError
from acquirer.codecs.explain import explain_message, plain_text, shown_parts
from acquirer.codecs.message import Message

POSTILION = """
extends = "iso87_ascii"
[fields.127]
type = "raw"
max = 999999
prefix = 6
[fields.127.parts]
kind = "bitmap"
shown = true
[fields.127.parts.fields]
2 = { name = "switch key", type = "ans", max = 32, prefix = 2 }
3 = { name = "routing", type = "ans", length = 48 }
20 = { name = "settlement date", type = "n", length = 8 }
25 = { name = "ICC data", type = "ans", max = 9999, prefix = 4 }
33 = { name = "bank", type = "n", length = 3 }
[fields.48]
type = "ans"
max = 999
prefix = 3
parts = { kind = "tagged", names = { AB = "branch" }, binary = ["BB"] }
[fields.60]
type = "n"
max = 17
prefix = 3
parts = { kind = "positional", fields = { 1 = { type = "n", length = 2 }, \
2 = { type = "n", length = 6 }, 3 = { type = "n", length = 3 } } }
[fields.61]
type = "ans"
max = 999
prefix = 3
parts = { kind = "tagged", tag = 3, prefix = 2, length_first = true }
[fields.62]
type = "b"
max = 255
prefix = 3
parts = { kind = "ber" }
"""


def load(folder: Path, text: str) -> Dialect:
    """A dialect file of one's own."""
    path = folder / "vendor.toml"
    path.write_text(text, "utf-8")
    return load_dialect(str(path))


@pytest.fixture(name="dialect", scope="module")
def make_dialect(tmp_path_factory: pytest.TempPathFactory) -> Dialect:
    """One with fields of every kind."""
    return load(tmp_path_factory.mktemp("dialects"), POSTILION)


def test_a_bitmap_inside_a_field(dialect: Dialect) -> None:
    """As Postilion's DE127: a prefix of six digits, 64 bits, then the parts."""
    body = bytes.fromhex("4000100000000000") + b"04KEY1" + b"20261130"
    raw = b"0800" + bytes.fromhex("8000000000000000" + "0000000000000002") + b"000022" + body

    value = dialect.decode(raw).get(127)

    assert dialect.parts[127].split(value) == {"2": "KEY1", "20": "20261130"}
    assert dialect.parts[127].join({"20": "20261130", "2": "KEY1"}) == value
    assert dialect.encode(Message("0800", {127: value})) == raw


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("22000001000", {"1": "22", "2": "000001", "3": "000"}),
        ("22000001", {"1": "22", "2": "000001"}),
        ("", {}),
    ],
)
def test_parts_by_position_may_end_early(
    dialect: Dialect, value: str, parts: dict[str, str]
) -> None:
    """The terminals' DE60 is of this kind."""
    assert parts == dialect.parts[60].split(value)
    assert dialect.parts[60].join(parts) == value


@pytest.mark.parametrize(
    ("number", "value", "parts"),
    [
        (48, "AB00207BB002\x01\x02", {"AB": "07", "BB": "0102"}),
        (61, "06P01abc03P02", {"P01": "abc", "P02": ""}),
        (62, "9F27018095050000000000", {"9F27": "80", "95": "0000000000"}),
    ],
)
def test_tagged_parts(dialect: Dialect, number: int, value: str, parts: dict[str, str]) -> None:
    """Tag before length, length before tag, BER."""
    assert parts == dialect.parts[number].split(value)
    assert dialect.parts[number].join(parts) == value


@pytest.mark.parametrize(
    ("number", "value", "field"),
    [
        (60, "2200000", "60.2"),
        (60, "220000010001", "60.3"),
        (127, "4000000000000000" + "3034", "127.2"),
        (127, "0000000000000001" + "3034", "127.64"),
        (127, "40", "127.p"),
        (48, "ABx02", "48.AB"),
        (48, "AB00307", "48.AB"),
        (48, "AB00207AB00207", "48.AB"),
        (61, "02P01", "61.P01"),
    ],
)
def test_parts_of_another_shape(dialect: Dialect, number: int, value: str, field: str) -> None:
    """The error names the part."""
    with pytest.raises(RemoteFormatError) as caught:
        dialect.parts[number].split(value)

    assert field == caught.value.field


@pytest.mark.parametrize(
    ("number", "parts"),
    [
        (60, {"1": "2"}),
        (60, {"2": "000001"}),
        (127, {"64": "1"}),
        (127, {"2": "x" * 33}),
        (48, {"ABC": "1"}),
        (48, {"AB": "x" * 1000}),
        (48, {"BB": "0"}),
        (62, {"9F27": "8"}),
    ],
)
def test_parts_that_do_not_fit_are_not_sent(
    dialect: Dialect, number: int, parts: dict[str, str]
) -> None:
    """Ours to mend."""
    with pytest.raises(LocalFormatError):
        dialect.parts[number].join(parts)


@given(number=st.sampled_from([48, 60, 61, 62, 127]), data=st.binary(max_size=60))
def test_whatever_a_field_holds_is_cut_or_refused(
    dialect: Dialect, number: int, data: bytes
) -> None:
    """No error but the codec's own; what is cut is put together again."""
    value = data.decode("latin-1") if number in (48, 60, 61) else data.hex().upper()
    if number == 60:
        value = "".join(str(byte % 10) for byte in data)
    try:
        parts = dialect.parts[number].split(value)
    except CodecError:
        return
    assert dialect.parts[number].split(dialect.parts[number].join(parts)) == parts


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ("{ kind = 'bitmap', fields = { 2 = { type = 'n' } } }", "parts: field 2: .*length or max"),
        ("{ kind = 'bitmap', fields = { 1 = { type = 'n', length = 1 } } }", "parts: field 1"),
        ("{ kind = 'positional', fields = { 2 = { type = 'n', length = 1 } } }", "count from 1"),
        ("{ kind = 'tags' }", "fields.60.parts.kind"),
        ("{ king = 'bitmap' }", "fields.60.parts.king.*kind is missing"),
    ],
)
def test_mistakes_inside_parts_are_named(tmp_path: Path, parts: str, words: str) -> None:
    """With the place, at start."""
    with pytest.raises(DialectError, match=words):
        load(tmp_path, f"[fields]\n60 = {{ type = 'n', max = 9, prefix = 3, parts = {parts} }}\n")


def test_card_data_in_objects_is_never_shown(tmp_path: Path) -> None:
    """Parts of DE55 that may be shown, but for the PAN and the track in them, however deep."""
    dialect = load(
        tmp_path,
        'extends = "iso87_ascii"\n[fields.55]\ntype = "b"\nmax = 255\nprefix = 3\n'
        'parts = { kind = "ber", shown = true }\n',
    )
    pan = "5A0A6225882202982730907F"
    value = f"9F3602001C{pan}700C{pan}"

    shown = shown_parts({55: value}, dialect)[55]

    assert shown == {"9F36": "001C", "5A": "[10 bytes hidden]", "70": ""}
    assert "2202982730" not in plain_text(explain_message("0200", {55: value}, dialect))
