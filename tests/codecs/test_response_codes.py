"""Every response code of the interface has one text in English and one in Chinese."""

import re

import pytest

from acquirer.codecs.response_codes import ResponseCode, in_words


@pytest.mark.parametrize("code", ResponseCode)
def test_each_code_says_something_in_both_languages(code: ResponseCode) -> None:
    """Texts are there, and fit a terminal's encoding and line."""
    english, chinese = in_words(code), in_words(code, "zh")
    assert english.isascii()
    assert 0 < len(chinese.encode("gb18030")) <= 40
    assert re.search("[\u4e00-\u9fff]", chinese)


def test_a_code_of_somebody_elses_is_not_explained() -> None:
    """What the interface does not name has no meaning here, in no language."""
    assert [in_words("Q9"), in_words("", "zh")] == ["code not in the interface", "未定义的应答码"]
