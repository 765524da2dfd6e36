"""How long a request that comes now would wait."""

from acquirer.switch.terminals.load import WINDOW_S, Load


def crowd(load: Load, size: int) -> None:
    """So many requests come at once."""
    for _ in range(size):
        load.arrived()


def turns(load: Load, *, at: float, busy_s: float, rest_s: float, answers: int) -> float:
    """Turns of a loop for more than a window's length; when they ended.

    Args:
        answers: in each turn; as many requests come in their place.
    """
    until = at + 1.1 * WINDOW_S
    while at <= until:
        load.turn_begins(at)
        for _ in range(answers):
            load.answered()
            load.arrived()
        load.turn_ends(at + busy_s)
        at += busy_s + rest_s
    return at


def test_while_the_loop_has_no_rest_requests_wait_for_each_other() -> None:
    """Two answers in each turn of a hundredth of a second: one costs five milliseconds."""
    load = Load(wait_max_s=1.0)
    crowd(load, 100)
    at = turns(load, at=1000.0, busy_s=0.01, rest_s=0.0, answers=2)
    turns(load, at=at, busy_s=0.01, rest_s=0.0, answers=2)
    assert 5 == round(load.cost_s * 1000)
    assert not load.is_too_much()
    crowd(load, 110)
    assert load.is_too_much()


def test_a_crowd_that_comes_at_once_is_not_judged_before_it_was_served() -> None:
    """While none of it is answered yet, it looks as if nobody ever were."""
    load = Load(wait_max_s=2.0)
    at = turns(load, at=1000.0, busy_s=0.001, rest_s=0.02, answers=1)
    crowd(load, 400)
    at = turns(load, at=at, busy_s=0.01, rest_s=0.0, answers=0)
    at = turns(load, at=at, busy_s=0.01, rest_s=0.0, answers=1)
    assert not load.is_too_much()
    for _ in range(3):
        at = turns(load, at=at, busy_s=0.01, rest_s=0.0, answers=4)
    assert 2 <= load.cost_s * 1000 <= 5
    assert not load.is_too_much()


def test_where_the_loop_rests_nobody_waits_for_it() -> None:
    """However many are in flight: a bank is slow, and that is no reason to refuse anybody."""
    load = Load(wait_max_s=1.0)
    crowd(load, 1_000)
    turns(load, at=1000.0, busy_s=0.001, rest_s=0.01, answers=0)
    assert not load.is_too_much()


def test_it_is_forgotten_when_it_is_over() -> None:
    """A quiet second after a busy one says that there is room again."""
    load = Load(wait_max_s=0.5)
    crowd(load, 100)
    at = turns(load, at=1000.0, busy_s=0.01, rest_s=0.0, answers=1)
    at = turns(load, at=at, busy_s=0.01, rest_s=0.0, answers=1)
    assert load.is_too_much()
    turns(load, at=at, busy_s=0.001, rest_s=0.02, answers=1)
    assert not load.is_too_much()


def test_a_clock_that_stands_still_refuses_nobody() -> None:
    """Where time passes only while nobody works, no work takes time."""
    load = Load(wait_max_s=1.0)
    crowd(load, 1_000)
    for second in range(10):
        turns(load, at=1000.0 + second, busy_s=0.0, rest_s=0.25, answers=5)
    assert 0.0 == load.cost_s
