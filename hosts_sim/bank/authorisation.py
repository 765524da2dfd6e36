"""Whether a card may be used: the bank's decision, pure, from the card's state and the limits.

Order: PIN, amount, limits, funds. The third wrong PIN of a business date blocks the card for the
rest of it; a right one before that starts the count again.
"""

from __future__ import annotations

from dataclasses import dataclass

from acquirer.hosts_sim.bank.entries import Entry
from acquirer.hosts_sim.bank.settings import LimitSettings

PIN_FAILURES_MAX = 3


@dataclass(frozen=True, slots=True)
class CardState:
    """What the books know of a card.

    Attributes:
        balance_minor: available balance.
        pin_failures: wrong PINs in a row, on this business date.
        spent_minor: approved debits of this business date, where a limit asks for it.
        spent_count: how many they were.
    """

    balance_minor: int
    pin_failures: int
    spent_minor: int
    spent_count: int


@dataclass(frozen=True, slots=True)
class Decision:
    """A response code and the card's new count of wrong PINs."""

    response_code: str
    pin_failures: int


def decide(entry: Entry, card: CardState, limits: LimitSettings) -> Decision:
    """Decide on a sale, a pre-authorisation or a balance inquiry.

    >>> decide_pin("wrong", 2)
    Decision(response_code='75', pin_failures=3)
    """
    pin = decide_pin(entry.pin, card.pin_failures)
    if pin.response_code:
        return pin
    return Decision(_spend(entry, card, limits), pin.pin_failures)


def decide_pin(pin: str, failures: int) -> Decision:
    """The PIN's part of the decision; an empty response code lets the transaction go on."""
    if failures >= PIN_FAILURES_MAX:
        return Decision("75", failures)
    if pin == "wrong":
        code = "75" if failures + 1 >= PIN_FAILURES_MAX else "55"
        return Decision(code, failures + 1)
    if pin == "unreadable":
        return Decision("A7", failures)
    return Decision("", 0 if pin == "right" else failures)


def _spend(entry: Entry, card: CardState, limits: LimitSettings) -> str:
    if entry.kind not in ("sale", "preauth"):
        return "00"
    amount_minor = entry.amount_minor
    if amount_minor <= 0:
        return "13"
    if 0 < limits.amount_max_minor < amount_minor:
        return "61"
    if 0 < limits.daily_amount_max_minor < card.spent_minor + amount_minor:
        return "61"
    if 0 < limits.daily_count_max <= card.spent_count:
        return "65"
    return "51" if amount_minor > card.balance_minor else "00"
