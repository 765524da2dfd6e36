"""Route choice: longest prefix, merchants, kinds, and tables that are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.codecs.pan import Pan
from acquirer.routing.banks.choice import NoRoute, Route, RouteFacts, RouteRule, choose, route_table
from acquirer.routing.errors import RouteTableError

PAN = Pan("6225882202982730907")
BANKS = ["a", "b", "c"]


def _choose(*rules: RouteRule, pan: Pan = PAN, kind: str = "sale", merchant: str = "m1") -> object:
    return choose(RouteFacts(pan, kind, merchant), route_table(rules, BANKS))


def test_the_longest_prefix_wins() -> None:
    """A longer BIN beats a shorter one wherever it stands."""
    short, long = RouteRule("a", bins=["62"]), RouteRule("b", bins=["622588"])
    assert Route("b", "622588") == _choose(short, long)
    assert Route("b", "622588") == _choose(long, short)


def test_a_longer_prefix_of_another_kind_falls_back() -> None:
    """A rule that does not take the kind leaves the transaction to a shorter prefix."""
    rules = (RouteRule("a", bins=["62"]), RouteRule("b", bins=["622588"], kinds=["balance"]))
    assert Route("a", "62") == _choose(*rules)
    assert Route("b", "622588") == _choose(*rules, kind="balance")


def test_a_merchant_beats_a_kind_beats_the_rest() -> None:
    """Among rules of one prefix the closest description wins."""
    rules = (
        RouteRule("a", bins=["62"]),
        RouteRule("b", bins=["62"], kinds=["sale"]),
        RouteRule("c", bins=["62"], merchants=["m1"]),
    )
    assert Route("c", "62") == _choose(*rules)
    assert Route("b", "62") == _choose(*rules, merchant="m2")
    assert Route("a", "62") == _choose(*rules, merchant="m2", kind="void")


def test_a_rule_without_bins_takes_every_card() -> None:
    """An empty list stands for all."""
    assert Route("a", "") == _choose(RouteRule("a"))


def test_no_rule_is_a_value() -> None:
    """Cards of no range have no route."""
    assert NoRoute() == _choose(RouteRule("a", bins=["4"]))


@pytest.mark.parametrize(
    ("rules", "where"),
    [
        ([RouteRule("x")], "routes[0].bank"),
        ([RouteRule("a", bins=["62X"])], "routes[0].bins"),
        ([RouteRule("a", bins=["1234567890123"])], "routes[0].bins"),
        ([RouteRule("a", bins=["62"]), RouteRule("b", bins=["4", "62"])], "routes[1].bins"),
        (
            [RouteRule("a", kinds=["sale", "void"]), RouteRule("b", kinds=["void"])],
            "routes[1].bins",
        ),
    ],
)
def test_a_wrong_table_is_named(rules: list[RouteRule], where: str) -> None:
    """The error names the rule and the key."""
    with pytest.raises(RouteTableError, match=where.replace("[", r"\[").replace("]", r"\]")):
        route_table(rules, BANKS)


def test_two_rules_to_the_same_bank_may_overlap() -> None:
    """Only a tie between different banks is refused."""
    assert Route("a", "62") == _choose(RouteRule("a", bins=["62"]), RouteRule("a", bins=["62"]))


@given(
    bins=st.dictionaries(st.text("0123", min_size=1, max_size=5), st.sampled_from(BANKS)),
    digits=st.text("0123", min_size=13, max_size=19),
)
def test_choice_agrees_with_a_plain_search(bins: dict[str, str], digits: str) -> None:
    """The table finds what a search for the longest prefix finds."""
    found = max((b for b in bins if digits.startswith(b)), key=len, default=None)
    expected = NoRoute() if found is None else Route(bins[found], found)
    rules = [RouteRule(bank, bins=[prefix]) for prefix, bank in bins.items()]
    assert expected == _choose(*rules, pan=Pan(digits))


def test_a_fallback_takes_over_while_the_bank_is_down() -> None:
    """In order; with none up the first one, which then refuses; unknown ones are refused."""
    rule = RouteRule("a", bins=["62"], fallbacks=["b", "c"])
    route = choose(
        RouteFacts(Pan("6225880000000007"), "sale", "M1"), route_table([rule], ["a", "b", "c"])
    )
    assert isinstance(route, Route)
    for up, expected in (({"a", "b"}, "a"), ({"b", "c"}, "b"), ({"c"}, "c"), (set(), "a")):
        assert expected == route.first_up(up.__contains__)
    with pytest.raises(RouteTableError, match="fallbacks"):
        route_table([rule], ["a", "b"])
