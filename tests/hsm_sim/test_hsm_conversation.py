"""Frames in any split, limits, and whatever else may come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.codecs.errors import FrameError
from acquirer.hsm_sim.conversation import Conversation
from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.state import Settings

MODULE = SecurityModule.with_test_lmks(Settings(header_length=4, test_lmk=True))

bodies = st.lists(
    st.sampled_from((b"0001NC", b"0002B20004ping", b"0003QQ", b"0004CA", b"x"))
    | st.binary(min_size=1, max_size=40),
    max_size=8,
)


def frame(body: bytes) -> bytes:
    """A body with its length."""
    return len(body).to_bytes(2, "big") + body


@given(bodies, st.lists(st.integers(1, 30), min_size=1, max_size=30))
def test_any_split_gives_the_same_replies(requests: list[bytes], sizes: list[int]) -> None:
    """Whole, in pieces and byte by byte: the same bytes come back, in order."""
    stream = b"".join(map(frame, requests))
    expected = b"".join(frame(MODULE.execute(body)) for body in requests)
    assert expected == Conversation(MODULE.execute_text).feed(stream)
    talk, answered, at, turn = Conversation(MODULE.execute_text), b"", 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        answered += talk.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert (expected, 0, len(requests)) == (answered, talk.pending_bytes, talk.frames)


@given(st.binary(max_size=200))
def test_any_bytes_are_answered_or_end_it(received: bytes) -> None:
    """Any bytes give whole reply frames, or end the conversation."""
    talk = Conversation(MODULE.execute_text, frame_bytes_max=64)
    try:
        replies = talk.feed(received)
    except FrameError:
        return
    count = 0
    while replies:
        size = int.from_bytes(replies[:2], "big")
        replies, count = replies[2 + size :], count + 1
    assert talk.frames == count
    assert talk.pending_bytes <= 2 + 64


@pytest.mark.parametrize("head", [b"\x00\x00", b"\x80\x01", b"\xff\xff"])
def test_lengths_that_cannot_be(head: bytes) -> None:
    """A length of zero or beyond the limit ends the conversation at once."""
    with pytest.raises(FrameError):
        Conversation(MODULE.execute_text).feed(frame(b"0001NC") + head)


def test_incomplete_frames_wait() -> None:
    """Half a frame is kept, and not more than that."""
    talk = Conversation(MODULE.execute_text)
    assert talk.feed(b"\x7f\xff" + b"0001NC") == b""
    assert talk.pending_bytes == 8


def test_replies_that_no_frame_holds() -> None:
    """A reply of more than 65535 characters becomes error 80."""
    key = MODULE.execute(b"0001A0000BU")[8:41]
    data = bytes(32_760)
    answered = MODULE.execute(b"0001M0000100B" + key + b"7FF8" + data)
    assert answered[:8] == b"0001M100"
    huge = MODULE.execute(b"0001M0000100B" + key + b"8008" + bytes(0x8008))
    assert huge == b"0001M180"
