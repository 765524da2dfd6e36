"""Requests of the pre-authorisation's family: hold an amount, take it, give it up.

Source: docs/interfaces/terminal.md, part 4 ("Pre-authorisation", "Completion").
"""

from __future__ import annotations

from collections.abc import Collection

from acquirer.codecs.private_fields import De61
from acquirer.terminals_sim import kinds
from acquirer.terminals_sim.cards import Presented
from acquirer.terminals_sim.errors import LocalRefusal
from acquirer.terminals_sim.kinds import Kind
from acquirer.terminals_sim.messages import Request
from acquirer.terminals_sim.requests import Requests, money
from acquirer.terminals_sim.state import JournalEntry

_PREAUTHS = frozenset({kinds.PREAUTH.name})


class PreauthRequests(Requests):
    """What a terminal asks for with a pre-authorisation; originals are of its own journal.

    Each raises :class:`LocalRefusal` where no such one stands.
    """

    def preauth(self, amount_minor: int, presented: Presented) -> Request:
        """0100 030000."""
        fields = money(amount_minor) | self._card(presented, amount_minor)
        return self._request(kinds.PREAUTH, fields)

    def preauth_void(self, rrn: str = "", presented: Presented | None = None) -> Request:
        """0100 200000 for a pre-authorisation, the last one where no RRN is given."""
        held = self._standing(_PREAUTHS, rrn)
        return self._referring(kinds.PREAUTH_VOID, held, held.amount_minor, presented)

    def completion(
        self, amount_minor: int, rrn: str = "", presented: Presented | None = None
    ) -> Request:
        """0200 000000, type 20, for a pre-authorisation, the last one where no RRN is given."""
        held = self._standing(_PREAUTHS, rrn)
        return self._referring(kinds.COMPLETION, held, amount_minor, presented)

    def completion_advice(
        self, amount_minor: int, rrn: str = "", presented: Presented | None = None
    ) -> Request:
        """0220 000000, type 24, likewise."""
        held = self._standing(_PREAUTHS, rrn)
        return self._referring(kinds.COMPLETION_ADVICE, held, amount_minor, presented)

    def completion_void(self, rrn: str = "", presented: Presented | None = None) -> Request:
        """0200 200000, type 21, for a completion, the last one where no RRN is given."""
        made = self._standing(kinds.COMPLETIONS, rrn)
        return self._referring(kinds.COMPLETION_VOID, made, made.amount_minor, presented)

    def _standing(self, names: Collection[str], rrn: str) -> JournalEntry:
        for entry in reversed(self.state.journal):
            if entry.kind in names and entry.state == "approved" and rrn in ("", entry.rrn):
                return entry
        what = "pre-authorisation" if names is _PREAUTHS else "completion"
        raise LocalRefusal(f"no open {what}{f' with RRN {rrn}' if rrn else ''}")

    def _referring(
        self, kind: Kind, original: JournalEntry, amount_minor: int, presented: Presented | None
    ) -> Request:
        named = De61(original.batch, original.stan, original.date)
        fields = money(amount_minor) | {37: original.rrn, 61: named.format()}
        if original.approval_code:
            fields[38] = original.approval_code
        if presented is not None:
            fields |= self._card(presented, amount_minor)
        return self._request(kind, fields)
