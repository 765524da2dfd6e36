"""What the terminals of a simulated day do, and how often.

Each name is a method of ``players.Player`` with an underscore before it; the numbers are weights.
"""

from __future__ import annotations

from random import Random

from acquirer.payments.kernel.calendar import DAY_MS

# What a payment is drawn from, with weights.
PAYMENTS = {
    "sale": 46,
    "void": 10,
    "order": 20,
    "cash": 6,
    "delivery": 4,
    "void_against_reversal": 4,
    "sale_reversed": 6,
    "payment_reversed": 4,
    "payment_cancelled": 5,
    "group": 4,
    "part": 6,
}
# A day with a favourite has one of them this often, so that it meets itself, and what it must not
# pass by.
FAVOURITE = 150
# On some days tills give back what they took.
REFUNDS = {"refund": 14}
REFUNDS_EACH_DAYS = 7
# On some days the card's bank is asked by phone.
OFFLINE_SALES = {"offline_sale": 14}
OFFLINE_EACH_DAYS, OFFLINE_DAY = 13, 10
# On some days orders are refunded at a till.
ORDER_REFUNDS = {"order_refund": 14}
ORDER_REFUNDS_EACH_DAYS, ORDER_REFUNDS_DAY = 11, 4
# On some days people pay in parts, show a code, or order by telephone.
OTHERWISE = {"instalment": 14, "code_sale": 14, "mail_sale": 10}
OTHERWISE_EACH_DAYS, OTHERWISE_DAY = 19, 18
# On some days rooms are booked: amounts are held, taken, given up; and guests give tips.
PREAUTHS = {
    "preauth": 24,
    "completion": 48,
    "preauth_void": 8,
    "completion_void": 20,
    "tip": 16,
}
PREAUTH_EACH_DAYS, PREAUTH_DAY = 11, 6
SHORT_DAY_MS = 400
RIVALS = {"part": ("order", "cash")}
SHARE_WITH_FAVOURITE = 0.2
# What may come before it.
ASIDES = {
    "nothing": 60,
    "balance": 3,
    "echo": 1,
    "sign_on": 2,
    "courier_again": 2,
    "wrong_password": 1,
    "reverse": 3,
    "repeat": 4,
    "query": 3,
    "receipt": 2,
    "old_confirmation": 3,
    "exception": 2,
}
# Where strangers could take a courier's place, couriers sign off, too.
MORE_ASIDES = {"strangers": {"courier_off": 4}}
# Where keys are derived, and the books are never those of an earlier hour.
DERIVED_ASIDES = {"old_key": 8}


def payments_of(draw: Random, seed: int) -> dict[str, int]:
    """What the payments of a day are drawn from, with weights."""
    more = REFUNDS if seed % REFUNDS_EACH_DAYS == 0 else {}
    if seed % OFFLINE_EACH_DAYS == OFFLINE_DAY:
        more = more | OFFLINE_SALES
    if seed % ORDER_REFUNDS_EACH_DAYS == ORDER_REFUNDS_DAY:
        more = more | ORDER_REFUNDS
    if seed % OTHERWISE_EACH_DAYS == OTHERWISE_DAY:
        more = more | OTHERWISE | REFUNDS
    if seed % PREAUTH_EACH_DAYS == PREAUTH_DAY:
        more = more | PREAUTHS
    has_favourite, favourite = draw.random() < SHARE_WITH_FAVOURITE, draw.choice(list(PAYMENTS))
    if not has_favourite:
        return PAYMENTS | more
    rivals = dict.fromkeys(RIVALS.get(favourite, ()), FAVOURITE // 2)
    return PAYMENTS | more | rivals | {favourite: FAVOURITE}


def day_ms_of(seed: int) -> int:
    """How long a day of a pre-authorisation lasts: on some days it runs out within seconds."""
    is_short = seed % PREAUTH_EACH_DAYS == PREAUTH_DAY and seed % 2 == 0
    return SHORT_DAY_MS if is_short else DAY_MS


class Budget:
    """How many payments the day has left, over all terminals."""

    def __init__(self, payments: int) -> None:
        self._left = payments

    def take(self) -> bool:
        """One payment, if there is one left."""
        self._left -= 1
        return self._left >= 0
