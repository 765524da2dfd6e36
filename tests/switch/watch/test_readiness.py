"""When a load balancer may send terminals here."""

from __future__ import annotations

from typing import Any

import pytest

from acquirer.routing.links.link_states import LinkState
from acquirer.routing.outcomes import LinkCounters, LinkStatus
from acquirer.switch.hsm.failover import ModuleStatus
from acquirer.switch.watch.alarms import Alarms, Reading
from acquirer.switch.watch.readiness import readiness


def link(bank: str, state: LinkState = LinkState.UP, name: str = "") -> LinkStatus:
    """A link of a bank."""
    return LinkStatus(bank, state, 0, LinkCounters(), link=name or bank)


DEAD = [link(f"bank-{n}", LinkState.DOWN) for n in range(49)]
UP, DOWN = ModuleStatus("a:1", "up", 0), ModuleStatus("b:1", "down", 0)


@pytest.mark.parametrize(
    ("links", "modules", "depths", "ready"),
    [
        ([link("demo")], [], {}, True),
        ([*DEAD, link("demo")], [], {}, True),
        ([link("demo", LinkState.DOWN, "one"), link("demo", name="two")], [UP, DOWN], {}, True),
        ([], [], {}, True),
        (DEAD, [], {}, False),
        ([link("demo", LinkState.HELD)], [], {}, False),
        ([link("demo")], [DOWN], {}, False),
        ([link("demo")], [UP], None, False),
    ],
)
def test_a_switch_is_ready_while_it_can_serve_anything(
    links: list[LinkStatus], modules: list[ModuleStatus], depths: dict[str, Any] | None, ready: bool
) -> None:
    """Books, a module, and one bank at least; a switch that has no banks needs none."""
    alarms = Alarms()
    alarms.take(Reading(0, depths=depths))
    is_ready, _ = readiness(lambda: links, lambda: modules, alarms, lambda: 7)()
    assert ready is is_ready


def test_what_is_wrong_stands_beside_it() -> None:
    """Each bank, link and module by name, and the books."""
    alarms = Alarms()
    links = [link("a", LinkState.DOWN, "a1"), link("a", name="a2"), link("b", LinkState.DOWN)]
    _, told = readiness(lambda: links, lambda: [UP, DOWN], alarms, lambda: 7)()
    assert {
        "epoch": 7,
        "books": "up",
        "banks": {"a": "up", "b": "down"},
        "links": {"a1": "down", "a2": "up", "b": "down"},
        "security_modules": {"a:1": "up", "b:1": "down"},
    } == told


def test_the_books_are_trusted_again_with_the_next_look() -> None:
    """Their alarm stands longer than the trouble; readiness does not."""
    alarms = Alarms()
    alarms.take(Reading(0))
    ready = readiness(lambda: [link("demo")], tuple, alarms, lambda: 7)
    alarms.take(Reading(5_000, counts={"books_unavailable": 1}))
    assert not ready()[0]
    alarms.take(Reading(10_000, counts={"books_unavailable": 1}))
    assert ready()[0]
    assert "books_unavailable" in alarms.standing
