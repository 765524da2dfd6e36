"""From a terminal's message to commands: the card, the PIN's form, the original, texts."""

from __future__ import annotations

import pytest
from origins import an_origin

from acquirer.codecs.de59 import De59
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.message import Message
from acquirer.codecs.pan import Pan
from acquirer.codecs.private_fields import De60
from acquirer.config.business import MerchantSettings, ProfileSettings, TerminalSettings
from acquirer.ledger.journal.entries import (
    TerminalRow,
)
from acquirer.payments.kernel.commands import Named
from acquirer.switch.terminals.commands import (
    receipt_confirmed,
    text_of,
    void_requested,
)
from acquirer.switch.terminals.request import Request
from acquirer.switch.terminals.sale_commands import sale_requested
from acquirer.switch.terminals.terminals import Keys, Terminal

PAN = "6225880000000007"
TRACK = f"{PAN}D30121010000000000"


def request(fields: dict[int, str], items: dict[str, str] | None = None) -> Request:
    """A request with these fields from a GB18030 terminal."""
    terminal = Terminal(
        TerminalSettings("10000001", "M1", "U0", "cup"),
        ProfileSettings("cup"),
        MerchantSettings("M1", "One", "4215", 120, "whsec_"),
        TerminalRow("10000001", "000001"),
    )
    de59 = De59.build(items or {})
    origin = an_origin(merchant=terminal.merchant)
    return Request(Message("0200", fields), De60("22", "000001"), terminal, Keys(), origin, de59)


def test_what_people_wrote_is_clean() -> None:
    """A remark, a signature and what was keyed in go on to the merchant without what steers."""
    hostile, clean = "李\x1b[2J\u202e|x", "李 [2J |x"
    one = request({}, {"OD": hostile, "OR": hostile, "OV": hostile})
    assert [clean] * 3 == [text_of(one, tag) for tag in ("OD", "OR", "OV")]


@pytest.mark.parametrize("fields", [{35: TRACK}, {2: PAN}, {2: PAN, 35: TRACK}])
def test_card(fields: dict[int, str]) -> None:
    """The card comes from track 2, from DE2, or from both."""
    card = sale_requested(request(fields)).card
    assert (Pan(PAN), 35 in fields) == (card.pan, card.track is not None)


@pytest.mark.parametrize("fields", [{}, {2: "1"}, {35: PAN}, {2: "6225880000000015", 35: TRACK}])
def test_no_card(fields: dict[int, str]) -> None:
    """No card, one that cannot be read, or two that differ are format errors."""
    with pytest.raises(RemoteFormatError):
        sale_requested(request(fields))


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, False),
        ({52: "00" * 8, 53: "2600000000000000"}, False),
        ({52: "00" * 8, 53: "2000000000000000"}, False),
        ({53: "0000000000000000"}, False),
        ({53: "2600000000000000"}, False),
        ({52: "00" * 8}, True),
        ({52: "00" * 8, 53: "0600000000000000"}, True),
        ({52: "00" * 8, 53: "1600000000000000"}, True),
        ({53: "1600000000000000"}, True),
    ],
)
def test_pin_format(fields: dict[int, str], wrong: bool) -> None:
    """A PIN needs DE53 that says "with PAN"; "without PAN" is wrong with or without a PIN."""
    assert wrong == sale_requested(request({2: PAN, **fields})).card.is_pin_unfit


def test_original() -> None:
    """DE61 names batch and STAN at least."""
    found = void_requested(request({37: "632500000001", 61: "0000010000420102"}))
    assert Named("000001", "000042") == found.sale
    for fields in ({61: "000001"}, {}):
        with pytest.raises(RemoteFormatError):
            void_requested(request({37: "632500000001", **fields}))


def test_texts() -> None:
    """Texts are decoded by the terminal's character set; an absent one is empty or an error."""
    found = request({}, {"ON": "A1", "OR": "王芳"})
    assert ("王芳", "") == (receipt_confirmed(found).signed_by, text_of(found, "OD"))
    with pytest.raises(RemoteFormatError):
        receipt_confirmed(request({}, {"OR": "王芳"}))
