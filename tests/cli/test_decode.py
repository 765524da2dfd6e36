"""``acquirer decode``."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from acquirer.cli.decode import register
from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.message import Message

VECTORS = Path(__file__).parents[1] / "vectors" / "messages.json"
MESSAGES: dict[str, dict[str, Any]] = {
    m["id"]: m for m in json.loads(VECTORS.read_text("utf-8"))["messages"]
}
SALE = MESSAGES["cup-halo-sale"]["hex"]
CHIP_SALE = MESSAGES["cup-whty-sale"]["hex"]


def run(*arguments: str, given: str | bytes | None = None) -> Result:
    """Run the command as ``acquirer decode`` runs it."""
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return CliRunner().invoke(app, ["decode", *arguments], input=given)


def decoded(*arguments: str, given: str | bytes | None = None) -> list[dict[str, Any]]:
    """The objects that ``--json`` prints."""
    return [json.loads(x) for x in run(*arguments, "--json", given=given).stdout.splitlines()]


def test_message_is_printed_field_by_field() -> None:
    """Framing, TPDU, header, MTI, bitmap, fields with names, parts underneath."""
    result = run("--dialect", "cup_pos", SALE)

    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert lines[:5] == [
        "found length, TPDU, header",
        "length 0070 112 bytes follow",
        "TPDU 6000040000 to 0004, from 0000",
        "header 602200000000 application class 60, software 22, status 0, demand 0 (nothing), "
        "sub-version 000000",
        "MTI 0200 financial request",
    ]
    assert "35 track 2 622155******0728D*" in lines
    assert "batch 000001" in lines


def test_nothing_secret_is_printed() -> None:
    """Neither PAN nor track nor PIN block, in either form."""
    for arguments in ([CHIP_SALE], [CHIP_SALE, "--json"]):
        text = run(*arguments).stdout
        for secret in MESSAGES["cup-whty-sale"]["expected"]["2"], "7D6A7408DFE2E9E5", "D2308":
            assert secret not in text


SIGN_ON_REPLIES = [name for name in MESSAGES if name.endswith("signin-rsp")]


@pytest.mark.parametrize("name", SIGN_ON_REPLIES)
def test_working_keys_are_told_without_the_keys(name: str) -> None:
    """Name, length and check value of each; no byte of a cryptogram in either form."""
    whole = MESSAGES[name]["expected"]["62"].upper()
    (shown,) = decoded(MESSAGES[name]["hex"])
    names = [key["name"] for key in shown["keys"]]
    assert ["PIN key", "MAC key"] == names
    for key in shown["keys"]:
        assert key["kcv"] in whole
        assert key["size_bytes"] in (8, 16)
    text = run(MESSAGES[name]["hex"]).stdout + run(MESSAGES[name]["hex"], "--json").stdout
    kcvs = {key["kcv"] for key in shown["keys"]}
    parts = {whole[at : at + 8] for at in range(0, len(whole), 8)} - kcvs - {"00000000"}
    assert not [part for part in parts if part in text.upper()]


@pytest.mark.parametrize("name", [name for name in MESSAGES if name.startswith("cup")])
def test_json_gives_what_may_be_shown(name: str) -> None:
    """Fields that are not card data, PIN or keys are as the message's source says."""
    (shown,) = decoded(MESSAGES[name]["hex"])

    expected = {k: v for k, v in MESSAGES[name]["expected"].items() if k not in ("2", "35", "52")}
    if shown["mti"] == "0810" and name.endswith("signin-rsp"):
        expected["62"] = "[40 bytes hidden]"
    assert shown["error"] is None
    assert shown["mti"] == expected.pop("t", shown["mti"])
    assert expected == {key: shown["fields"][key] for key in expected}
    assert shown["tpdu"] == MESSAGES[name]["framing"].get("tpdu")
    assert shown["header"] == MESSAGES[name]["framing"].get("header")


def test_standard_input_is_read_line_by_line() -> None:
    """One object a message; blank lines do not count."""
    objects = decoded("-", given=f"{SALE}\n\n{CHIP_SALE.lower()}\n")

    assert [x["framing"] for x in objects] == ["length, TPDU, header", "bare message"]
    assert [x["fields"]["11"] for x in objects] == ["100175", "000105"]


def test_broken_message_shows_the_fields_before_the_error() -> None:
    """The object has all keys, and the exit code is 1."""
    result = run("-", "--json", given=f"{CHIP_SALE[:60]}\n{SALE}\nnothing\n")

    first, second, third = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert first["mti"] == "0200"
    assert first["fields"]["2"] == "621785*********0804"
    assert first["error"].startswith("field 11: ")
    assert second["error"] is None
    assert (third["mti"], third["fields"], third["error"]) == (None, {}, "not hexadecimal: 'n'")


def test_error_is_printed_under_the_fields() -> None:
    """The plain form says it too."""
    result = run(SALE[:-4])

    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].startswith("error")


def test_bank_dialect_with_its_length_header() -> None:
    """The frame of a bank link, and DE48 of a key exchange hidden."""
    dialect = load_dialect("iso87_ascii_hex")
    key = "X" + "0123456789ABCDEF" * 2 + "08D7B4"
    message = Message("0800", {7: "0604123456", 11: "000001", 48: key, 70: "101"})
    frame = dialect.length_header.encode(dialect.encode(message))

    (shown,) = decoded("--dialect", "iso87_ascii_hex", frame.hex())

    assert shown["framing"] == "length"
    assert shown["fields"] == {
        "7": "0604123456",
        "11": "000001",
        "48": "[39 characters hidden]",
        "70": "101",
    }


def test_dialect_file_of_ones_own(tmp_path: Path) -> None:
    """A path in place of a name."""
    path = tmp_path / "own.toml"
    path.write_text('extends = "iso87_ascii"\nbitmap = "hex"\n', "utf-8")

    (shown,) = decoded("-d", str(path), b"08000020000000000000000001".hex())

    assert shown["fields"] == {"11": "000001"}


def test_order_text_is_shown_in_the_terminals_encoding() -> None:
    """GB18030 unless told otherwise."""
    value = "4F54303036" + "你好".encode().hex()
    raw = load_dialect("cup_pos").encode(Message("0210", {59: value})).hex()

    assert decoded(raw, "--encoding", "utf-8")[0]["fields"]["59"] == "OT006你好"


def lines_of(*arguments: str) -> list[str]:
    """What is printed, with single blanks."""
    return [" ".join(line.split()) for line in run(*arguments).stdout.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "errors"),
    [
        (
            ["-d", "iso87_ascii", "00A130313130"],
            [
                "length: the length says 161 bytes, 4 follow (at byte 0)",
                "bitmap: 8 bytes are needed, 0 follow (at byte 4)",
            ],
        ),
        (["02003020"], ["bitmap: 8 bytes are needed, 2 follow (at byte 2)"]),
        (["-d", "iso87_ascii", "3132"], ["MTI: 4 bytes are needed, 2 follow (at byte 0)"]),
        (["02AA" + "00" * 8], ["MTI: the MTI is not four digits (at byte 0)"]),
        (
            ["0800" + "80" + "00" * 9],
            ["secondary bitmap: 8 bytes are needed, 2 follow (at byte 10)"],
        ),
        (
            ["02002000000000800000" + "123456" + "41424344"],
            ["field 41: 8 bytes are needed, 4 follow (at byte 13)"],
        ),
        (
            ["0200" + "0000000000008000" + "1560"],
            ["field 49: 3 bytes are needed, 2 follow (at byte 10)"],
        ),
        (
            ["0200" + "0000040000000000" + "9999"],
            ["field 22: a digit stands where the padding should (at byte 10)"],
        ),
        (
            ["0210" + "0000000000100000" + "30" + "41" * 30],
            ["field 44: 30 bytes, at most 25 are allowed (at byte 10)"],
        ),
        (["0210" + "0000000000100000" + "AA"], ["field 44: the length is no digits (at byte 10)"]),
        (
            ["0210" + "0000000000000002" + "01"],
            ["field 63: the length takes 2 bytes, 1 follow (at byte 10)"],
        ),
        (["0210" + "0000000002000000" + "FFFF"], ["field 39: no text in ascii (at byte 10)"]),
    ],
)
def test_errors_speak_of_the_message(arguments: list[str], errors: list[str]) -> None:
    """MTI, bitmap and length by their names, and how much is needed and there."""
    assert errors == [
        line.removeprefix("error ") for line in lines_of(*arguments) if line.startswith("error")
    ]


def test_one_cut_character_does_not_hide_the_rest(tmp_path: Path) -> None:
    """A name of forty bytes whose last is half a character, in whatever field, before others."""
    path = tmp_path / "chinese.toml"
    path.write_text('extends = "iso87_ascii"\n[defaults]\ntext = "gb18030"\n', "utf-8")
    name = b"\xc4\xe3" * 19 + b"!\xc4"
    raw = b"0200" + bytes.fromhex("2000000000208000") + b"000000" + name + b"156"

    lines = lines_of("-d", str(path), raw.hex())

    assert "43 merchant name and location " + "你" * 19 + "!" in lines
    assert "49 currency code, transaction 156" in lines
    assert lines[-1] == "error field 43: cut inside a character (at byte 18)"


def test_a_field_that_the_dialect_does_not_have_leaves_the_rest_in_bytes() -> None:
    """What stands before it is shown; its length and so all behind it are not known."""
    raw = "0200" + "2000010000000001" + "000000" + "1234" + "3132333435363738"

    assert lines_of(raw)[-3:] == [
        "3 processing code 000000",
        "rest 12343132333435363738",
        "error field 24: not part of this dialect (at byte 13)",
    ]


def test_the_rest_is_hidden_where_it_may_hold_card_data() -> None:
    """Behind a card number no byte is certain to be none of it."""
    raw = "0200" + "6000010020000000" + "165105105105105100" + "000000" + "0001"
    raw += "375105105105105100D30122010000000000000F"

    shown = run(raw).stdout + run(raw, "--json").stdout

    assert "[22 bytes hidden]" in shown
    assert "510510******5100" in shown
    assert "5105105105105100" not in shown


def test_letters_and_bytes_left_over_are_told_together() -> None:
    """Each field by itself; those at fault as bytes."""
    raw = "0200" + "3000000000008000" + "0000AA" + "000000001250" + "313536" + "9999"

    lines = lines_of(raw)

    assert "3 processing code 0000AA" in lines
    assert "4 amount 000000001250" in lines
    assert lines[-3:] == [
        "rest 9999",
        "error field 3: letters in a numeric field (at byte 10)",
        "error field 49: bytes left over behind it: 2 (at byte 22)",
    ]
    (shown,) = decoded(raw)
    assert shown["broken"] == {"3": "0000AA"}
    assert (shown["rest"], shown["fields"]) == ("9999", {"4": "000000001250", "49": "156"})


def test_fields_that_public_messages_use_beyond_the_contracts_table() -> None:
    """Where a shop stands, and additional data."""
    values = {43: "x" * 40, 46: "FF1601", 47: "ABC", 56: "0100", 57: "ON006"}
    raw = load_dialect("cup_pos").encode(Message("0200", values)).hex()

    assert decoded(raw)[0]["fields"] == {str(n): text for n, text in values.items()}


@pytest.mark.parametrize("arguments", [[], ["--encoding", "gb18030"]])
@pytest.mark.parametrize("number", ["0000000000100000", "0000000000000002"])
def test_text_of_any_field_is_in_the_terminals_encoding(arguments: list[str], number: str) -> None:
    """DE44 and DE63, as DE59 is."""
    size = "11" if number.endswith("0") else "0011"
    raw = "0210" + number + size + "435550D2F8C1AAB2E2CAD4"

    (shown,) = decoded(*arguments, raw)

    assert list(shown["fields"].values()) == ["CUP银联测试"]


def test_text_of_a_bank_is_in_the_dialects_encoding_unless_told_otherwise() -> None:
    """Two letters of latin1 may be one of gb18030."""
    raw = (b"0210" + bytes.fromhex("0000000000100000") + b"06M\xfcller").hex()

    assert decoded("-d", "iso87_ascii", raw)[0]["fields"]["44"] == "Müller"
    assert decoded("-d", "iso87_ascii", raw, "--encoding", "cp1252")[0]["fields"]["44"] == "Müller"


def test_text_cut_in_the_terminals_encoding_is_shown_as_far_as_it_goes() -> None:
    """Half a character at its end."""
    raw = "0210" + "0000000000100000" + "05" + "D2F8C1AAB2"

    assert decoded(raw)[0]["fields"]["44"] == "银联"


@pytest.mark.parametrize(
    "arguments", [[], ["--dialect", "nope", "00"], ["--encoding", "nope", "00"], ["00", "00"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    """Before anything is printed on stdout."""
    result = run(*arguments)

    assert (result.exit_code, result.stdout) == (2, "")


def test_endless_line_is_one_error() -> None:
    """A line is read up to a limit, its rest thrown away."""
    objects = decoded("-", given="00" * 200_000 + "\n" + SALE + "\n")

    assert [x["error"] is None for x in objects] == [False, True]


def test_a_trailer_is_told_and_not_taken_for_a_field(tmp_path: Path) -> None:
    """With a length and without."""
    path = tmp_path / "vendor.toml"
    path.write_text('extends = "iso87_ascii"\ntrailer = "03"\n', "utf-8")
    raw = "30323130" + "0020000002000000" + "313233343536" + "3030" + "03"

    for shown in decoded("-d", str(path), "-", given=f"{raw}\n0015{raw}\n"):
        assert shown["error"] is None
        assert (shown["fields"], shown["trailer"]) == ({"11": "123456", "39": "00"}, "03")


PAGE = Path(__file__).parents[2] / "docs" / "dialects.md"


def test_parts_of_fields_are_shown_as_the_page_says(tmp_path: Path) -> None:
    """The example of docs/dialects.md."""
    page = PAGE.read_text("utf-8")
    example = re.search(r"```toml\n(# postilion.*?)```", page, re.DOTALL)
    shown = re.search(r"```text\n( +63 .*?)\n```", page, re.DOTALL)
    assert example
    assert shown
    path = tmp_path / "postilion.toml"
    path.write_text(example[1], "utf-8")
    dialect = load_dialect(str(path))
    value = dialect.parts[127].join({"2": "KEY1", "20": "20261130"})
    raw = dialect.encode(Message("0200", {63: "AB00207", 127: value})).hex()

    result = run("-d", str(path), raw)

    assert shown[1] in result.stdout
    assert decoded("-d", str(path), raw)[0]["parts"] == {
        "63": {"AB": "07"},
        "127": {"2": "KEY1", "20": "20261130"},
    }


def test_parts_of_a_masked_field_are_not_shown_unasked(tmp_path: Path) -> None:
    """The file must say that they may be; a part of another shape is said so."""
    path = tmp_path / "vendor.toml"
    path.write_text(
        'extends = "iso87_ascii"\n[fields]\n'
        '127 = { type = "ans", max = 99, prefix = 2, parts = { kind = "tagged" } }\n'
        '63 = { type = "ans", max = 99, prefix = 2, parts = { kind = "tagged" } }\n',
        "utf-8",
    )
    raw = load_dialect(str(path)).encode(Message("0200", {63: "ABx", 127: "AB003xyz"})).hex()

    result = run("-d", str(path), raw)

    assert "xyz" not in result.stdout + run("-d", str(path), raw, "--json").stdout
    assert "unexpected shape" in result.stdout
