"""What a seed decides: how long the day is, which faults it has, how often each strikes.

Each seed takes some kinds of faults and leaves others out (swarm testing), because a bug that one
fault uncovers another may hide. Every kind draws from a generator of its own, so that leaving one
out for a shorter trace disturbs the others as little as may be.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

PAYMENTS = 100
TERMINALS = 8

# Kind → how often it strikes at most, per opportunity (a frame, a commit, a command, a payment).
KINDS: dict[str, float] = {
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
    """Says whether a fault strikes. After :meth:`heal` none does."""

    def __init__(self, day: Day) -> None:
        chosen = day.draw("faults")
        self.rates: dict[str, float] = {}
        for kind, most in KINDS.items():
            taken, share = chosen.random() < SHARE_OF_KINDS, chosen.random()
            if taken and kind in day.faults:
                self.rates[kind] = most * (0.1 + 0.9 * share)
        self._draws = {kind: day.draw(kind) for kind in self.rates}
        self.struck: dict[str, int] = {}

    def strikes(self, kind: str) -> bool:
        """Whether this kind strikes now."""
        rate = self.rates.get(kind)
        if rate is None or self._draws[kind].random() >= rate:
            return False
        self.struck[kind] = self.struck.get(kind, 0) + 1
        return True

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
