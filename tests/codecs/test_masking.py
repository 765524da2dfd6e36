"""What of a message may be shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.codecs.de59 import De59
from acquirer.codecs.masking import mask_field, mask_fields, mask_message
from acquirer.codecs.message import Message

PAN = "6225880000000007"
KEYS = "46F161A743497B32EAC760DF5EA57DF5900ECCE3977731A7EA402DDF0000000000000000CFF1592A"


@pytest.mark.parametrize(
    ("number", "value", "shown"),
    [
        (2, PAN, "622588******0007"),
        (34, PAN, "622588******0007"),
        (35, PAN + "D30121010000000000", "622588******0007D*"),
        (35, PAN + "=30121010000000000", "622588******0007D*"),
        (35, PAN + "30121010000000000", "[33 characters hidden]"),
        (35, "6225880000A0000BCDEF", "[20 characters hidden]"),
        (36, "99" + PAN, "[18 characters hidden]"),
        (45, "B" + PAN, "[17 characters hidden]"),
        (52, "F421C8F4FFE584DC", "[8 bytes hidden]"),
        (62, KEYS, "[40 bytes hidden]"),
        (64, "3342463735343838", "3342463735343838"),
        (4, "000000001250", "000000001250"),
    ],
)
def test_field_alone(number: int, value: str, shown: str) -> None:
    """Without its message a field shows the least."""
    assert shown == mask_field(number, value)


@pytest.mark.parametrize("code", ["001", "003", "004"])
def test_working_keys_of_a_sign_on_reply_are_hidden(code: str) -> None:
    """DE62 of an 0810 whose DE60 says that keys come."""
    fields = {60: "00000519" + code, 62: KEYS}

    assert mask_fields("0810", fields)[62] == "[40 bytes hidden]"


@pytest.mark.parametrize("de60", ["", "000005", "00000519"])
def test_sign_on_reply_that_does_not_say_what_it_is_hides_as_well(de60: str) -> None:
    """Where DE60 is absent or cut, DE62 counts as keys."""
    assert mask_fields("0810", {60: de60, 62: KEYS})[62] == "[40 bytes hidden]"


def test_message_whose_mti_is_unknown_hides_as_well() -> None:
    """What was read of a broken message is shown with care."""
    assert mask_fields("", {62: KEYS})[62] == "[40 bytes hidden]"


@pytest.mark.parametrize(
    ("mti", "de60"), [("0800", "00000000003"), ("0810", "00000000380"), ("0200", "22000001000")]
)
def test_other_content_of_de62_is_shown(mti: str, de60: str) -> None:
    """Sequence numbers, IC parameters and instalment plans are no secrets."""
    assert mask_fields(mti, {60: de60, 62: "319F06"})[62] == "319F06"


def test_keys_between_hosts_are_hidden() -> None:
    """DE48 of a key exchange, by the MTI or by its look."""
    keys = "X0123456789ABCDEF0123456789ABCDEF08D7B4"

    assert mask_fields("0800", {48: keys})[48] == "[39 characters hidden]"
    assert mask_field(48, keys) == "[39 characters hidden]"


def test_settlement_totals_are_shown() -> None:
    """DE48 of 62 digits is no key."""
    totals = "0" * 31 + "1" * 31

    assert totals == mask_fields("0500", {48: totals})[48]


def test_icc_data_without_card_data_are_shown_whole() -> None:
    """A cryptogram and counters are no card data."""
    assert mask_field(55, "9F2701809A03180209") == "9F2701809A03180209"


def test_icc_data_hide_their_card_data() -> None:
    """The PAN and track 2 inside DE55, also inside a template."""
    nested = "700A5A08" + PAN + "9A03180209"

    assert mask_field(55, nested) == "70= 5A=[8 bytes hidden] 9A=180209"


def test_icc_data_that_do_not_parse_are_hidden() -> None:
    """Nobody knows what is in them."""
    assert mask_field(55, "5A0862") == "[3 bytes hidden]"


def test_icc_data_that_may_hold_card_data_are_hidden() -> None:
    """FF is filler before tag 81, or begins FF8105 with a PAN inside."""
    assert mask_field(55, "FF8105045A026225") == "[8 bytes hidden]"


def test_qr_payment_code_is_starred_in_its_place() -> None:
    """DE59 keeps its layout, so that it can still be explained."""
    shown = mask_field(59, De59.build({"A3": "6212345678901234567", "ON": "1"}).hex)

    items = De59.parse(bytes.fromhex(shown))
    assert (items.text("A3"), items.text("ON")) == ("621234*********4567", "1")


def test_mask_message_covers_every_field() -> None:
    """One masked value a field, in order."""
    message = Message("0200", {52: "00" * 8, 2: PAN, 11: "000017"})

    expected = {2: "622588******0007", 11: "000017", 52: "[8 bytes hidden]"}
    assert expected == mask_message(message)
    assert list(expected) == list(mask_message(message))


@given(
    mti=st.sampled_from(["0200", "0800", "0810", ""]),
    fields=st.dictionaries(st.integers(2, 128), st.text(max_size=40)),
)
def test_masking_never_fails(mti: str, fields: dict[int, str]) -> None:
    """Any text in any field is shown or hidden, whatever it is."""
    assert sorted(fields) == list(mask_fields(mti, fields))


def test_a_pin_block_in_de59_is_hidden() -> None:
    """PB keeps its length only, and the other items stay."""
    shown = mask_field(59, De59.build({"ON": "1", "PB": "0123456789ABCDEF" * 2}).hex)

    items = De59.parse(bytes.fromhex(shown))
    assert (items.text("ON"), items.text("PB")) == ("1", "*" * 32)
