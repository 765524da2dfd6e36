"""Configuration configuration as a document of tables, as TOML and operators' calls have it. Pure.

A document has one table a body, under the kind's name (``[[merchant]]``), or under that of the
switch's file (``[[merchants]]``). Tables of the switch's file that are no business configuration
are passed over, so that the file itself is such a document.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from acquirer.config.loading import fault_of
from acquirer.switch.configuration.kinds import (
    KINDS,
    SHOWN_SECRET,
    ConfigKind,
    Configuration,
    keyed,
    plain,
)
from acquirer.switch.settings import SwitchSettings

_BY_TABLE = {name: kind for kind in KINDS.values() for name in (kind.name, kind.table)}
_OF_PROCESS = frozenset(SwitchSettings.__struct_fields__) - _BY_TABLE.keys()


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a configuration.

    Attributes:
        place: such as ``merchants[2].mcc``, or ``terminal 10000003``.
        reason: what is wrong and what would be right.
    """

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Document:
    """What was read.

    Attributes:
        bodies: of the kinds that it names.
        names: how it writes these.
        faults: what could not be read; then nothing of it may be used.
    """

    bodies: Mapping[ConfigKind, tuple[msgspec.Struct, ...]]
    names: Mapping[ConfigKind, str]
    faults: tuple[Fault, ...]


def read_document(document: Mapping[str, Any], kinds: Collection[str] = ()) -> Document:
    """The bodies of a document.

    Args:
        document: as TOML or JSON was parsed.
        kinds: those to take; empty takes all that it names.
    """
    faults: list[Fault] = [
        Fault(name, f"no such kind; there are {', '.join(KINDS)}")
        for name in (*kinds, *document)
        if name not in KINDS and (name in kinds or name not in _BY_TABLE.keys() | _OF_PROCESS)
    ]
    bodies: dict[ConfigKind, tuple[msgspec.Struct, ...]] = {}
    names: dict[ConfigKind, str] = {}
    for name, tables in document.items():
        kind = _BY_TABLE.get(name)
        if kind is None or (kinds and kind.name not in kinds):
            continue
        if kind in bodies:
            faults.append(Fault(name, f"is {names[kind]} by another name; use one of them"))
            continue
        names[kind] = name
        bodies[kind] = _bodies(kind, name, tables, faults)
    faults += [
        Fault(name, f"not in the document; `{name} = []` takes all of them away")
        for name in kinds
        if name in KINDS and KINDS[name] not in bodies
    ]
    return Document(bodies, names, tuple(faults))


def _bodies(
    kind: ConfigKind, name: str, tables: object, faults: list[Fault]
) -> tuple[msgspec.Struct, ...]:
    if not isinstance(tables, list):
        faults.append(Fault(name, f"is no list of tables; write [[{name}]]"))
        return ()
    found = []
    for index, table in enumerate(tables):
        try:
            found.append(msgspec.convert(table, kind.type))
        except msgspec.ValidationError as error:
            key, reason = fault_of(error)
            faults.append(Fault(f"{name}[{index}].{key}".rstrip("."), reason))
    return tuple(found)


def body_of(kind: ConfigKind, text: str) -> msgspec.Struct:
    """A body as the books keep it.

    Raises:
        msgspec.ValidationError: this program does not know such a body.
    """
    body: msgspec.Struct = msgspec.json.decode(text, type=kind.type)
    return body


def body_text(body: msgspec.Struct) -> str:
    """What the books keep of a body."""
    return msgspec.json.encode(plain(body)).decode()


def write_document(
    configuration: Configuration, kinds: Collection[str] = ()
) -> dict[str, list[Any]]:
    """All bodies of these kinds, or of all, by the kind's name."""
    return {
        kind.name: [plain(body) for body in configuration.of_kind(kind)]
        for kind in KINDS.values()
        if not kinds or kind.name in kinds
    }


@dataclass(frozen=True, slots=True)
class Difference:
    """How one body differs from another of the same key.

    Attributes:
        change: ``added``, ``removed``, ``changed`` or ``moved``, where only its place is another.
        members: name → before, after, of those that differ; secrets are hidden.
    """

    kind: str
    key: str
    change: str
    members: dict[str, tuple[Any, ...]]


def differences(
    before: Configuration, after: Configuration, kinds: Collection[ConfigKind]
) -> list[Difference]:
    """What would change from one to the other, in these kinds."""
    found: list[Difference] = []
    for kind in kinds:
        old = {key: (place, body) for key, place, body in keyed(kind, before.of_kind(kind))}
        new = {key: (place, body) for key, place, body in keyed(kind, after.of_kind(kind))}
        for key in (*old, *(key for key in new if key not in old)):
            was, is_ = old.get(key), new.get(key)
            if was == is_:
                continue
            members = _members(kind, was and was[1], is_ and is_[1])
            change = "moved" if not members else "changed"
            change = "added" if was is None else "removed" if is_ is None else change
            found.append(Difference(kind.name, key, change, members))
    return found


def _members(
    kind: ConfigKind, before: msgspec.Struct | None, after: msgspec.Struct | None
) -> dict[str, tuple[Any, ...]]:
    was, is_ = (plain(body) if body is not None else {} for body in (before, after))
    found = {}
    for name in (*was, *(name for name in is_ if name not in was)):
        if was.get(name) != is_.get(name):
            hides = name in kind.secrets
            found[name] = tuple(
                SHOWN_SECRET if one and hides else one for one in (was.get(name), is_.get(name))
            )
    return found
