"""Which rule, if any, takes a message. Pure but for counting how often each was used.

Randomness comes from a generator that the caller seeds, so that a run can be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from acquirer.codecs.message import Message
from acquirer.hosts_sim.bank.settings import Fault, Match, Rule

_DELAYS_S = {"delay": 1.0, "late_reply": 5.0}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule wants: a response code instead of a decision, a fault of the reply, or both.

    Attributes:
        approved_minor: the part of a sale that is approved; 0 for all.
        fields: of the reply, instead of what should stand there.
        script: for a chip, BER-TLV.
    """

    response_code: str = ""
    fault: Fault = ""
    delay_s: float = 0.0
    approved_minor: int = 0
    fields: Mapping[int, str] = field(default_factory=dict)
    script: bytes = b""


NO_RULE = Verdict()


class RuleBook:
    """The rules of one run.

    Args:
        rules: in order of precedence.
        random: seeded by the caller.
    """

    def __init__(self, rules: Sequence[Rule], random: Random) -> None:
        self._rules = list(rules)
        self._left = [rule.times or -1 for rule in rules]
        self._random = random

    def __len__(self) -> int:
        return len(self._rules)

    def listed(self) -> list[dict[str, Any]]:
        """The rules in their order: ``rule``, and how many messages it still takes, or None."""
        return [
            {"rule": rule, "left": left if rule.times else None}
            for rule, left in zip(self._rules, self._left, strict=True)
        ]

    def add(self, rule: Rule) -> None:
        """Put a rule before all others."""
        self._rules.insert(0, rule)
        self._left.insert(0, rule.times or -1)

    def clear(self, number: int) -> None:
        """Take a rule away, from 1 in their order, or with 0 all."""
        gone = slice(number - 1, number) if number else slice(None)
        del self._rules[gone]
        del self._left[gone]

    def decide(self, message: Message) -> Verdict:
        """The verdict of the first rule that takes this message."""
        for index, rule in enumerate(self._rules):
            if self._left[index] == 0 or not _matches(rule.match, message):
                continue
            if rule.match.probability < 1.0 and self._random.random() >= rule.match.probability:
                continue
            self._left[index] -= 1
            delay_s = _DELAYS_S.get(rule.fault, 0.0) if rule.delay_s is None else rule.delay_s
            script = bytes.fromhex(rule.script)
            return Verdict(
                rule.response_code, rule.fault, delay_s, rule.approved_minor, script=script
            )
        return NO_RULE


def _matches(match: Match, message: Message) -> bool:
    if match.mti:
        if not message.mti.startswith(match.mti):
            return False
    elif message.mti[:2] not in ("01", "02"):
        return False
    if match.amount_minor is not None and int(message.get(4) or -1) != match.amount_minor:
        return False
    if match.terminal_id and message.get(41).rstrip() != match.terminal_id.rstrip():
        return False
    if match.processing_code and not message.processing_code.startswith(match.processing_code):
        return False
    return not match.pan_suffix or message.get(2).endswith(match.pan_suffix)
