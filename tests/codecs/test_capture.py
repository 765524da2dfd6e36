"""Finding the message in captured bytes."""

from pathlib import Path

import pytest

from acquirer.codecs.capture import open_capture
from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.message import Message

CUP = load_dialect("cup_pos")
RAW = CUP.encode(Message("0820", {41: "10000001", 60: "00000001301"}))
ENVELOPE = bytes.fromhex("6000030000603100311108")


@pytest.mark.parametrize(
    ("data", "framing"),
    [
        (RAW, "bare message"),
        (ENVELOPE + RAW, "TPDU, header"),
        (CUP.length_header.encode(ENVELOPE + RAW), "length, TPDU, header"),
        (CUP.length_header.encode(RAW), "length"),
    ],
)
def test_each_framing_is_recognised(data: bytes, framing: str) -> None:
    """With and without length, with and without TPDU and header."""
    found = open_capture(data, CUP)

    assert (found.framing, found.raw, found.error) == (framing, RAW, None)
    assert found.message is not None
    assert found.message.get(41) == "10000001"


@pytest.mark.parametrize("name", ["iso87_ascii", "iso87_ascii_hex", "iso87_bcd", "iso87_ebcdic"])
def test_bank_frames_have_their_own_length_header(name: str) -> None:
    """Binary or four digits, as the dialect's links have it."""
    dialect = load_dialect(name)
    raw = dialect.encode(Message("0800", {7: "0604123456", 11: "000001", 70: "301"}))

    framed = open_capture(dialect.length_header.encode(raw), dialect)
    bare = open_capture(raw, dialect)

    assert (framed.framing, framed.raw, framed.length) == ("length", raw, len(raw))
    assert (bare.framing, bare.raw, bare.length) == ("bare message", raw, None)


def test_fixed_header_is_recognised_by_its_bytes(tmp_path: Path) -> None:
    """A vendor's header stands where the file says."""
    path = tmp_path / "vendor.toml"
    path.write_text('extends = "iso87_ascii"\nheader = "49534F"\n', "utf-8")
    dialect = load_dialect(str(path))
    raw = dialect.encode(Message("0800", {11: "000001"}))

    assert open_capture(b"ISO" + raw, dialect).framing == "header"


def test_length_that_does_not_fit_is_an_error() -> None:
    """The message is shown all the same."""
    found = open_capture(b"\x00\x63" + ENVELOPE + RAW, CUP)

    assert found.message is not None
    assert "the length says 99 bytes" in str(found.error)


def test_broken_message_keeps_its_framing() -> None:
    """The error is the message's, and the fields before it are there."""
    found = open_capture(CUP.length_header.encode(ENVELOPE + RAW[:-1]), CUP)

    assert (found.framing, found.message) == ("length, TPDU, header", None)
    assert found.error is not None
    assert found.error.partial == {0: "0820", 41: "10000001"}


@pytest.mark.parametrize("data", [b"\x00", b"\x60" * 11, b"\x00\x02\x08\x20"])
def test_too_little_is_an_error(data: bytes) -> None:
    """No message, no exception."""
    assert open_capture(data, CUP).error is not None
