"""Patterns of the configuration: what Python's mean, and nothing stalls."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.config.patterns import STATES_MAX, TextPattern

_atoms = st.sampled_from(["a", "b", "[ab]", "[^a]", ".", r"\d", r"\.", "1", "[a-b1]"])
_patterns = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(
            inner.map("(?:{})".format),
            st.sampled_from(["*", "+", "?", "{2}", "{0}", "{1,}", "{0,2}", "{1,3}"]),
        ).map("".join),
    ),
    max_leaves=8,
)


@given(_patterns, st.text("ab1.", max_size=8))
def test_a_pattern_means_what_pythons_does(pattern: str, text: str) -> None:
    """Of the whole text."""
    assert bool(re.fullmatch(pattern, text, re.DOTALL)) == TextPattern(pattern).matches(text)


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(a|a)*b", "(a|aa)+b", "(.*)*b", "a*" * 100 + "b", "(a?){200}a{200}b"]
)
def test_no_pattern_stalls(pattern: str) -> None:
    """Python's would not come to an end of these before this test is given up."""
    assert not TextPattern(pattern).matches("a" * 2_000)
    assert TextPattern(pattern).matches("a" * 300 + "b")


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "not closed"),
        ("a)", "')' at character 2 is not expected"),
        ("[", "'[' at character 1 is not expected"),
        ("[z-a]", "bad character range"),
        ("*a", "'*a' at character 1"),
        ("a**", "'*' at character 3"),
        ("a{2,1}", "the most is less"),
        ("(?=a)", "is not known after (?"),
        (r"(a)\1", "not expected"),
        (r"a\b", "not expected"),
        ("a^b", "'^b' at character 2"),
        ("(a{100}){100}", f"larger than {STATES_MAX}"),
        ("a\\", "not expected"),
        ("(" * 5_000, "nested too deeply"),
    ],
)
def test_what_is_no_pattern_is_told(pattern: str, reason: str) -> None:
    """With its place, when the configuration is read."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        TextPattern(pattern)


def test_anchors_mean_nothing_more() -> None:
    """A pattern is of the whole text anyhow."""
    assert TextPattern("^SP[0-9]+$").matches("SP17")
    assert TextPattern(r"1\$").matches("1$")
    assert not TextPattern(r"1\\$").matches("1$")
