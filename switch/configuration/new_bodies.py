"""What is asked of bodies that an operator brings, beyond what lets a configuration be served.

A start does not ask it of those that are there already: it would refuse to go on with what has
worked so far. Keys are tried in the security module (``switch/hsm/key_checks.py``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping

import msgspec

from acquirer.ledger.journal.kinds import Kind
from acquirer.switch.configuration.documents import Fault
from acquirer.switch.configuration.kinds import KINDS, ConfigKind, Configuration, keyed
from acquirer.switch.settings import SwitchSettings

# Tries the keys of what is new: before, after, names of the kinds in the document at hand.
ProveKeys = Callable[
    [Configuration, Configuration, Mapping[ConfigKind, str]], Awaitable[list[Fault]]
]
TERMINAL_ID_CHARACTERS = 8


async def no_proof(
    before: Configuration, after: Configuration, names: Mapping[ConfigKind, str]
) -> list[Fault]:
    """Takes all keys."""
    return []


def new_bodies(
    kind: ConfigKind,
    before: Configuration,
    after: Configuration,
    names: Mapping[ConfigKind, str],
) -> Iterator[tuple[str, msgspec.Struct]]:
    """Bodies that are not there yet, as they are, each with the beginning of its members' places.

    Args:
        names: of the kinds that stand in the document at hand.
    """
    there = before.of_kind(kind)
    for index, (key, _, body) in enumerate(keyed(kind, after.of_kind(kind))):
        if body not in there:
            yield (
                (f"{names[kind]}[{index}]." if kind in names else f"{kind.name} {key}: "),
                body,
            )


def new_faults(
    settings: SwitchSettings,
    before: Configuration,
    after: Configuration,
    names: Mapping[ConfigKind, str],
) -> Iterator[Fault]:
    """What of new bodies could never do what they are for. Pure."""
    known_ids = {terminal.terminal_id for terminal in before.terminals}
    for place, body in new_bodies(KINDS["terminal"], before, after, names):
        name = getattr(body, "terminal_id", "")
        if len(name) != TERMINAL_ID_CHARACTERS and name not in known_ids:
            reason = f"{name!r} has {len(name)} characters; DE41 has {TERMINAL_ID_CHARACTERS}"
            yield Fault(f"{place}terminal_id", reason)
    for place, body in new_bodies(KINDS["route"], before, after, names):
        for kind in getattr(body, "kinds", ()):
            if kind not in {*Kind}:
                yield Fault(f"{place}kinds", f"no kind {kind!r}; there are {', '.join(Kind)}")
    banks = [bank.name for bank in settings.banks]
    for place, body in new_bodies(KINDS["stand_in"], before, after, names):
        for bank in getattr(body, "banks", ()):
            if bank not in banks:
                yield Fault(f"{place}banks", f"no bank {bank!r}; there are {', '.join(banks)}")
