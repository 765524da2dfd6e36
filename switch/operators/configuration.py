"""What operators do to the business configuration: import it, or change one body of it.

Each is one change, whole or not at all, and acts at once in every process; who made it and why
stand in its versions. Source: docs/configuration.md, "Business configuration".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from acquirer.switch.configuration.changes import Author
from acquirer.switch.configuration.documents import Document, Fault, read_document
from acquirer.switch.configuration.kinds import KINDS, ConfigKind, Configuration, keyed, plain
from acquirer.switch.configuration.live import Changed, Wish
from acquirer.switch.operators.operations import Done, Refused

REASON_MAX = 200


class Changes(Protocol):
    """Where changes are made; ``Live`` is one."""

    async def change(self, wish: Wish, author: Author, now_ms: int) -> Changed | list[Fault]:
        """Make a change, whole or not at all."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """A configuration that cannot be served; nothing was done."""

    faults: tuple[Fault, ...]


async def import_configuration(
    live: Changes,
    document: Mapping[str, Any],
    kinds: Sequence[str],
    author: Author,
    now_ms: int,
) -> Done | Refused | Unfit:
    """Replace what is there of the kinds that a document names.

    Args:
        kinds: those to take of it; empty takes all.
    """
    read = read_document(document, kinds)
    if not read.bodies and not read.faults:
        fault = Fault("", f"names no kind; there are {', '.join(KINDS)}")
        return Unfit((fault,))
    return await _change(live, lambda _: read, author, now_ms)


async def add_body(
    live: Changes, kind_name: str, members: Mapping[str, Any], author: Author, now_ms: int
) -> Done | Refused | Unfit:
    """Add a body whose key is not taken; the same one again changes nothing."""
    kind = KINDS[kind_name]
    read = read_document({kind.name: [members]})
    if read.faults:
        return Unfit(read.faults)
    (body,) = read.bodies[kind]
    key = getattr(body, kind.key)
    taken = False

    def wish(before: Configuration) -> Document:
        nonlocal taken
        bodies = before.of_kind(kind)
        beside = tuple(one for one in bodies if getattr(one, kind.key) != key)
        taken = len(beside) != len(bodies) and body not in bodies
        return _all(kind, bodies if taken else (*beside, body))

    done = await _change(live, wish, author, now_ms)
    if taken and not isinstance(done, Refused):
        return Refused(f"there is a {kind.name} {key!r} already, with other members", "R04")
    return done


async def change_body(
    live: Changes,
    kind_name: str,
    key: str,
    members: Mapping[str, Any],
    author: Author,
    now_ms: int,
) -> Done | Refused | Unfit:
    """Change members of one body; what is so already changes nothing."""
    kind = KINDS[kind_name]
    found = False
    faults: tuple[Fault, ...] = ()

    def wish(before: Configuration) -> Document:
        nonlocal found, faults
        bodies = list(before.of_kind(kind))
        for index, (name, _, body) in enumerate(keyed(kind, tuple(bodies))):
            if name == key:
                found = True
                read = read_document({kind.name: [{**plain(body), **members}]})
                faults = read.faults
                bodies[index : index + 1] = read.bodies[kind]
        return _all(kind, tuple(bodies), faults)

    done = await _change(live, wish, author, now_ms)
    if not found and not isinstance(done, Refused):
        return Refused(f"no {kind.name} {key!r}; `acquirer {kind.table} list` shows all", "R05")
    return done


def _all(
    kind: ConfigKind, bodies: tuple[msgspec.Struct, ...], faults: tuple[Fault, ...] = ()
) -> Document:
    return Document({kind: bodies}, {}, faults)


async def _change(live: Changes, wish: Wish, author: Author, now_ms: int) -> Done | Refused | Unfit:
    reason = author.reason.strip()
    if not 1 <= len(reason) <= REASON_MAX:
        return Refused(f"a reason is needed, of 1 to {REASON_MAX} characters", "R12")
    changed = await live.change(wish, Author(author.name, reason), now_ms)
    if isinstance(changed, list):
        return Unfit(tuple(changed))
    return {
        "epoch": changed.epoch,
        "repeated": not changed.versions,
        "versions": [
            {
                "kind": version.kind,
                "key": version.key,
                "version": version.version,
                "replaces": version.replaces,
            }
            for version in changed.versions
        ],
    }
