"""One request of a terminal as the session has checked it, and what it is told.

Source: docs/interfaces/terminal.md, parts 2 and 4.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from acquirer.codecs.de59 import De59
from acquirer.codecs.message import Message
from acquirer.codecs.private_fields import De60
from acquirer.codecs.tpdu import ProcessingDemand
from acquirer.payments.kernel.commands import Answer, Origin
from acquirer.switch.terminals.terminals import Keys, Terminal


@dataclass(slots=True)
class Request:
    """A checked request.

    Attributes:
        message: as decoded.
        de60: its private header: type, batch, network code.
        terminal: the sender.
        keys: the generation that its MAC verified under; empty for messages without a MAC.
        origin: what every command of it says.
        address: where it came from; empty where that is not known.
        is_too_much: whether it would wait too long for this process.
    """

    message: Message
    de60: De60
    terminal: Terminal
    keys: Keys
    origin: Origin
    de59: De59 = field(default_factory=De59)
    address: str = ""
    is_too_much: bool = False

    @property
    def is_about_another(self) -> bool:
        """Whether it undoes, confirms or tells something, so that it means the same at any time."""
        return self.message.mti == "0220" or 61 in self.message.fields


class Told(msgspec.Struct, frozen=True):
    """What a terminal is told.

    Attributes:
        response_code: DE39.
        fields: the reply's own fields beside the echoed ones: 12, 13, 15, 37, 38, 54, 59, ….
        demand: processing demand of the reply's header.
    """

    response_code: str
    fields: dict[int, str] = {}
    demand: ProcessingDemand = ProcessingDemand.NOTHING

    @classmethod
    def of(cls, answer: Answer) -> Told:
        """A payment's answer as its terminal is told it."""
        fields = answer.reply.elements()
        if 62 in fields:
            fields[62] = fields[62].encode("ascii").hex().upper()
        return cls(answer.response_code, fields)


class KeysChanged(Exception):
    """Nothing was stored, since the terminal's keys were changed meanwhile: verify it once more."""


class Silence(Exception):
    """Nothing may be said, since a copy has had or might get another answer."""
