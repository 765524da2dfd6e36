"""Which link of a bank takes a transaction: a pure choice over those that can.

Only links that are up are looked at, so the share of a dead one goes to all others in proportion
to their weights, never to its neighbour alone. All but the first of an order are there for when
the first refuses before anything has left.
Source: smooth weighted round robin as in nginx (each turn a link gains its weight, the highest
goes and pays the sum).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from acquirer.routing.settings import LinkSettings, Strategy


class LinkFacts(msgspec.Struct, frozen=True):
    """What the choice may depend on.

    Attributes:
        pan_digits: the card number, or empty.
        amount_minor: minor units.
    """

    pan_digits: str = ""
    amount_minor: int = 0

    def __repr__(self) -> str:
        return f"LinkFacts({self.pan_digits[:6]!r}, {self.amount_minor})"


NO_FACTS = LinkFacts()


class Turns:
    """Whose turn it is, among links with weights; changes with :meth:`took` only.

    >>> turns = Turns()
    >>> order = ""
    >>> for _ in range(6):
    ...     name = turns.next({"a": 2, "b": 1})
    ...     turns.took(name, {"a": 2, "b": 1})
    ...     order += name
    >>> order
    'abaaba'
    """

    __slots__ = ("_credits",)

    def __init__(self) -> None:
        self._credits: dict[str, int] = {}

    def next(self, weights: Mapping[str, int]) -> str:
        """The name whose turn it is.

        Args:
            weights: above zero, by name, of those that can go now; at least one.
        """
        return max(weights, key=lambda name: self._credits.get(name, 0) + weights[name])

    def took(self, chosen: str, weights: Mapping[str, int]) -> None:
        """Somebody went, in turn or not.

        Those that are away are forgotten: on their return they do not catch up at a rush.

        Args:
            chosen: who.
            weights: as for :meth:`next`.
        """
        credits = {name: self._credits.get(name, 0) + weight for name, weight in weights.items()}
        if chosen in credits:
            credits[chosen] -= sum(weights.values())
        self._credits = credits


def in_order(
    strategy: Strategy, links: Sequence[LinkSettings], facts: LinkFacts, turns: Turns
) -> list[str]:
    """Names of links, the one to try first in front.

    Args:
        strategy: the bank's.
        links: those that can take it, in the order of the configuration.
        facts: of the transaction.
        turns: the bank's, for ``weighted`` and ``round_robin``.

    Returns:
        All of ``links``, but with ``bin`` those only that list a prefix of the card, longest
        first, followed by those that list none.
    """
    by_priority = sorted(links, key=lambda link: link.priority)
    if strategy == "bin":
        fits = [(link, _bin_digits(link, facts)) for link in by_priority]
        fits.sort(key=lambda fit: -fit[1])
        return [link.name for link, digits in fits if digits >= 0]
    if strategy == "cost":
        by_priority.sort(key=lambda link: cost_of(link, facts.amount_minor))
    names = [link.name for link in by_priority]
    if strategy in ("weighted", "round_robin") and len(links) > 1:
        first = turns.next(weights_of(strategy, links))
        names.remove(first)
        names.insert(0, first)
    return names


def weights_of(strategy: Strategy, links: Sequence[LinkSettings]) -> dict[str, int]:
    """The share of each link, by name."""
    return {link.name: link.weight if strategy == "weighted" else 1 for link in links}


def cost_of(link: LinkSettings, amount_minor: int) -> int:
    """What a transaction costs on a link, in hundredths of a basis point of a minor unit."""
    return link.cost_fixed_minor * 10_000 + link.cost_basis_points * amount_minor


def _bin_digits(link: LinkSettings, facts: LinkFacts) -> int:
    """Digits of the longest prefix that fits; 0 for a link that takes any, -1 for none."""
    if not link.bins:
        return 0
    return max((len(p) for p in link.bins if facts.pan_digits.startswith(p)), default=-1)
