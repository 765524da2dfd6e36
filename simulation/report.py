"""What came of a simulated day, as a value."""

from __future__ import annotations

from dataclasses import dataclass, field

from acquirer.simulation.day import Day


@dataclass(slots=True)
class Report:
    """What came of a day.

    Attributes:
        findings: what did not hold; empty for a clean day.
        digest: hash of everything that happened.
        payments: that were started.
        lives: how often the switch was started.
        drawn: kinds of faults that the day had.
        struck: how often each kind struck.
        cpu_s: processor time.
        lines: the readable trace, where it was asked for.
    """

    day: Day
    findings: list[str] = field(default_factory=list)
    digest: str = ""
    payments: int = 0
    lives: int = 0
    drawn: frozenset[str] = frozenset()
    struck: dict[str, int] = field(default_factory=dict)
    cpu_s: float = 0.0
    virtual_s: float = 0.0
    lines: list[str] = field(default_factory=list)
