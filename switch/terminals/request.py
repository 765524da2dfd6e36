"""One request of a terminal as a typed value, and the answer to it.

A :class:`Request` is what the session hands to a transaction once decode, terminal, merchant,
MAC and batch have been checked. An :class:`Answer` holds only the reply's own fields; echoing,
MAC and encoding are ``reply.py``'s.
Source: docs/interfaces/terminal.md, parts 2 and 4.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from acquirer.codecs.de59 import De59
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.message import Message
from acquirer.codecs.pan import Pan
from acquirer.codecs.private_fields import De53, De60, De61
from acquirer.codecs.shown_text import one_line
from acquirer.codecs.tpdu import ProcessingDemand
from acquirer.codecs.track2 import Track2
from acquirer.ledger.journal.entries import Entry, Role
from acquirer.switch.terminals.terminals import Keys, Terminal

PIN_WITH_PAN = 2
APPROVED = "00"
# Items that people write and people read: a remark, a signature, what a merchant asks for.
FREE_TEXT = frozenset({"OD", "OR", "OV"})


@dataclass(slots=True)
class Request:
    """A checked request.

    Attributes:
        message: as decoded.
        de60: its private header: type, batch, network code.
        terminal: the sender.
        keys: the generation that its MAC verified under; empty for messages without a MAC.
        fingerprint: keyed digest of what makes a repeat the same request.
        started_at: monotonic seconds when the frame was whole.
        now_ms: wall clock then, milliseconds.
        role: what of its STAN it is.
        address: where it came from; empty where that is not known.
    """

    message: Message
    de60: De60
    terminal: Terminal
    keys: Keys
    fingerprint: bytes
    started_at: float
    now_ms: int
    de59: De59 = field(default_factory=De59)
    role: Role = Role.ORIGINAL
    address: str = ""

    @property
    def stan(self) -> str:
        """DE11."""
        return self.message.get(11)

    @property
    def is_about_another(self) -> bool:
        """Whether it undoes, confirms or tells something, so that it means the same at any time."""
        return self.message.mti == "0220" or 61 in self.message.fields

    @property
    def amount_minor(self) -> int:
        """DE4 in minor units, 0 where it is absent."""
        return int(self.message.get(4) or 0)

    @property
    def encoding(self) -> str:
        """Character set of this terminal's texts."""
        return self.terminal.profile.encoding

    def text(self, tag: str) -> str:
        """A DE59 item's text, empty where it is absent; what people wrote, clean."""
        text = self.de59.text(tag, self.encoding)
        return one_line(text) if tag in FREE_TEXT else text

    def need_text(self, tag: str) -> str:
        """As :meth:`text`, of an item that must be there.

        Raises:
            RemoteFormatError: it is not.
        """
        self.de59.need(tag, self.encoding)
        return self.text(tag)

    def original(self) -> De61:
        """DE61, which must be there with batch and STAN."""
        original = De61.parse(self.message.need(61))
        if not original.original_stan:
            raise RemoteFormatError("the original's STAN is missing", field="61.2")
        return original

    def card(self) -> tuple[Pan, Track2 | None]:
        """The card, from track 2 or keyed; both must agree where both are there.

        Raises:
            RemoteFormatError: no card, or one that cannot be read.
        """
        track = Track2.parse(self.message.get(35)) if self.message.get(35) else None
        if not self.message.get(2):
            if track is None:
                raise RemoteFormatError("neither PAN nor track 2", field="2")
            return track.pan, track
        pan = Pan(self.message.get(2))
        if track is not None and track.pan != pan:
            raise RemoteFormatError("PAN and track 2 are of different cards", field="35")
        return pan, track

    def pin_format_wrong(self) -> bool:
        """Whether DE52 is there without DE53 saying "with PAN", or the other way round."""
        de53 = De53.parse(self.message.get(53)) if self.message.get(53) else De53()
        if self.message.get(52):
            return de53.pin_format != PIN_WITH_PAN
        return de53.pin_format == 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What a transaction answers.

    Attributes:
        response_code: DE39.
        fields: the reply's own fields beside the echoed ones: 12, 13, 15, 37, 38, 44, 54, 59, ….
        demand: processing demand of the reply's header.
    """

    response_code: str
    fields: dict[int, str] = field(default_factory=dict)
    demand: ProcessingDemand = ProcessingDemand.NOTHING


@dataclass(frozen=True, slots=True)
class Repeat:
    """(terminal, batch, STAN) is taken: the session finds the answer in the books."""


class Silence(Exception):
    """Nothing may be said, since a copy has had or might get another answer."""


Outcome = Answer | Repeat


def answer_of(entry: Entry) -> Answer:
    """The answer that an entry got the first time."""
    return Answer(entry.response_code, dict(entry.reply))
