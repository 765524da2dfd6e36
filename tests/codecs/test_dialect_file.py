"""Dialect files: every mistake is named, and the documented example compiles."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from acquirer.codecs.dialect import Dialect, load_dialect
from acquirer.codecs.dialect_file import Defaults, DialectFile, FieldFormat
from acquirer.codecs.errors import DialectError
from acquirer.codecs.message import Message

PAGE = Path(__file__).parents[2] / "docs" / "dialects.md"


def load(folder: Path, text: str) -> Dialect:
    """Write a dialect file and load it."""
    path = folder / "vendor.toml"
    path.write_text(text, "utf-8")
    load_dialect.cache_clear()
    return load_dialect(str(path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mti = ", "vendor.toml"),
        ("mit = 'bcd'", "no such key: mit"),
        ("mti = 'utf9'", "mti"),
        ("length_header = 'binary3'", "length header"),
        ("match_key = [11]", "match_key"),
        ("match_key = [7, 37]", "match_key"),
        ("reversal_mti = '0500'", "reversal_mti"),
        ("tpdu = '60'", "tpdu"),
        ("header = 'XY'", "header"),
        ("extends = 5", "extends"),
        ("extends = 'nope'", "nope"),
        ("extends = 'vendor.toml'", "extends"),
        ("fields = 5", "fields"),
        ("[defaults]\nnumerics = 'bcd'", "defaults.numerics"),
        ("[fields]\n3 = 5", "fields"),
        ("[fields]\nx = { type = 'n', length = 1 }", "field x"),
        ("[fields]\n1 = { type = 'n', length = 1 }", "field 1"),
        ("[fields]\n65 = { type = 'n', length = 1 }", "field 65"),
        ("[fields]\n129 = { type = 'n', length = 1 }", "field 129"),
        ("[fields]\n3 = { length = 6 }", "type"),
        ("[fields]\n3 = { type = 'q', length = 6 }", "type"),
        ("[fields]\n3 = { type = 'n', lenght = 6 }", "fields.3.lenght"),
        ("[fields]\n3 = { type = 'n' }", "field 3: .*length or max"),
        ("[fields]\n3 = { type = 'n', length = 6, max = 6 }", "length or max"),
        ("[fields]\n3 = { type = 'n', length = 0 }", "1 to 9999"),
        ("[fields]\n3 = { type = 'n', length = 6, prefix = 2 }", "prefix"),
        ("[fields]\n2 = { type = 'n', max = 19 }", "prefix"),
        ("[fields]\n2 = { type = 'n', max = 190, prefix = 2 }", "does not fit"),
        ("[fields]\n55 = { type = 'b', max = 600, prefix = 3, encoding = 'hex' }", "does not fit"),
        ("[fields]\n2 = { type = 'n', max = 19, prefix = 2, encoding = 'raw' }", "encoding"),
        ("[fields]\n52 = { type = 'b', length = 8, encoding = 'bcd' }", "encoding"),
        ("[fields]\n43 = { type = 'ans', length = 40, fill = '  ' }", "fill"),
        ("[fields]\n11 = { type = 'n', length = 6, fill = ' ' }", "fill"),
        (
            "[fields]\n64 = { type = 'b', length = 8 }\n"
            "128 = { type = 'b', length = 8, encoding = 'hex' }",
            "64 and 128",
        ),
    ],
)
def test_mistake_in_a_dialect_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    """The operator reads file and key or field."""
    with pytest.raises(DialectError, match=words) as caught:
        load(tmp_path, text)

    assert "vendor.toml" in str(caught.value)


def test_extending_file_replaces_whole_fields_and_single_defaults(tmp_path: Path) -> None:
    """What the extending file does not name stays."""
    dialect = load(
        tmp_path,
        'extends = "iso87_bcd"\n[defaults]\nprefix_encoding = "ascii"\n'
        '[fields]\n49 = { name = "currency", type = "n", length = 3, odd = "left" }\n',
    )

    encoded = dialect.encode(Message("0200", {32: "123", 49: "156"}))

    assert encoded[-2:].hex() == "1560"
    assert encoded[10:14] == b"03\x12\x30"
    assert dialect.names[37] == "RRN"


def test_extending_file_is_found_beside_the_extending_one(tmp_path: Path) -> None:
    """A path in ``extends`` starts at the file's own folder."""
    (tmp_path / "base.toml").write_text('extends = "iso87_ascii"\nbitmap = "hex"\n', "utf-8")

    dialect = load(tmp_path, 'extends = "base.toml"\nlength_header = "ascii4"\n')

    assert dialect.encode(Message("0800", {11: "000001"})) == b"08000020000000000000000001"


def test_pad_nibble_and_its_reading_are_keys_of_the_file(tmp_path: Path) -> None:
    """A vendor may write F and accept nothing else."""
    dialect = load(
        tmp_path,
        'mti = "bcd"\n[defaults]\nnumeric = "bcd"\nprefix_encoding = "bcd"\n[fields]\n'
        '2 = { type = "n", max = 19, prefix = 2, odd = "left", pad = "F", accept_pad = "F" }\n',
    )
    encoded = dialect.encode(Message("0200", {2: "123456789"}))

    assert encoded[10:].hex() == "09123456789f"
    with pytest.raises(ValueError, match="field 2"):
        dialect.decode(encoded[:-1] + b"\x90")


def test_short_values_are_filled_where_the_file_says_so(tmp_path: Path) -> None:
    """Pad side and character belong to the field."""
    dialect = load(
        tmp_path,
        '[fields]\n4 = { type = "n", length = 12, fill = "0", fill_side = "left" }\n'
        '42 = { type = "ans", length = 15, fill = " " }\n',
    )

    decoded = dialect.decode(dialect.encode(Message("0200", {4: "100", 42: "SHOP"})))

    assert decoded.fields == {4: "000000000100", 42: "SHOP           "}


def test_documented_example_compiles(tmp_path: Path) -> None:
    """The worked example of docs/dialects.md loads and gives the bytes that the page shows."""
    page = PAGE.read_text("utf-8")
    example = re.search(r"```toml\n(# northbank.*?)```", page, re.DOTALL)
    shown = re.search(r"```text\n(0800.*?)```", page, re.DOTALL)
    assert example
    assert shown

    dialect = load(tmp_path, example[1])
    message = Message("0800", {7: "0604123456", 11: "000017", 48: "hello", 49: "156", 70: "301"})

    assert "".join(shown[1].split()) == dialect.encode(message).hex().upper()


def test_documented_shapes_are_as_shown(tmp_path: Path) -> None:
    """The second example, with signed amount, byte-counting prefix, filling and trailer."""
    page = PAGE.read_text("utf-8")
    example = re.search(r"```toml\n(# shapes.*?)```", page, re.DOTALL)
    shown = re.search(r"```text\n(0200.*?)```", page, re.DOTALL)
    assert example
    assert shown

    dialect = load(tmp_path, example[1])
    message = Message("0200", {11: "000017", 28: "D00000150", 41: "T1", 60: "005100000005"})
    frame = bytes.fromhex(shown[1])

    assert dialect.frame_body(dialect.encode(message)) == frame
    assert dialect.decode(dialect.split_envelope(frame)[1]).fields == message.fields


def test_documented_keys_are_all_there() -> None:
    """The page names every key that a file can hold."""
    page = PAGE.read_text("utf-8")
    keys = {f.name for kind in (DialectFile, Defaults, FieldFormat) for f in fields(kind)}

    assert set() == {key for key in keys if f"`{key}`" not in page and f"[{key}" not in page}
