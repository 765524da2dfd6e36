"""What a seed decides: how long the day is, which faults it has, how often each strikes.

Each seed takes some kinds of faults and leaves others out (swarm testing), because a bug that one
fault uncovers another may hide. Every kind draws from a generator of its own, so that leaving one
out for a shorter trace disturbs the others as little as may be. Troubles are the faults of other
parties, which few days have; such a day has often fewer of the usual faults, or none, so that what
the trouble itself does can be told from what they do.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

PAYMENTS = 100
TERMINALS = 8

# Kind → how often it strikes at most, per opportunity (a frame, a commit, a command, a payment).
USUAL: dict[str, float] = {
    "loss": 0.04,
    "delay": 0.05,
    "duplicate": 0.08,
    "reorder": 0.08,
    "garbage": 0.02,
    "half_open": 0.01,
    "cut": 0.02,
    "partial": 0.02,
    "split": 0.20,
    "twin": 0.08,
    "kill": 0.012,
    "restart": 0.01,
    "db_refuses": 0.01,
    "db_lost": 0.01,
    "clock": 0.02,
    "hsm_refuses": 0.01,
    "hsm_down": 0.01,
    "bank_busy": 0.05,
    "orders_down": 0.05,
    "power": 0.03,
}
SHARE_OF_KINDS = 0.6
# The same of troubles; see ``troubles/``.
TROUBLES: dict[str, float] = {
    "bank_refuses": 0.5,
    "bank_garbles": 0.3,
    "rot": 0.5,
    "bank_leaves": 1.0,
    "clock_far": 1.0,
    "strangers": 1.0,
    "other_lmk": 1.0,
    "sibling": 0.2,
    "books_away": 1.0,
    "orders_lie": 0.2,
    "terms_change": 1.0,
    "limits_change": 1.0,
    "restore": 1.0,
}
KINDS = {**USUAL, **TROUBLES}
SHARE_OF_TROUBLES = 0.09
# How much of their share the usual kinds keep on a day of troubles, one as likely as the other.
CALMNESS = (1.0, 0.3, 0.0)


@dataclass(frozen=True, slots=True)
class Day:
    """One short day.

    Attributes:
        seed: decides everything.
        payments: how many are started.
        terminals: how many play.
        faults: kinds that may strike, of those that the seed draws.
    """

    seed: int
    payments: int = PAYMENTS
    terminals: int = TERMINALS
    faults: frozenset[str] = frozenset(KINDS)

    def command(self) -> str:
        """The command line that replays it."""
        parts = [f"acquirer simulate --seed {self.seed}"]
        if self.payments != PAYMENTS:
            parts.append(f"--payments {self.payments}")
        if self.terminals != TERMINALS:
            parts.append(f"--terminals {self.terminals}")
        if self.faults != frozenset(KINDS):
            parts.append(f"--faults {','.join(sorted(self.faults)) or 'none'}")
        return " ".join(parts)

    def draw(self, purpose: str) -> random.Random:
        """A generator of this day for one purpose."""
        return random.Random(f"{self.seed}/{purpose}")


class Faults:
    """Says whether a fault strikes. After :meth:`heal` none does.

    Attributes:
        rates: how often each kind that the day has drawn strikes, per opportunity.
        drawn: those kinds; healing does not change them.
        has_troubles: whether troubles are among them.
        calm: whether there are no usual faults, which would explain much.
        struck: how often each has struck.
    """

    def __init__(self, day: Day) -> None:
        self.rates = _troubles(day)
        share_of_usual = SHARE_OF_KINDS
        if self.rates:
            share_of_usual *= day.draw("calmness").choice(CALMNESS)
        chosen = day.draw("faults")
        for kind, most in USUAL.items():
            taken, share = chosen.random() < share_of_usual, chosen.random()
            if taken and kind in day.faults:
                self.rates[kind] = _rate(most, share)
        self.drawn = frozenset(self.rates)
        self.has_troubles = bool(self.drawn & TROUBLES.keys())
        self.calm = not self.drawn & USUAL.keys()
        self._draws = {kind: day.draw(kind) for kind in self.rates}
        self.struck: dict[str, int] = {}

    def strikes(self, kind: str) -> bool:
        """Whether this kind strikes now."""
        rate = self.rates.get(kind)
        if rate is None or self._draws[kind].random() >= rate:
            return False
        self.note(kind)
        return True

    def note(self, kind: str) -> None:
        """A fault strikes whose time was drawn."""
        self.struck[kind] = self.struck.get(kind, 0) + 1

    def first(self, kinds: Iterable[str]) -> str:
        """The first of these kinds that strikes, or empty."""
        return next((kind for kind in kinds if self.strikes(kind)), "")

    def between(self, kind: str, low: float, high: float) -> float:
        """A number for a fault that struck."""
        return self._draws[kind].uniform(low, high)

    def choice(self, kind: str, among: tuple[str, ...]) -> str:
        """One of several forms of a fault that struck."""
        return self._draws[kind].choice(among)

    def bytes(self, kind: str, count: int) -> bytes:
        """Garbage."""
        return self._draws[kind].randbytes(count)

    def heal(self) -> None:
        """No fault from now on."""
        self.rates.clear()


def _troubles(day: Day) -> dict[str, float]:
    rates = {}
    for kind, most in TROUBLES.items():
        chosen = day.draw(f"trouble {kind}")
        if chosen.random() < SHARE_OF_TROUBLES and kind in day.faults:
            rates[kind] = _rate(most, chosen.random())
    return rates


def _rate(most: float, share: float) -> float:
    return most * (0.1 + 0.9 * share)


def fault_kinds(text: str) -> frozenset[str]:
    """Kinds from a list with commas; ``none`` and ``all`` are known.

    Raises:
        ValueError: there is no such kind.
    """
    if text in ("", "all"):
        return frozenset(KINDS)
    names = frozenset(text.split(",")) - {"none"}
    unknown = sorted(names - KINDS.keys())
    if unknown:
        raise ValueError(f"no such faults: {', '.join(unknown)}; there are {', '.join(KINDS)}")
    return names
