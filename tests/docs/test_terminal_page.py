"""``docs/interfaces/terminal.md`` shows what an independent terminal and the real switch say."""

import re

import pytest
from terminal_talk import MARK, PAGE, Frames, conversation, page_with

from acquirer.codecs.response_codes import ResponseCode, in_words

TEXT = PAGE.read_text("utf-8")


@pytest.fixture(scope="module")
def frames() -> Frames:
    """The conversation, once."""
    return conversation()


def test_each_frame_of_the_page_is_as_it_was_said(frames: Frames) -> None:
    """Keys, PIN blocks, MACs and replies are those of the switch, byte for byte."""
    assert page_with(frames, TEXT) == TEXT


def test_the_page_leaves_nothing_out(frames: Frames) -> None:
    """Every request and its reply is shown, and approved; a 0510 has no code."""
    named = {found[1] for found in MARK.finditer(TEXT)}
    assert named >= set(frames) - {"sale that is reversed, reply"}
    coded = set(frames) - {"settlement, reply"}
    replies = [frames[name] for name in coded if name.endswith("reply")]
    assert all("response code 00" in text for text in replies)


def test_each_response_code_is_explained_as_the_switch_words_it() -> None:
    """The table of codes has every code, in both languages, with what a terminal does."""
    codes = TEXT.partition("<!-- codes -->")[2]
    rows = re.findall(r"^\| `(..)` \| ([^|]+) \| ([^|]+) \| [^|]+ \|$", codes, re.M)
    expected = [(code.value, in_words(code), in_words(code, "zh")) for code in ResponseCode]
    assert expected == rows
