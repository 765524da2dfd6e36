"""Bank messages carry the fields of the interface's table and no others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.message import Message
from acquirer.codecs.private_fields import Balance
from acquirer.routing.banks.messages import (
    BankRequest,
    OriginalData,
    echoes,
    reply_balances,
    request_mti,
    to_message,
)

Sale = Callable[..., BankRequest]

BASE = {3, 7, 11, 12, 13, 32, 37, 41, 42, 49}
ORIGINAL = OriginalData("0200", "000017", "0604123456", "85500")
FULL = {
    "expiry": "3106",
    "track2": "6225882202982730907D31061010000000000",
    "card_sequence": "001",
    "pin_block": bytes.fromhex("F421C8F4FFE584DC"),
    "icc": bytes.fromhex("9F260812345678"),
    "merchant_name": "Swift Parcel 迅达快递",
    "additional": "ON0001",
    "approval_code": "000123",
    "original": ORIGINAL,
    "reason": "98",
}


@pytest.mark.parametrize(
    ("kind", "mti", "code", "fields"),
    [
        ("balance", "0200", "310000", {2, 14, 22, 25, 35, 52, 53}),
        ("sale", "0200", "000000", {2, 4, 14, 18, 22, 23, 25, 26, 35, 43, 48, 52, 53, 55}),
        ("void", "0200", "200000", {2, 4, 18, 25, 38, 90}),
        ("refund", "0220", "200000", {2, 4, 18, 25, 38, 90}),
        ("reversal", "0400", "000000", {2, 4, 38, 39, 90}),
        ("inquiry", "0600", "330000", {90}),
    ],
)
def test_fields_of_a_kind(
    make_sale: Sale, kind: str, mti: str, code: str, fields: set[int]
) -> None:
    """MTI, DE3 and the data elements are those of the table."""
    message = to_message(make_sale(kind=kind, **FULL))
    assert (mti, code) == (message.mti, message.processing_code)
    assert BASE | fields == set(message.fields)
    load_dialect("iso87_ascii").encode(message)


def test_values(make_sale: Sale) -> None:
    """Values have the dialect's widths."""
    fields = to_message(make_sale(**FULL)).fields
    assert fields[4] == "000000001250"
    assert "Swift Parcel".ljust(40) == fields[43]
    assert fields[52] == "F421C8F4FFE584DC"
    assert (fields[26], fields[53]) == ("12", "2600000000000000")


def test_a_reversal_names_its_original(make_sale: Sale) -> None:
    """DE90 is the original's MTI, STAN, DE7 and acquirer, DE3 and DE39 as given."""
    request = make_sale(kind="reversal", processing_code="200000", original=ORIGINAL, reason="06")
    fields = to_message(request).fields
    assert fields[90] == "020000001706041234560000008550000000000000"
    assert (fields[3], fields[39]) == ("200000", "06")


@pytest.mark.parametrize(
    ("kind", "repeat", "reversal_mti", "mti"),
    [
        ("reversal", False, "0400", "0400"),
        ("reversal", True, "0400", "0401"),
        ("reversal", False, "0420", "0420"),
        ("reversal", True, "0420", "0421"),
        ("refund", True, "0400", "0221"),
        ("sale", True, "0400", "0200"),
    ],
)
def test_repeats(make_sale: Sale, kind: str, repeat: bool, reversal_mti: str, mti: str) -> None:
    """Reversals and advices have an MTI for repeats, originals have not."""
    request = make_sale(kind=kind, repeat=repeat)
    assert mti == to_message(request, reversal_mti).mti
    assert mti == request_mti(request.kind, repeat, reversal_mti)


def test_absent_values_are_left_out(make_sale: Sale) -> None:
    """A sale without PIN, chip and track has no such fields."""
    assert not {26, 35, 48, 52, 53, 55} & set(to_message(make_sale()).fields)


def test_repr_shows_no_card_data(make_sale: Sale) -> None:
    """Neither the PAN nor track, PIN block or chip data show."""
    text = repr(make_sale(**FULL))
    assert "622588*********0907" in text
    for secret in ("6225882202982730907", "3106", "F421", "f421", "9F26", "9f26"):
        assert secret not in text


def test_balances_of_a_reply() -> None:
    """DE54 becomes values; without it there are none."""
    message = Message("0210", {54: "0002156C000000001250" + "0001156D000000000001"})
    expected = (Balance("00", "02", "156", 1250), Balance("00", "01", "156", -1))
    assert expected == reply_balances(message)
    assert reply_balances(Message("0210", {})) == ()


@pytest.mark.parametrize(
    ("reply", "same"),
    [({4: "000000000100"}, True), ({}, True), ({4: "000000000200"}, False), ({42: "X"}, False)],
)
def test_a_reply_about_something_else_is_told(reply: dict[int, str], same: bool) -> None:
    """A field that the bank echoes must be what was asked; one left out counts as right."""
    request = Message("0200", {3: "000000", 4: "000000000100", 42: "M"})
    assert echoes(request, Message("0210", {3: "000000", **reply})) is same
