"""Framing: every length header, fed whole, byte by byte, and with trailing bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.codecs.errors import DialectError, FrameError, LocalFormatError
from acquirer.codecs.framing import FrameDecoder, LengthHeader

HEADERS = {
    "binary2": b"\x00\x05",
    "binary4": b"\x00\x00\x00\x05",
    "ascii2": b"05",
    "ascii4": b"0005",
    "bcd2": b"\x00\x05",
    "binary2+": b"\x00\x07",
    "binary4+": b"\x00\x00\x00\x09",
    "ascii2+": b"07",
    "ascii4+": b"0009",
    "bcd2+": b"\x00\x07",
}


@pytest.mark.parametrize(("name", "expected"), HEADERS.items())
def test_header_of_five_bytes(name: str, expected: bytes) -> None:
    """Each header says 5, counting itself where its name ends in +."""
    header = LengthHeader.parse(name)

    assert expected + b"hello" == header.encode(b"hello")
    assert header.decode(expected) == 5


@pytest.mark.parametrize("name", HEADERS)
def test_frames_are_cut_alike_whole_and_byte_by_byte(name: str) -> None:
    """How the bytes arrive does not matter."""
    header = LengthHeader.parse(name)
    stream = header.encode(b"first") + header.encode(b"2")

    whole = FrameDecoder(header, 64).feed(stream)
    decoder = FrameDecoder(header, 64)
    single = [frame for byte in stream for frame in decoder.feed(bytes([byte]))]

    assert [b"first", b"2"] == whole == single
    assert decoder.pending_bytes == 0


@pytest.mark.parametrize("name", HEADERS)
def test_trailing_bytes_wait_for_their_rest(name: str) -> None:
    """A frame that is not whole yet stays in the buffer."""
    header = LengthHeader.parse(name)
    decoder = FrameDecoder(header, 64)
    second = header.encode(b"second")

    assert decoder.feed(header.encode(b"first") + second[:-2]) == [b"first"]
    assert len(second) - 2 == decoder.pending_bytes
    assert decoder.feed(second[-2:]) == [b"second"]


def test_frame_over_the_limit_is_refused_by_its_header_alone() -> None:
    """The buffer never holds more than one allowed frame."""
    decoder = FrameDecoder(LengthHeader(), 4096)

    with pytest.raises(FrameError, match="4097"):
        decoder.feed(b"\x10\x01")


def test_frame_of_the_limit_is_cut() -> None:
    """The limit itself is allowed."""
    decoder = FrameDecoder(LengthHeader(), 4096)

    assert [bytes(4096)] == decoder.feed(b"\x10\x00" + bytes(4096))


def test_empty_frame_is_refused() -> None:
    """A length of zero is no message."""
    with pytest.raises(FrameError):
        FrameDecoder(LengthHeader(), 64).feed(b"\x00\x00")


@pytest.mark.parametrize(
    ("name", "header"),
    [("ascii4", b"00X5"), ("ascii4", b" 005"), ("bcd2", b"\x00\x0a"), ("binary2+", b"\x00\x01")],
)
def test_header_that_holds_no_length_is_refused(name: str, header: bytes) -> None:
    """The stream cannot be followed any more."""
    with pytest.raises(FrameError):
        FrameDecoder(LengthHeader.parse(name), 64).feed(header + b"12345678")


@pytest.mark.parametrize(("name", "size"), [("ascii2", 100), ("ascii2+", 98), ("bcd2", 10_000)])
def test_body_that_the_header_cannot_say_is_our_error(name: str, size: int) -> None:
    """Too long for the header is refused before it is sent."""
    with pytest.raises(LocalFormatError):
        LengthHeader.parse(name).encode(bytes(size))


@pytest.mark.parametrize("name", ["", "binary", "binary3", "hex2", "2", "+", "binary2++"])
def test_header_that_does_not_exist_is_the_operators_error(name: str) -> None:
    """The text tells which there are."""
    with pytest.raises(DialectError, match="binary2"):
        LengthHeader.parse(name)


@given(bodies=st.lists(st.binary(min_size=1, max_size=60), max_size=5), data=st.data())
def test_any_split_gives_the_same_frames(bodies: list[bytes], data: st.DataObject) -> None:
    """The frames that went in come out, wherever the stream is cut."""
    header = LengthHeader.parse(data.draw(st.sampled_from(sorted(HEADERS))))
    stream = b"".join(header.encode(body) for body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    decoder = FrameDecoder(header, 64)

    frames: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        frames += decoder.feed(stream[start:end])

    assert bodies == frames


@given(data=st.binary(max_size=100), name=st.sampled_from(sorted(HEADERS)))
def test_any_bytes_give_frames_or_a_frame_error(data: bytes, name: str) -> None:
    """Nothing else is raised, and no frame is over the limit."""
    decoder = FrameDecoder(LengthHeader.parse(name), 32)
    try:
        frames = decoder.feed(data)
    except FrameError:
        return
    assert all(1 <= len(frame) <= 32 for frame in frames)
    assert decoder.pending_bytes < 32 + 4


@pytest.mark.parametrize("chunk", [1, 3, 100_000])
def test_a_tolerant_decoder_goes_on_behind_a_bad_frame(chunk: int) -> None:
    """Empty and over-long frames come out empty; what stands behind them is read."""
    header = LengthHeader("binary", 2)
    stream = b"\0\0" + header.encode(b"one") + header.encode(bytes(60_000)) + header.encode(b"two")
    decoder = FrameDecoder(header, 100, tolerant=True)
    frames = [
        f for at in range(0, len(stream), chunk) for f in decoder.feed(stream[at : at + chunk])
    ]
    assert frames == [b"", b"one", b"", b"two"]
    assert decoder.pending_bytes == 0


def test_even_a_tolerant_decoder_gives_up_where_the_stream_is_out_of_step() -> None:
    """Four bytes can claim gigabytes; nobody waits for those."""
    decoder = FrameDecoder(LengthHeader("binary", 4), 100, tolerant=True)
    with pytest.raises(FrameError):
        decoder.feed(b"\xff\xff\xff\xff")
