"""What the rounds have shown: a table, and what must not be. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Named = tuple[str, str, str]
"""Terminal, batch, STAN."""


@dataclass(frozen=True, slots=True)
class Round:
    """One fault.

    Attributes:
        back_s: until the first approval of a sale that began after it.
        silence_s: longest time without any approval.
        whole_s: until the cluster was whole again.
        approved: sales in the meantime.
        unsafe: sales approved while no replica could have had them.
    """

    fault: str
    number: int
    back_s: float
    silence_s: float
    whole_s: float
    approved: int
    unsafe: int


def table(rounds: Sequence[Round], faults: Mapping[str, tuple[str, float]]) -> str:
    """A Markdown table, one line a fault.

    Args:
        rounds: all.
        faults: each one's title and limit, by name.

    >>> print(table([Round("a", 1, 1.0, 2.0, 3.0, 4, 0)], {"a": ("A is killed", 10)}))
    | fault | rounds | payments again: median, worst, limit | longest silence | whole again, worst |
    |---|---|---|---|---|
    | A is killed | 1 | 1.0 s, 1.0 s, 10 s | 2.0 s | 3 s |
    """
    lines = [
        "| fault | rounds | payments again: median, worst, limit"
        " | longest silence | whole again, worst |",
        "|---|---|---|---|---|",
    ]
    for name, (title, limit_s) in faults.items():
        mine = [one for one in rounds if one.fault == name]
        if not mine:
            continue
        back = [one.back_s for one in mine]
        times = f"{median(back):.1f} s, {max(back):.1f} s, {limit_s:.0f} s"
        silence = f"{max(one.silence_s for one in mine):.1f} s"
        whole = f"{max(one.whole_s for one in mine):.0f} s"
        lines.append(f"| {title} | {len(mine)} | {times} | {silence} | {whole} |")
    return "\n".join(lines)


def wrong_rounds(rounds: Iterable[Round], faults: Mapping[str, tuple[str, float]]) -> list[str]:
    """Rounds in which payments came back too late, or were approved when they must wait.

    >>> wrong_rounds([Round("a", 1, 11.0, 2.0, 3.0, 4, 1)], {"a": ("", 10)})
    ['a 1: payments after 11.0 s, not 10 s', 'a 1: 1 approved without a replica']
    """
    found = []
    for one in rounds:
        limit_s = faults[one.fault][1]
        if one.back_s > limit_s:
            found.append(
                f"{one.fault} {one.number}: payments after {one.back_s:.1f} s, not {limit_s:.0f} s"
            )
        if one.unsafe:
            found.append(f"{one.fault} {one.number}: {one.unsafe} approved without a replica")
    return found


def differences(
    told: Sequence[Named], booked: Sequence[Named], bank_minor: int, amount_minor: int
) -> list[str]:
    """What terminals, books and bank do not agree on, once nothing is under way.

    Args:
        told: sales that terminals were told 00 for.
        booked: sales that the books have as approved.
        bank_minor: what the bank owes us by its own books.
        amount_minor: of each sale.

    >>> differences([("1", "1", "1")], [("1", "1", "2")], 100, 100)
    ['told but not in the books: 1/1/1', 'in the books but not told: 1/1/2']
    >>> differences([("1", "1", "1")] * 2, [("1", "1", "1")], 200, 100)
    ['told twice: 1/1/1', 'the bank owes 200, the books say 100']
    """
    found = [f"told but not in the books: {'/'.join(one)}" for one in sorted({*told} - {*booked})]
    found += [f"in the books but not told: {'/'.join(one)}" for one in sorted({*booked} - {*told})]
    counts = Counter(told)
    found += [f"told twice: {'/'.join(one)}" for one in sorted(counts) if counts[one] > 1]
    if bank_minor != amount_minor * len(booked):
        found.append(f"the bank owes {bank_minor}, the books say {amount_minor * len(booked)}")
    return found
