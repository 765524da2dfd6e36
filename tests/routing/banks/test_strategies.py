"""Which link of a bank takes a transaction."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.routing.banks.strategies import LinkFacts, Turns, in_order, weights_of
from acquirer.routing.settings import LinkSettings

FACTS = LinkFacts("6225882202982730907", 10_000)


def link(name: str, **changes: Any) -> LinkSettings:
    """A link."""
    return LinkSettings(name=name, address="h:1", **changes)


def share(strategy: Any, links: list[LinkSettings], count: int, turns: Turns) -> Counter[str]:
    """Who goes first, in so many transactions."""
    firsts: Counter[str] = Counter()
    for _ in range(count):
        first = in_order(strategy, links, FACTS, turns)[0]
        turns.took(first, weights_of(strategy, links))
        firsts[first] += 1
    return firsts


def test_priority_goes_down_the_list() -> None:
    """The lowest number first, the others in order behind it; equals as configured."""
    links = [link("c", priority=2), link("a"), link("b", priority=1), link("d", priority=1)]
    assert ["a", "b", "d", "c"] == in_order("priority", links, FACTS, Turns())


def test_weights_are_shares() -> None:
    """Five to one to one, spread out and not in a rush."""
    links = [link("a", weight=5), link("b"), link("c")]
    assert {"a": 50, "b": 10, "c": 10} == share("weighted", links, 70, Turns())


def test_a_dead_links_share_goes_to_all() -> None:
    """Of four in turn one dies: the other three take a third each, not its neighbour a half."""
    links = [link(name) for name in "abcd"]
    turns = Turns()
    assert dict.fromkeys("abcd", 10) == share("round_robin", links, 40, turns)
    assert dict.fromkeys("acd", 20) == share(
        "round_robin", [links[0], links[2], links[3]], 60, turns
    )
    assert dict.fromkeys("abcd", 10) == share("round_robin", links, 40, turns)


def test_the_longest_prefix_wins() -> None:
    """A link that lists another card's prefix is not tried; one without prefixes is the rest."""
    links = [
        link("rest"),
        link("short", bins=["62"]),
        link("long", bins=["40", "622588"]),
        link("other", bins=["5"]),
    ]
    assert ["long", "short", "rest"] == in_order("bin", links, FACTS, Turns())
    assert ["rest"] == in_order("bin", links, LinkFacts("9999"), Turns())


@pytest.mark.parametrize(("amount_minor", "first"), [(100, "share"), (100_000, "fixed")])
def test_cost_depends_on_the_amount(amount_minor: int, first: str) -> None:
    """A share is cheap for small amounts, a fixed price for large ones."""
    links = [link("fixed", cost_fixed_minor=50), link("share", cost_basis_points=30)]
    assert first == in_order("cost", links, LinkFacts("", amount_minor), Turns())[0]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.data())
def test_shares_hold_whoever_comes_and_goes(weights: list[int], data: st.DataObject) -> None:
    """After any history, a whole round gives each of those present within one of its weight."""
    links = [link(str(n), weight=weight) for n, weight in enumerate(weights)]
    turns = Turns()
    for _ in range(data.draw(st.integers(0, 4))):
        some = st.lists(st.sampled_from(links), min_size=1, unique_by=lambda one: one.name)
        present = data.draw(some)
        share("weighted", present, data.draw(st.integers(1, 20)), turns)
    turns = Turns() if data.draw(st.booleans()) else turns
    rounds = 20
    got = share("weighted", links, rounds * sum(weights), turns)
    for one in links:
        assert abs(got[one.name] - rounds * one.weight) <= sum(weights) + 9


def test_facts_show_no_card() -> None:
    """The BIN at most."""
    assert "LinkFacts('622588', 10000)" == repr(FACTS)
