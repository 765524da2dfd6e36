"""The key serial numbers that DUKPT terminals have used: their counters only grow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TakeKsn:
    """A terminal has used a key; conditional on its counter being above all that were taken.

    Attributes:
        initial: the serial number with counter zero, hexadecimal.
    """

    terminal_id: str
    initial: str
    counter: int
