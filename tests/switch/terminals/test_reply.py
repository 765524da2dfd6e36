"""What a reply echoes, adds and leaves out."""

from __future__ import annotations

import pytest

from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.errors import LocalFormatError
from acquirer.codecs.message import Message, reply_mti
from acquirer.payments.kernel.calendar import Stamp
from acquirer.switch.terminals.reply import build_format_error, build_reply, write_reply
from acquirer.switch.terminals.request import Told

CUP = load_dialect("cup_pos")
STAMP = Stamp("203456", "0604", "0604123456", "2026-06-04", "6155")
REQUEST = Message(
    "0200",
    {
        2: "6225880000000007",
        3: "000000",
        4: "000000000100",
        11: "000001",
        14: "3012",
        22: "021",
        25: "00",
        26: "12",
        32: "00085500",
        35: "6225880000000007D3012",
        41: "10000001",
        42: "898110053310001",
        49: "156",
        52: "00" * 8,
        53: "2600000000000000",
        60: "2200000100050",
        62: "AA",
        64: "00" * 8,
    },
)


def test_echo() -> None:
    """DE2, 3, 4, 11, 25, 32, 41, 42, 49 and 60 come back; nothing else of the request does."""
    reply = build_reply(REQUEST, Told("00"), STAMP)
    assert {2, 3, 4, 11, 12, 13, 25, 32, 39, 41, 42, 49, 60} == set(reply.fields)
    added = (12, 13, 39)
    assert all(reply.fields[n] == REQUEST.fields[n] for n in reply.fields if n not in added)


def test_every_answer_has_a_time() -> None:
    """An answer that brings no time gets the request's; one that has its own keeps it."""
    bare = build_reply(REQUEST, Told("94"), STAMP)
    stored = build_reply(REQUEST, Told("00", {12: "235959", 13: "1231"}), STAMP)
    assert ("203456", "0604") == (bare.get(12), bare.get(13))
    assert ("235959", "1231") == (stored.get(12), stored.get(13))


def test_a_stored_answer_that_does_not_fit_is_given_again_without_it() -> None:
    """An approval code beyond ASCII, as it was once stored, costs no answer; DE39 must fit."""
    stored = Told("00", {37: "000000000001", 38: "\xc12345\xc1", 54: "x" * 21})
    again = CUP.decode(write_reply(build_reply(REQUEST, stored, STAMP)))
    assert ("00", "000000000001") == (again.get(39), again.get(37))
    assert {38, 54}.isdisjoint(again.fields)
    with pytest.raises(LocalFormatError):
        write_reply(build_reply(REQUEST, Told("\xc10"), STAMP))


def test_own_fields_win() -> None:
    """What an answer brings replaces what would be echoed, such as the amount due or the batch."""
    reply = build_reply(REQUEST, Told("00", {4: "000000000200", 60: "00000002003"}), STAMP)
    assert ("000000000200", "00000002003") == (reply.get(4), reply.get(60))


@pytest.mark.parametrize(
    ("mti", "expected"),
    [("0200", "0210"), ("0220", "0230"), ("0400", "0410"), ("0800", "0810"), ("0820", "0830")],
)
def test_mti(mti: str, expected: str) -> None:
    """The reply's MTI is the request's plus ten."""
    assert expected == reply_mti(mti)


@pytest.mark.parametrize(
    "partial",
    [
        {},
        {0: "0200", 11: "000001"},
        {0: "0200", 41: "10000001"},
        {0: "02AB", 11: "000001", 41: "10000001"},
        {0: "0210", 11: "000001", 41: "10000001"},
        {11: "000001", 41: "10000001"},
    ],
)
def test_no_answer_to_nobody(partial: dict[int, str]) -> None:
    """Without MTI, STAN and terminal, or to a reply, there is no answer 30."""
    assert build_format_error(partial) is None


def test_format_error() -> None:
    """The answer 30 carries STAN and terminal."""
    found = build_format_error({0: "0200", 11: "000001", 41: "10000001", 4: "1"})
    assert Message("0210", {11: "000001", 39: "30", 41: "10000001"}) == found
