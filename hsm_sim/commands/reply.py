"""What a command gives back, and what the table says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from acquirer.hsm_sim.body import Body


class Advisory(NamedTuple):
    """A reply with another error code than 00 that carries its fields all the same."""

    code: str
    fields: str


Handler = Callable[[Body], str | Advisory]


@dataclass(frozen=True, slots=True)
class Command:
    """One host command.

    Attributes:
        title: what it does, in a few words.
        handler: takes the body from its first field on and gives the reply's fields.
    """

    title: str
    handler: Handler
