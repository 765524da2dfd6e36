"""From a configuration that is wanted to the versions that make it so. Pure.

Only what differs gets a new version; what is no longer there gets one without a body.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import msgspec

from acquirer.ledger.store.configuration import ConfigVersion, StoredConfiguration
from acquirer.switch.configuration.documents import Fault, body_of, body_text
from acquirer.switch.configuration.kinds import KINDS, ConfigKind, Configuration, keyed

SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change, and why."""

    name: str
    reason: str


def configuration_of(
    stored: StoredConfiguration, without: Collection[ConfigKind] = ()
) -> tuple[Configuration, list[Fault]]:
    """A stored configuration as typed values.

    Args:
        without: kinds that are left out.

    Returns:
        It, and what of it this program cannot read.
    """
    bodies: dict[ConfigKind, list[msgspec.Struct]] = {
        kind: [] for kind in KINDS.values() if kind not in without
    }
    faults = []
    for version in stored.versions:
        kind = KINDS.get(version.kind)
        if version.body is None or (kind is not None and kind in without):
            continue
        place = f"{version.kind} {version.key}"
        if kind is None:
            faults.append(Fault(place, "this program knows no such kind"))
            continue
        try:
            bodies[kind].append(body_of(kind, version.body))
        except msgspec.ValidationError as error:
            faults.append(Fault(place, str(error)))
    return Configuration().having({kind: tuple(found) for kind, found in bodies.items()}), faults


def versions_for(
    stored: StoredConfiguration,
    wanted: Mapping[ConfigKind, tuple[msgspec.Struct, ...]],
    author: Author,
    now_ms: int,
) -> tuple[ConfigVersion, ...]:
    """The versions that turn what is stored into what is wanted; none where it is that already.

    Args:
        wanted: all bodies of the kinds that the change is about.
    """
    newest = {(version.kind, version.key): version for version in stored.versions}
    found: list[ConfigVersion] = []

    def add(kind: ConfigKind, key: str, place: int, body: str | None) -> None:
        before = newest.get((kind.name, key))
        found.append(
            ConfigVersion(
                kind=kind.name,
                key=key,
                version=before.version + 1 if before else 1,
                epoch=stored.epoch + 1,
                place=place,
                body=body,
                valid_from=now_ms,
                made_by=author.name,
                checked_by="",
                reason=author.reason,
                replaces=before.version if before else None,
            )
        )

    for kind, bodies in wanted.items():
        gone = {
            version.key
            for version in stored.versions
            if version.kind == kind.name and version.body is not None
        }
        for key, place, body in keyed(kind, bodies):
            gone.discard(key)
            before = newest.get((kind.name, key))
            if before is None or not _is(before, kind, place, body):
                add(kind, key, place, body_text(body))
        for key in sorted(gone):
            add(kind, key, 0, None)
    return tuple(found)


def _is(version: ConfigVersion, kind: ConfigKind, place: int, body: msgspec.Struct) -> bool:
    if version.body is None or version.place != place:
        return False
    try:
        return body_of(kind, version.body) == body
    except msgspec.ValidationError:
        return False
