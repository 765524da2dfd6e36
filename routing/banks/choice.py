"""Which bank a card transaction goes to: a pure function over a table.

The table is made of ``[[routes]]`` of the switch's configuration. The longest matching BIN
prefix wins; among rules of one prefix the one that names the merchant, then the one that names
the kind, then the one that stands first. Rules that would be a tie are refused when the table is
made. Source: ISO/IEC 7812-1 (issuer identification numbers are prefixes of the card number).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from acquirer.codecs.pan import Pan
from acquirer.routing.errors import RouteTableError

BIN_DIGITS_MAX = 12


class RouteRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[routes]]`` entry; an empty list stands for all.

    Attributes:
        bank: name of the bank.
        bins: prefixes of card numbers, 1 to 12 digits each.
        kinds: transaction kinds, such as ``sale``.
        merchants: merchant ids.
        fallbacks: names of the banks that take it, in this order, while ``bank`` is down.
        foreign: whether a terminal's settlement counts its cards as foreign ones.
    """

    bank: str
    bins: list[str] = []
    kinds: list[str] = []
    merchants: list[str] = []
    fallbacks: list[str] = []
    foreign: bool = False


class RouteFacts(msgspec.Struct, frozen=True):
    """What the choice depends on."""

    pan: Pan
    kind: str
    merchant_id: str


class Route(msgspec.Struct, frozen=True):
    """Where the transaction goes, the BIN prefix (empty: any card) that decided, and whether its
    cards are foreign ones."""

    bank: str
    bin_prefix: str
    fallbacks: tuple[str, ...] = ()
    foreign: bool = False

    def first_up(self, is_up: Callable[[str], bool]) -> str:
        """The first bank that can be reached; the first of all where none can.

        >>> Route("a", "62", ("b", "c")).first_up(lambda bank: bank == "c")
        'c'
        """
        return next((bank for bank in (self.bank, *self.fallbacks) if is_up(bank)), self.bank)


@dataclass(frozen=True, slots=True)
class NoRoute:
    """No rule takes this transaction (DE39=92)."""


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Rules by BIN prefix, each list in order of precedence; made by :func:`route_table`."""

    rules: dict[str, tuple[RouteRule, ...]]
    lengths: tuple[int, ...]


_NO_ROUTE = NoRoute()


def choose(facts: RouteFacts, table: RouteTable) -> Route | NoRoute:
    """The bank for a transaction.

    >>> table = route_table([RouteRule("demo", bins=["622588"])], ["demo"])
    >>> choose(RouteFacts(Pan("6225880000000007"), "sale", "898110053310001"), table)
    Route(bank='demo', bin_prefix='622588', fallbacks=(), foreign=False)
    >>> choose(RouteFacts(Pan("4000120000000004"), "sale", "898110053310001"), table)
    NoRoute()
    """
    digits = facts.pan.digits
    for length in table.lengths:
        prefix = digits[:length]
        for rule in table.rules.get(prefix, ()):
            if (not rule.merchants or facts.merchant_id in rule.merchants) and (
                not rule.kinds or facts.kind in rule.kinds
            ):
                return Route(rule.bank, prefix, tuple(rule.fallbacks), rule.foreign)
    return _NO_ROUTE


def route_table(rules: Sequence[RouteRule], banks: Collection[str]) -> RouteTable:
    """Check the rules and order them for :func:`choose`.

    Args:
        rules: in the order of the configuration file.
        banks: names of the banks that exist.

    Raises:
        RouteTableError: the first of :func:`route_faults`.
    """
    for fault in route_faults(rules, banks):
        raise fault
    by_prefix: dict[str, list[tuple[int, RouteRule]]] = {}
    for index, rule in enumerate(rules):
        for prefix in rule.bins or [""]:
            by_prefix.setdefault(prefix, []).append((index, rule))
    ordered = {
        prefix: tuple(rule for _, rule in sorted(found, key=_precedence))
        for prefix, found in by_prefix.items()
    }
    return RouteTable(ordered, tuple(sorted({len(prefix) for prefix in ordered}, reverse=True)))


def route_faults(rules: Sequence[RouteRule], banks: Collection[str]) -> Iterator[RouteTableError]:
    """What keeps rules from being a table.

    That is an unknown bank, a BIN that is no prefix, or two rules that would both take the same
    transaction to different banks.
    """
    by_prefix: dict[str, list[tuple[int, RouteRule]]] = {}
    for index, rule in enumerate(rules):
        for key, bank in (("bank", rule.bank), *(("fallbacks", b) for b in rule.fallbacks)):
            if bank not in banks:
                known = ", ".join(sorted(banks)) or "none"
                yield RouteTableError(index, key, f"no bank {bank!r}; configured: {known}")
        for prefix in rule.bins or [""]:
            if prefix and not _is_prefix(prefix):
                reason = f"{prefix!r} is no BIN; 1 to {BIN_DIGITS_MAX} digits"
                yield RouteTableError(index, "bins", reason)
            beside = by_prefix.setdefault(prefix, [])
            for other_index, other in beside:
                if _collide(rule, other):
                    what = f"prefix {prefix!r} goes to {other.bank!r} by routes[{other_index}]"
                    yield RouteTableError(index, "bins", what)
            beside.append((index, rule))


def _is_prefix(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= BIN_DIGITS_MAX


def _precedence(entry: tuple[int, RouteRule]) -> tuple[bool, bool, int]:
    index, rule = entry
    return not rule.merchants, not rule.kinds, index


def _collide(one: RouteRule, other: RouteRule) -> bool:
    """Whether two rules of one prefix take the same transaction, equally closely described."""
    return one.bank != other.bank and all(
        bool(a) == bool(b) and (not a or not set(a).isdisjoint(b))
        for a, b in ((one.merchants, other.merchants), (one.kinds, other.kinds))
    )
