"""What can go wrong on the way to a bank, sorted by who must act.

A decline, a time-out and a link that is down are values (``bank_messages``, ``link``), never
exceptions. Here stands what an operator must mend, what the security module refused and what
would be our own bug. No text holds card data or keys.
"""

from __future__ import annotations


class RoutingError(Exception):
    """Root of this folder's errors."""


class RouteTableError(RoutingError):
    """The route table cannot be used; the operator must mend it.

    Attributes:
        rule: index of the rule at fault, from 0, as in ``routes[0]``.
        key: the key at fault.
        reason: what is wrong and what would be right.
    """

    def __init__(self, rule: int, key: str, reason: str) -> None:
        super().__init__(f"routes[{rule}].{key}: {reason}")
        self.rule = rule
        self.key = key
        self.reason = reason


class BankSettingsError(RoutingError):
    """A bank's settings contradict each other; the operator must mend them.

    Attributes:
        bank: the bank's name.
        key: the key at fault.
        reason: what is wrong and what would be right.
    """

    def __init__(self, bank: str, key: str, reason: str) -> None:
        super().__init__(f"bank {bank!r}: {key}: {reason}")
        self.bank = bank
        self.key = key
        self.reason = reason


class SecurityUnavailableError(RoutingError):
    """The security module refused or could not be reached; raised by ``LinkSecurity``."""


class LocalProtocolError(RoutingError):
    """We asked for a step that the state table does not know: a bug."""
