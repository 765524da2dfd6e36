"""Which worker gets the next connection. Pure.

A bank's links cost the worker that has them a share of every sale's processor time, so it gets
fewer connections; where a bank needs all that one worker can do, none. Source: docs/scale.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

LINK_SHARE = 0.2
"""Of the processor time of a sale, what its bank's link takes where the link is."""


def lightest(connections: Mapping[int, int], links: Mapping[int, float]) -> int:
    """The worker with the least to do.

    Args:
        connections: how many each worker has, by slot; at least one worker.
        links: the part of all banks' links that each has.

    >>> lightest({1: 3, 2: 4}, {}), lightest({1: 3, 2: 4}, {1: 1.0})
    (1, 2)
    """
    for_links = LINK_SHARE * (sum(connections.values()) + 1)

    def load(slot: int) -> tuple[float, int]:
        own = connections[slot] * (1 - LINK_SHARE) + links.get(slot, 0.0) * for_links
        return own, slot

    return min(connections, key=load)


def surplus(connections: Mapping[int, int], links: Mapping[int, float]) -> dict[int, int]:
    """How many connections each worker has beyond what would be even.

    >>> surplus({1: 10, 2: 0}, {})
    {1: 5}
    """
    even: Counter[int] = Counter(dict.fromkeys(connections, 0))
    for _ in range(sum(connections.values())):
        even[lightest(even, links)] += 1
    return {slot: count - even[slot] for slot, count in connections.items() if count > even[slot]}


def parts(owners: Sequence[int]) -> dict[int, float]:
    """The part of all banks' links that each worker has.

    Args:
        owners: the slot of each bank's links; 0 for nobody's.
    """
    counts = Counter(owner for owner in owners if owner)
    return {slot: count / len(owners) for slot, count in counts.items()}
