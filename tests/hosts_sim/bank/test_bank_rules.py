"""Rules of the bank core simulator: which message they take, and how often."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from acquirer.codecs.message import Message
from acquirer.config.loading import ConfigError
from acquirer.hosts_sim.bank.rules import NO_RULE, RuleBook, Verdict
from acquirer.hosts_sim.bank.settings import Match, Rule, demo_settings_path, load_settings

SALE = Message("0200", {2: "6225882202982730907", 3: "000000", 4: "000000006668", 41: "10000001"})
REVERSAL = Message("0400", {2: "6225882202982730907", 3: "000000", 4: "000000006668"})


def _decide(match: Match, message: Message = SALE) -> bool:
    return RuleBook([Rule(match, "05")], Random(1)).decide(message) != NO_RULE


@pytest.mark.parametrize(
    "match",
    [
        Match(),
        Match(amount_minor=6668),
        Match(pan_suffix="0907"),
        Match(terminal_id="10000001"),
        Match(mti="02"),
        Match(processing_code="00"),
        Match(amount_minor=6668, pan_suffix="07", mti="0200"),
    ],
)
def test_a_rule_takes_what_it_describes(match: Match) -> None:
    """Every key that is given must agree."""
    assert _decide(match)


@pytest.mark.parametrize(
    "match",
    [
        Match(amount_minor=6669),
        Match(amount_minor=0),
        Match(pan_suffix="1111"),
        Match(terminal_id="10000002"),
        Match(mti="0400"),
        Match(processing_code="20"),
        Match(amount_minor=6668, pan_suffix="1111"),
        Match(probability=0.0),
    ],
)
def test_a_rule_leaves_the_rest(match: Match) -> None:
    """One key that differs is enough."""
    assert not _decide(match)


def test_reversals_are_only_taken_by_name() -> None:
    """A rule for an amount must not hit the reversal that puts it right."""
    assert not _decide(Match(amount_minor=6668), REVERSAL)
    assert _decide(Match(amount_minor=6668, mti="0400"), REVERSAL)


def test_a_rule_wears_out() -> None:
    """``times`` counts messages; then the next rule has its turn."""
    book = RuleBook([Rule(fault="drop", times=2), Rule(response_code="05")], Random(1))
    expected = [Verdict(fault="drop"), Verdict(fault="drop"), Verdict("05"), Verdict("05")]
    assert expected == [book.decide(SALE) for _ in range(4)]


def test_probability_follows_the_seed() -> None:
    """The same seed takes the same messages, about the share that was asked for."""

    def taken() -> list[bool]:
        book = RuleBook([Rule(Match(probability=0.25), "05")], Random(7))
        return [book.decide(SALE) != NO_RULE for _ in range(1000)]

    assert taken() == taken()
    assert 200 < sum(taken()) < 300


def test_the_demo_rules_load() -> None:
    """66.68 is approved and dropped, 66.69 answered late."""
    settings = load_settings(demo_settings_path())
    book = RuleBook(settings.rules, Random(settings.seed))
    assert Verdict(fault="drop") == book.decide(SALE)
    late = Message("0200", {4: "000000006669"})
    assert Verdict(fault="late_reply", delay_s=5.0) == book.decide(late)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[[rules]]\nmatch = { amount_minor = 1 }", "rules[0]"),
        ('[[rules]]\nfault = "explode"', "rules[0].fault"),
        (
            '[[rules]]\nfault = "drop"\nmatch = { pan_suffix = "12345" }',
            "rules[0].match.pan_suffix",
        ),
        ("lisen = 1", "lisen"),
    ],
)
def test_a_wrong_file_names_the_key(tmp_path: Path, text: str, key: str) -> None:
    """File and key stand in the message."""
    file = tmp_path / "bank.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(file)
    assert (str(file), key) == (caught.value.file, caught.value.key)
