"""Whether the security module takes the keys that a configuration holds, by their check values.

A key that it refuses can never work: zeros, a cut string, a key of another type or local master
key. Asked before such a key counts, and by ``acquirer serve --check``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import trio

from acquirer.payments.kernel.errors import HsmRefused, HsmUnavailable
from acquirer.switch.configuration.documents import Fault
from acquirer.switch.configuration.kinds import KINDS, ConfigKind, Configuration
from acquirer.switch.hsm.client import TMK, Hsm

AT_ONCE = 8
KCV_DIGITS = 6
TMK_CURE = "make it in the module: A0 or `acquirer hsm key components --type 002`"
_KEY = re.compile(r"[A-Z]?[0-9A-Z]{16,}\Z")


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A key of a configuration.

    Attributes:
        place: where it stands, such as ``terminals[0].tmk``.
        what: what it is, such as ``terminal 10000001's master key``.
        key: host-command key string under the local master key.
        key_type: three characters, such as ``002``.
        cure: how to get a good one.
    """

    place: str
    what: str
    key: str
    key_type: str
    cure: str


def terminal_keys(
    configuration: Configuration, names: Mapping[ConfigKind, str]
) -> Iterator[NamedKey]:
    """Every terminal's master key; those whose keys are derived have none.

    Args:
        names: of the kinds that stand in the document at hand, which are told by their index.
    """
    kind = KINDS["terminal"]
    for index, terminal in enumerate(configuration.terminals):
        name = terminal.terminal_id
        if terminal.ksn and not terminal.tmk:
            continue
        place = f"{names[kind]}[{index}].tmk" if kind in names else f"terminal {name}: tmk"
        yield NamedKey(place, f"terminal {name}'s master key", terminal.tmk, TMK, TMK_CURE)


async def new_key_faults(
    hsm: Hsm, before: Configuration, after: Configuration, names: Mapping[ConfigKind, str]
) -> list[Fault]:
    """What is wrong with the keys of terminals that are new, or have a new one."""
    known = {(one.what, one.key) for one in terminal_keys(before, names)}
    keys = [one for one in terminal_keys(after, names) if (one.what, one.key) not in known]
    try:
        checked = await checked_keys(hsm, keys)
    except HsmUnavailable as error:
        return [Fault(keys[0].place, f"the key cannot be tried: {error}; try again")]
    return [Fault(key.place, fault) for key, _, fault in checked if fault]


async def checked_keys(hsm: Hsm, keys: Iterable[NamedKey]) -> list[tuple[NamedKey, str, str]]:
    """Each key with its check value of 6 digits, or with what is wrong with it, in order.

    Raises:
        HsmUnavailable: the module does not answer.
    """
    named = list(keys)
    found: dict[int, tuple[str, str]] = {}
    silent: list[HsmUnavailable] = []
    limit = trio.CapacityLimiter(AT_ONCE)

    async def check(index: int, one: NamedKey) -> None:
        async with limit:
            try:
                found[index] = await _checked(hsm, one)
            except HsmUnavailable as error:
                silent.append(error)
                nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for index, one in enumerate(named):
            nursery.start_soon(check, index, one)
    if silent:
        raise silent[0]
    return [(one, *found[index]) for index, one in enumerate(named)]


async def _checked(hsm: Hsm, one: NamedKey) -> tuple[str, str]:
    if not one.key:
        return "", f"is missing; {one.cure}"
    if not _KEY.match(one.key):
        return "", f"is no key under the local master key, such as U and 32 digits; {one.cure}"
    try:
        return (await hsm.kcv(one.key, one.key_type)).hex().upper()[:KCV_DIGITS], ""
    except HsmRefused as error:
        why = (
            f"the security module refuses it with error {error.code}: it is no key of type "
            f"{one.key_type} under the module's local master key"
        )
        return "", f"{why}; {one.cure}"
