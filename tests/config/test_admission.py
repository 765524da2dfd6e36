"""Which connections are let in, and which one gives way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from acquirer.config.admission import Admission, Admitted, Turned


def test_a_full_port_drops_the_oldest_that_said_nothing() -> None:
    """Those that have proved themselves stay; where all have, the newcomer is turned away."""
    admission: Admission[str] = Admission(2, 10)
    assert Admitted() == admission.enter("a", "x")
    assert Admitted() == admission.enter("b", "x")
    admission.prove("a")
    assert Admitted("b") == admission.enter("c", "x")
    admission.prove("c")
    assert Turned("full") == admission.enter("d", "x")
    admission.leave("a")
    assert Admitted() == admission.enter("d", "x")


def test_long_silence_gives_way_where_it_may() -> None:
    """Of proven connections the one that was silent longest goes, and only after long silence."""
    admission: Admission[str] = Admission(2, 10, silent_s=30.0)
    for who in "ab":
        assert Admitted() == admission.enter(who, "x", 0.0)
        admission.prove(who, 0.0)
    admission.prove("a", 10.0)
    assert Turned("full") == admission.enter("c", "y", 29.9)
    assert Admitted("b") == admission.enter("c", "y", 30.0)
    assert Admitted("c") == admission.enter("d", "y", 40.0)
    admission.prove("d", 40.0)
    assert Admitted("a") == admission.enter("e", "x", 40.0)


def test_an_address_has_its_share() -> None:
    """Others are not concerned, and whoever leaves makes room."""
    admission: Admission[int] = Admission(10, 2)
    assert [Admitted(), Admitted(), Turned("address")] == [
        admission.enter(n, "x") for n in range(3)
    ]
    assert Admitted() == admission.enter(4, "y")
    admission.leave(0)
    assert Admitted() == admission.enter(5, "x")
    assert [Admitted()] * 4 == [admission.enter(n, "") for n in range(10, 14)]


@given(
    st.lists(st.tuples(st.sampled_from("epl"), st.integers(0, 9), st.sampled_from(["", "x", "y"])))
)
def test_no_history_breaks_a_limit(steps: list[tuple[str, int, str]]) -> None:
    """Whatever comes, proves itself and goes: never too many, and nothing left over at the end."""
    admission: Admission[int] = Admission(4, 2)
    inside: set[int] = set()
    for step, who, address in steps:
        if step == "e" and who not in inside:
            verdict = admission.enter(who, address)
            if isinstance(verdict, Admitted):
                inside.add(who)
                inside.discard(verdict.gives_way if verdict.gives_way is not None else -1)
        elif step == "p":
            admission.prove(who)
        elif step == "l":
            admission.leave(who)
            inside.discard(who)
        assert len(inside) == len(admission) <= 4
    for who in inside:
        admission.leave(who)
    assert 0 == len(admission)
    assert Admitted() == admission.enter(1, "x")
    assert Admitted() == admission.enter(2, "x")
