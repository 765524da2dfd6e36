"""Which alarms stand, and what /metrics shows of links and queues."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
from prometheus_client import CollectorRegistry, generate_latest

from acquirer.ledger.errors import BookUnavailable
from acquirer.ledger.owed.queues import Depth
from acquirer.routing.links.link_states import LinkState
from acquirer.routing.outcomes import LinkCounters, LinkStatus
from acquirer.switch.hsm.failover import ModuleStatus
from acquirer.switch.watch.alarms import ALARMS, BOOKS_S, STANDING, Alarms, Reading, keep_watching
from acquirer.switch.watch.collectors import LinkCollector
from acquirer.switch.watch.metrics import Metrics


def link(name: str, state: LinkState = LinkState.UP, **counters: int) -> LinkStatus:
    """One link of a bank."""
    return LinkStatus("demo", state, 0, LinkCounters(**counters), link=name)


def begun(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What begins between two readings five seconds apart."""
    alarms = Alarms()
    alarms.take(Reading(0, **before))
    return alarms.take(Reading(5_000, **now))[0]


def test_all_is_well() -> None:
    """No alarm stands where nothing is wrong."""
    well = {"links": (link("a"),), "depths": {"demo": Depth(1, 0, 4_000), "": Depth(0, 0, None)}}
    assert [] == begun(well, well)


def test_one_link_down_is_not_yet_a_bank_down() -> None:
    """Both alarms where no link of a bank is up."""
    one = {"links": (link("a"), link("b", LinkState.DOWN))}
    assert ["link_down"] == begun({}, one)
    assert ["bank_down", "link_down"] == begun({}, {"links": (link("a", LinkState.HELD),)})


def test_one_module_down_is_not_yet_the_security_module_unavailable() -> None:
    """Both alarms where none is used, though no request has asked for one."""
    up, down = ModuleStatus("a:1", "up", 0), ModuleStatus("b:1", "down", 3)
    other = ModuleStatus("c:1", "other_lmk", 0)
    assert ["hsm_module_down"] == begun({}, {"modules": (up, down)})
    strange = ["hsm_module_down", "hsm_other_lmk"]
    assert strange == begun({}, {"modules": (up, other)})
    assert ["hsm_unavailable", *strange] == begun({}, {"modules": (down, other)})


def test_dead_letters_and_old_ones() -> None:
    """Of banks and of merchants, each by its own patience."""
    old = {"demo": Depth(1, 2, -600_000), "": Depth(1, 1, -3_600_000)}
    assert ["saf_dead_letter", "saf_overdue", "notice_dead_letter", "notice_overdue"] == begun(
        {}, {"depths": old}
    )


def test_books_that_can_be_read_but_not_written() -> None:
    """A locked or full database is found by the requests that it does not take."""
    metrics = Metrics()
    before = metrics.counts()
    metrics.not_handled(BookUnavailable("database is locked"))
    assert ["books_unavailable"] == begun({"counts": before}, {"counts": metrics.counts()})
    assert ["books_unavailable"] == begun({}, {"depths": None})


def test_what_is_counted_is_held_for_a_minute() -> None:
    """It begins when the count grows, and ends a minute after the last one."""
    alarms = Alarms()
    alarms.take(Reading(0, counts={"mac_errors": 3}))
    assert (["mac_errors"], []) == alarms.take(Reading(5_000, counts={"mac_errors": 4}))
    assert ([], []) == alarms.take(Reading(10_000, counts={"mac_errors": 5}))
    assert ([], []) == alarms.take(Reading(69_999, counts={"mac_errors": 5}))
    assert ([], ["mac_errors"]) == alarms.take(Reading(70_000, counts={"mac_errors": 5}))


def test_what_stands_ends_at_once() -> None:
    """A bank that is back is back."""
    alarms = Alarms()
    alarms.take(Reading(0, (link("a", LinkState.DOWN),)))
    assert ([], ["bank_down", "link_down"]) == alarms.take(Reading(5_000, (link("a"),)))


def test_a_configuration_that_cannot_be_built_is_an_alarm_until_one_can() -> None:
    """It stands as long as a newer one than counts here is in the books."""
    alarms = Alarms()
    alarms.take(Reading(0))
    assert (["config_stale"], []) == alarms.take(Reading(5_000, config_stale=True))
    assert ([], []) == alarms.take(Reading(10_000, config_stale=True))
    assert ([], ["config_stale"]) == alarms.take(Reading(15_000))


def test_macs_of_banks_and_steps_of_the_clock() -> None:
    """Each has an alarm."""
    assert ["bank_mac_errors"] == begun(
        {"links": (link("a"),)}, {"links": (link("a", mac_errors=1),)}
    )
    assert ["clock_stepped"] == begun({}, {"clock_held_ms": -86_400_000})
    assert ["clock_stepped"] == begun({"counts": {}}, {"counts": {"clock_steps": 1}})


def test_every_alarm_is_shown_even_where_it_does_not_stand() -> None:
    """So that a rule on it can be written before it ever happens."""
    metrics = Metrics()
    depths = {"demo": Depth(3, 1, 0), "": Depth(2, 0, None)}
    metrics.show(depths, ["bank_down"], ALARMS, 9_000)
    text = generate_latest(metrics.registry).decode()
    assert 'acquirer_alarm{alarm="bank_down"} 1.0' in text
    assert len(ALARMS) == text.count("\nacquirer_alarm{")
    assert 'acquirer_queued{queue="merchants"} 2.0' in text
    assert 'acquirer_oldest_seconds{queue="demo"} 9.0' in text
    metrics.show({}, [], ALARMS, 9_000)
    assert 'acquirer_queued{queue="demo"} 0.0' in generate_latest(metrics.registry).decode()


def test_counters_of_links_are_read_when_asked_for() -> None:
    """State, and every counter by name."""
    registry = CollectorRegistry()
    registry.register(LinkCollector(lambda: [link("a", sent=4), link("b", LinkState.DOWN)]))
    text = generate_latest(registry).decode()
    assert 'acquirer_link_up{bank="demo",link="b"} 0.0' in text
    assert 'acquirer_link_events_total{bank="demo",event="sent",link="a"} 4.0' in text


def test_names_agree() -> None:
    """What stands by itself is in the table, and what is counted has a counter."""
    assert set(ALARMS) >= STANDING
    counted = {"failed_requests", "uncertain_answers", "hsm_unavailable", "late_bank_replies"}
    counted |= {"mac_errors", "refused_busy", "refused_connections", "stood_in"}
    assert set(Metrics().counts()) >= counted


def test_the_operators_book_has_every_alarm_in_this_order() -> None:
    """A heading for each, the gravest first."""
    book = (Path(__file__).parents[3] / "docs" / "operations.md").read_text("utf-8")
    assert list(ALARMS) == re.findall(r"^### `(\w+)`$", book, re.MULTILINE)


@pytest.mark.anyio
async def test_books_that_say_nothing_are_unavailable() -> None:
    """As where a commit waits for a replica that is not there."""
    context = SimpleNamespace(
        clock=SimpleNamespace(now_ms=lambda: 0, steps=0, held_ms=0),
        book=SimpleNamespace(gauges=trio.sleep_forever),
        banks=SimpleNamespace(states=tuple),
    )
    alarms = Alarms()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            keep_watching, cast(Any, context), Metrics(), tuple, alarms, lambda: False
        )
        await trio.sleep(BOOKS_S + 1)
        nursery.cancel_scope.cancel()
    assert "books_unavailable" in alarms.seen
