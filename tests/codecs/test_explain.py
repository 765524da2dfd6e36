"""Messages in words."""

import json
from pathlib import Path

import pytest

from acquirer.codecs import bertlv
from acquirer.codecs.bank_fields import De90
from acquirer.codecs.capture import open_capture
from acquirer.codecs.de59 import De59
from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.explain import (
    explain_envelope,
    explain_message,
    explain_mti,
    plain_text,
    shown_fields,
)
from acquirer.codecs.shown_text import printable

CUP = load_dialect("cup_pos")
BANK = load_dialect("iso87_ascii")
VECTORS = Path(__file__).parents[1] / "vectors" / "messages.json"


def explained(fields: dict[int, str], mti: str = "0200") -> list[tuple[str, str]]:
    """Name and value of each line under a field."""
    return [(x.name, x.value) for x in explain_message(mti, fields, CUP) if x.depth]


@pytest.mark.parametrize(
    ("mti", "words"),
    [
        ("0200", "financial request"),
        ("0410", "reversal reply"),
        ("0221", "financial advice repeat"),
        ("0820", "network management advice"),
        ("0999", "unknown class message"),
    ],
)
def test_mti_in_words(mti: str, words: str) -> None:
    """Class, function and repeat."""
    assert explain_mti(mti).startswith(words)


def test_tpdu_and_header_in_words() -> None:
    """Addresses and the processing demand."""
    lines = explain_envelope(bytes.fromhex("6000030001613103311108"), CUP)

    assert [line.key for line in lines] == ["TPDU", "header"]
    assert lines[0].name == "to 0003, from 0001"
    assert "demand 3 (sign on)" in lines[1].name


def test_bitmap_lists_its_fields() -> None:
    """Bit 1 included, where it is set."""
    raw = bytes.fromhex("30383030") + bytes.fromhex("80200000000000000400000000000000")

    lines = explain_message("0800", {}, BANK, raw=raw)

    assert (lines[1].key, lines[1].name) == ("bitmap", "1 11 70")


def test_de60_is_explained_part_by_part() -> None:
    """Absent parts are left out."""
    expected = [("transaction type", "22"), ("batch", "000001"), ("network code", "000")]
    assert expected == explained({60: "22000001000"})


def test_de59_is_explained_item_by_item() -> None:
    """With the tags' names, in the terminal's encoding."""
    value = De59.build({"ON": "SF1", "OT": "你好"}).hex

    assert explained({59: value}) == [("ON order number", "SF1"), ("OT text to show", "你好")]
    assert shown_fields("0200", {59: value}, CUP)[59] == "ON003SF1OT004你好"


def test_de59_that_is_no_text_stays_hexadecimal() -> None:
    """Nothing unprintable reaches a terminal."""
    value = De59.build({"OD": b"\xff\xff"}).hex

    assert value == shown_fields("0200", {59: value}, CUP)[59]


def test_icc_data_are_explained_object_by_object() -> None:
    """Card data inside stay hidden."""
    value = bertlv.build([("9F27", b"\x80"), ("5A", bytes.fromhex("6225880000000007"))]).hex()

    expected = [
        ("9F27 cryptogram information data", "80"),
        ("5A application PAN", "[8 bytes hidden]"),
    ]
    assert expected == explained({55: value})


def test_working_keys_show_their_check_values_only() -> None:
    """The keys themselves never."""
    value = "46F161A743497B32EAC760DF5EA57DF5900ECCE3977731A7EA402DDF0000000000000000CFF1592A"

    lines = explained({60: "00000519003", 62: value}, "0810")[3:]

    assert lines[0] == ("PIN key", "16 bytes hidden, KCV 900ECCE3")
    assert lines[1] == ("MAC key", "8 bytes hidden, KCV CFF1592A")


def test_other_private_fields_are_explained() -> None:
    """DE39, 53, 54, 61, 64 in words."""
    names = [
        name
        for name, _ in explained(
            {
                39: "51",
                53: "2600000000000000",
                54: "1002156C000000001250",
                61: "000001000017",
                64: "3342463735343838",
            }
        )
    ]

    assert names == [
        "meaning",
        "pin format",
        "algorithm",
        "tracks encrypted",
        "account type",
        "amount type",
        "currency code",
        "amount minor",
        "original batch",
        "original stan",
        "as text",
    ]


def test_an_enciphered_track_is_told() -> None:
    """Which digits of DE35 are a cryptogram, where DE53 says that there is one; it stays masked."""
    track = "6225882202982730907D57A1ECC2402825950"
    shown = explain_message("0200", {35: track, 53: "2610000000000000"}, CUP)

    lines = [(line.name, line.value) for line in shown]
    assert ("enciphered", "digits 21 to 36, by the track key") in lines
    assert "57A1ECC240282595" not in plain_text(shown)
    names = [name for name, _ in explained({35: track[:20] + "0" * 17, 53: "2600000000000000"})]
    assert "enciphered" not in names


def test_original_data_of_a_bank_message_are_explained() -> None:
    """DE90 part by part."""
    value = De90.of("0200", "000017", "0604123456", "12345").format()

    lines = [x.name for x in explain_message("0400", {90: value}, BANK) if x.depth]

    assert lines == ["mti", "stan", "transmission at", "acquirer id", "forwarder id"]


def test_private_field_of_another_shape_says_so() -> None:
    """The value is shown, the reason under it."""
    assert explained({60: "2200"})[0][0] == "unexpected shape"


def test_control_characters_are_written_as_escapes() -> None:
    """No peer steers the operator's terminal."""
    assert printable("a\x1b[2J\x00") == r"a\x1b[2J\x00"


def test_no_card_number_of_any_published_message_is_shown() -> None:
    """Neither DE2, nor a track, nor a PIN block, nor a key."""
    for source in json.loads(VECTORS.read_text("utf-8"))["messages"]:
        if not source["dialect"].startswith("CUP"):
            continue
        found = open_capture(bytes.fromhex(source["hex"]), CUP)
        assert found.message is not None
        text = plain_text(explain_message(found.message.mti, found.message.fields, CUP, raw=b""))
        clear = [found.message.get(number) for number in (2, 35, 52)]
        assert not [value for value in clear if value and value in text]
