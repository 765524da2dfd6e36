"""One body of the business configuration: added, changed or shown, as a command asks for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from acquirer.cli.config import tell_change
from acquirer.cli.operator import call_switch, refuse
from acquirer.cli.screen import print_json, say

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Change:
    """What all commands that change a body take.

    Attributes:
        kind: of the body.
        by: who does it; empty for the owner of the switch's file.
        reason: why.
        data, config: where the switch is.
        as_json: whether it is told for programs.
    """

    kind: str
    by: str
    reason: str
    data: Path | None
    config: Path | None
    as_json: bool

    def add(self, members: dict[str, Any]) -> dict[str, Any]:
        """Have the running switch add a body; what came of it."""
        return self._call("config/add", {"members": members})

    def change(self, key: str, members: dict[str, Any]) -> None:
        """Have the running switch change some members of a body, and say what came of it."""
        self.tell(self._call("config/change", {"key": key, "members": members}))

    def tell(self, done: dict[str, Any]) -> None:
        """Say what a change did."""
        print_json(done) if self.as_json else tell_change(done)

    def _call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        body = {"kind": self.kind, **body, "reason": self.reason}
        return call_switch(self.data, self.config, path, body, by=self.by, as_json=self.as_json)


def the_one(found: Iterable[T], kind: str, key: str, *, as_json: bool) -> T:
    """The body that was found; where there is none, exit code 1."""
    for one in found:
        return one
    reason = f"no {kind} {key!r}; `acquirer {kind}s list` shows all"
    refuse({"code": "R05", "message": reason}, 1, as_json=as_json)


def show_members(members: dict[str, Any], *, as_json: bool) -> None:
    """Print a body, member by member."""
    if as_json:
        print_json(members)
        return
    for member, value in members.items():
        say(f"{member}: {', '.join(map(str, value)) if isinstance(value, list) else value}")
