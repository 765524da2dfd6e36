"""What an operator must look at now, as a table of conditions, and the task that looks.

Every few seconds a :class:`Reading` of the switch is taken and held against the one before; what
is wrong stands as 1 in ``acquirer_alarm{alarm=…}`` and, when it begins and ends, in the log. An
alarm about something counted stays for :data:`HOLD_S` after the last one. The table's order is
that of docs/operations.md, the gravest first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import structlog
import trio

from acquirer.ledger.errors import BookError, BooksGone
from acquirer.ledger.owed.queues import Depth
from acquirer.ledger.reports.gauges import Gauges
from acquirer.routing.outcomes import LinkStatus
from acquirer.switch.context import Context
from acquirer.switch.hsm.failover import ModuleStatus
from acquirer.switch.steady_clock import SteadyClock
from acquirer.switch.watch.metrics import Metrics

log = structlog.get_logger("acquirer.alarm")

EVERY_S = 5.0
HOLD_S = 60.0
# A commit waits for its replica as long as there is none, and all else waits behind it.
BOOKS_S = 10.0
SAF_OVERDUE_MS = 600_000
NOTICE_OVERDUE_MS = 3_600_000

_NONE = Depth(0, 0, None)


@dataclass(frozen=True, slots=True)
class Reading:
    """The switch at one moment.

    Attributes:
        depths: queue lengths by bank and as ``""`` of the outbox, the oldest as old as it
            certainly is; None where the books could not be read.
        counts: counters that may only grow, by name.
        clock_held_ms: how far the wall clock is ahead of the switch's, which does not follow it.
        modules: the security modules outside this process.
        books_gone: whether the books are not those any more that were opened.
        config_stale: whether there is a newer configuration than counts here.
    """

    now_ms: int
    links: tuple[LinkStatus, ...] = ()
    depths: Mapping[str, Depth] | None = field(default_factory=dict)
    counts: Mapping[str, float] = field(default_factory=dict)
    clock_held_ms: int = 0
    modules: tuple[ModuleStatus, ...] = ()
    books_gone: bool = False
    config_stale: bool = False

    @property
    def banks(self) -> dict[str, Depth]:
        """Queue lengths of banks."""
        return {bank: depth for bank, depth in (self.depths or {}).items() if bank}

    @property
    def notices(self) -> Depth:
        """The outbox."""
        return (self.depths or {}).get("", _NONE)

    def overdue(self, depth: Depth, limit_ms: int) -> bool:
        """Whether the oldest of a queue waits for longer than that."""
        return depth.oldest_ms is not None and self.now_ms - depth.oldest_ms > limit_ms


def _grew(name: str) -> Callable[[Reading, Reading], bool]:
    return lambda now, before: now.counts.get(name, 0) > before.counts.get(name, 0)


def _bank_down(now: Reading, _: Reading) -> bool:
    states = {status.bank: False for status in now.links}
    for status in now.links:
        states[status.bank] |= status.state.value == "up"
    return not all(states.values())


def _hsm_unavailable(now: Reading, before: Reading) -> bool:
    none_up = now.modules and all(module.state != "up" for module in now.modules)
    return bool(none_up) or _grew("hsm_unavailable")(now, before)


def _clock_stepped(now: Reading, before: Reading) -> bool:
    return now.clock_held_ms != 0 or _grew("clock_steps")(now, before)


def _books_unavailable(now: Reading, before: Reading) -> bool:
    # A database that is locked or full can still be read.
    return now.depths is None or _grew("books_unavailable")(now, before)


Condition = Callable[[Reading, Reading], bool]

ALARMS: Mapping[str, Condition] = MappingProxyType(
    {
        "failed_requests": _grew("failed_requests"),
        "failed_rows": _grew("failed_rows"),
        "books_gone": lambda now, _: now.books_gone,
        "books_unavailable": _books_unavailable,
        "uncertain_answers": _grew("uncertain_answers"),
        "hsm_unavailable": _hsm_unavailable,
        "config_stale": lambda now, _: now.config_stale,
        "bank_down": _bank_down,
        "link_down": lambda now, _: any(status.state.value != "up" for status in now.links),
        "hsm_module_down": lambda now, _: any(module.state != "up" for module in now.modules),
        "hsm_other_lmk": lambda now, _: any(module.state == "other_lmk" for module in now.modules),
        "hsm_key_refused": _grew("hsm_key_refused"),
        "saf_dead_letter": lambda now, _: any(depth.dead for depth in now.banks.values()),
        "saf_overdue": lambda now, _: any(
            now.overdue(depth, SAF_OVERDUE_MS) for depth in now.banks.values()
        ),
        "notice_dead_letter": lambda now, _: now.notices.dead > 0,
        "notice_overdue": lambda now, _: now.overdue(now.notices, NOTICE_OVERDUE_MS),
        "late_replies": _grew("late_bank_replies"),
        "bank_mac_errors": lambda now, before: (
            sum(status.counters.mac_errors for status in now.links)
            > sum(status.counters.mac_errors for status in before.links)
        ),
        "mac_errors": _grew("mac_errors"),
        "refused_busy": _grew("refused_busy"),
        "refused_connections": _grew("refused_connections"),
        "stood_in": _grew("stood_in"),
        "clock_stepped": _clock_stepped,
    }
)
# These say how things are, so they end when the condition does; the others are held for a while.
STANDING = frozenset(
    {
        "books_gone",
        "config_stale",
        "bank_down",
        "link_down",
        "hsm_module_down",
        "hsm_other_lmk",
        "saf_dead_letter",
        "saf_overdue",
        "notice_dead_letter",
        "notice_overdue",
    }
)


class Alarms:
    """Which alarms stand. Pure: readings come in, names go out.

    Attributes:
        standing: those that stand, with the time of the last reading that showed them.
        seen: those that the last reading showed; others may stand for a while.
    """

    def __init__(self) -> None:
        self.standing: dict[str, int] = {}
        self.seen: frozenset[str] = frozenset()
        self._before: Reading | None = None

    def take(self, now: Reading) -> tuple[list[str], list[str]]:
        """Hold a reading against the one before.

        Returns:
            The alarms that begin, and those that end, in the table's order.
        """
        before = self._before or now
        self._before = now
        self.seen = frozenset(name for name, holds in ALARMS.items() if holds(now, before))
        begun, ended = [], []
        for name in ALARMS:
            if name in self.seen:
                if name not in self.standing:
                    begun.append(name)
                self.standing[name] = now.now_ms
            elif name in self.standing:
                held_ms = 0 if name in STANDING else HOLD_S * 1000
                if abs(now.now_ms - self.standing[name]) >= held_ms:
                    del self.standing[name]
                    ended.append(name)
        return begun, ended


async def keep_watching(
    context: Context,
    metrics: Metrics,
    modules: Callable[[], Sequence[ModuleStatus]],
    alarms: Alarms,
    is_stale: Callable[[], bool],
) -> None:
    """Take readings for ever, show and log what comes of them.

    Args:
        context: the switch.
        metrics: where the alarms are shown.
        modules: as ``FailoverTransport.states``; none where the module is embedded.
        alarms: take the readings.
        is_stale: whether there is a newer configuration than counts here.
    """
    clock = context.clock
    # What was counted since the start of the program has grown, too.
    alarms.take(Reading(clock.now_ms()))
    while True:
        gauges: Gauges | None = None
        books_gone = False
        try:
            with trio.move_on_after(BOOKS_S) as look:
                gauges = await context.book.gauges()
            if look.cancelled_caught:
                log.warning("books_refuse", reason=f"no answer in {BOOKS_S:.0f} s")
        except BookError as error:
            books_gone = isinstance(error, BooksGone)
            log.warning("books_refuse", reason=str(error))
        now_ms = clock.now_ms()
        reading = Reading(
            now_ms,
            tuple(context.banks.states()),
            _aged(gauges.depths, clock) if gauges else None,
            {**metrics.counts(), "clock_steps": clock.steps},
            clock.held_ms,
            tuple(modules()),
            books_gone,
            is_stale(),
        )
        begun, ended = alarms.take(reading)
        for name in begun:
            log.error("alarm_begins", alarm=name)
        for name in ended:
            log.info("alarm_ends", alarm=name)
        metrics.show(reading.depths, alarms.standing, ALARMS, now_ms)
        if gauges is not None:
            metrics.show_orders(gauges, context.ports.business().couriers)
        await trio.sleep(EVERY_S)


def _aged(depths: Mapping[str, Depth], clock: SteadyClock) -> dict[str, Depth]:
    """Depths whose oldest is as old as it certainly is."""
    now_ms = clock.now_ms()
    return {
        name: depth
        if depth.oldest_ms is None
        else replace(depth, oldest_ms=now_ms - clock.age_ms(depth.oldest_ms))
        for name, depth in depths.items()
    }
