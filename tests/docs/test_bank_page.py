"""``docs/interfaces/bank-link.md`` shows what the switch and a bank say on their link."""

import pytest
from bank_talk import PAGE, talk
from terminal_talk import MARK, Frames, page_with

TEXT = PAGE.read_text("utf-8")


@pytest.fixture(scope="module")
def frames() -> Frames:
    """What was said, once."""
    return talk()


def test_each_frame_of_the_page_is_as_it_was_said(frames: Frames) -> None:
    """Keys, MACs and fields are those of the link, byte for byte."""
    assert page_with(frames, TEXT) == TEXT


def test_the_page_leaves_nothing_out(frames: Frames) -> None:
    """Every message that was named is shown, with its reply."""
    assert {found[1] for found in MARK.finditer(TEXT)} == set(frames)
    assert len(frames) == 25
