"""A bank that writes what nobody can read, in fields that are needed and in others.

Texts that are cut or outside ASCII, control characters, one byte too many. An approved payment is
answered all the same, and is not given up for a field that nobody needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import TYPE_CHECKING

from acquirer.codecs.message import Message
from acquirer.hosts_sim.bank.rules import NO_RULE, Verdict
from acquirer.simulation.troubles.base import Trouble

if TYPE_CHECKING:
    from acquirer.simulation.world import World

KIND = "bank_garbles"
REQUESTS = frozenset({"0200", "0220", "0221", "0400", "0401", "0600"})
# Bytes are written as the characters of Latin-1 that stand for them.
CUT_TEXT = "测试测试测试".encode("gb18030")[:-1].decode("latin-1")
NOT_NEEDED = MappingProxyType(
    {
        "approval code outside ASCII": {38: "ÄÖÜ123"},
        "approval code in superscript": {38: "¹²³¹²³"},
        "approval code with control characters": {38: "A\x1b[31m"},
        "cut text": {44: CUT_TEXT},
        "text in another character set": {44: "\xff\xfe\x80\x81"},
        "balances outside ASCII": {54: "ÿ" * 20},
        "balances that are none": {54: "X" * 20},
        "private text outside ASCII": {48: "\x80é", 63: "\xb2"},
    }
)
NEEDED = MappingProxyType(
    {
        "response code outside ASCII": {39: "²³"},
        "response code with a control character": {39: "\x000"},
    }
)
EXTRA_BYTE = "one byte too many"
FORMS = (*NOT_NEEDED, *NEEDED, EXTRA_BYTE)


class GarblingBank(Trouble):
    """The bank of such a day."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._spared: set[str] = set()
        self._unreadable: set[str] = set()
        world.bank.rules.verdict = self._verdict

    def excuses(self, kind: str, rrn: str) -> bool:
        """Whether the bank's word on it was a code that nobody knows."""
        return rrn in self._unreadable

    def findings(self) -> Iterable[str]:
        """Payments that were lost for nothing, where nothing else explains it."""
        world = self.world
        if world.faults.drawn != {KIND}:
            return
        for rrn, kind in world.auditor.rows(
            "SELECT rrn, kind FROM journal WHERE response_code = '98' ORDER BY id"
        ):
            if str(rrn) in self._spared:
                yield f"garbled: {kind} rrn={rrn} was given up for a field that nobody needs"

    def _verdict(self, message: Message) -> Verdict:
        world = self.world
        if message.mti not in REQUESTS or not world.faults.strikes(KIND):
            return NO_RULE
        form = world.faults.choice(KIND, FORMS)
        world.trace.note("bank", f"garbles the reply to rrn={message.get(37)}: {form}")
        if form == EXTRA_BYTE:
            return Verdict(fault="extra_byte")
        if form in NEEDED:
            self._unreadable.add(message.get(37))
            return Verdict(fields=NEEDED[form])
        if message.mti == "0200":
            self._spared.add(message.get(37))
        return Verdict(fields=NOT_NEEDED[form])
