"""Stand-in authorisation: approving small payments in the place of a bank that cannot be reached.

Off by default. Only where nothing of the request has left, so that no doubt about it is possible;
never with a PIN, which only the bank can verify. What was approved is owed to the bank as an
advice under the request's own numbers, queued in the commit that approves. The merchant's side
bears the risk that the bank refuses it: see docs/operations.md, alarm ``stood_in``.
Source: ISO 8583:1987, 4.4 (advices).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import msgspec

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.config.constraints import Positive
from acquirer.ledger.journal.entries import (
    Entry,
    SafItem,
)
from acquirer.ledger.journal.kinds import KINDS, Kind, ruled_as
from acquirer.ledger.journal.steps import (
    QueueSaf,
)
from acquirer.ledger.owed.advices import LimitAdvised

KNOWN_CARDS_MAX = 100_000
WINDOW_S = 86_400


class StandInRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Payments that may be approved while their bank cannot be reached.

    Attributes:
        banks: names; empty for all.
        kinds: of transactions.
        floor_limit_minor: the largest amount.
        known_cards_only: whether the bank must have approved the card within a day.
        daily_count_max, daily_amount_max_minor: of one card within 24 hours.
    """

    floor_limit_minor: Positive
    banks: list[str] = []
    kinds: tuple[Kind, ...] = (Kind.SALE, Kind.ORDER_PAYMENT)
    known_cards_only: bool = True
    daily_count_max: Positive = 3
    daily_amount_max_minor: Positive = 50_000


def rule_for(rules: Sequence[StandInRule], bank: str, kind: Kind) -> StandInRule | None:
    """The rule for a payment, the first that names bank and kind; None for no standing in.

    Only what a bank is asked as a sale can be told to it as an advice.
    """
    if KINDS[kind].bank_message is not BankMessage.SALE:
        return None
    return next(
        (
            rule
            for rule in rules
            if (not rule.banks or bank in rule.banks) and ruled_as(kind) in rule.kinds
        ),
        None,
    )


class StandIn:
    """The cards that are known.

    A card is known for a day after its bank last approved it here; knowledge does not outlive the
    process, which errs on the safe side.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, bytes], float] = OrderedDict()

    def note_approved(self, entry: Entry, now_s: float) -> None:
        """A bank has approved a card, at an instant of the monotonic clock."""
        if entry.card is None:
            return
        key = entry.bank, entry.card.pan_token
        self._known[key] = now_s
        self._known.move_to_end(key)
        if len(self._known) > KNOWN_CARDS_MAX:
            self._known.popitem(last=False)

    def limit_of(
        self,
        rule: StandInRule,
        entry: Entry,
        now_s: float,
        since_ms: Callable[[int], int],
    ) -> LimitAdvised | None:
        """The daily limit under which a payment that did not leave may be approved here.

        Args:
            rule: of :func:`rule_for`.
            now_s: of the monotonic clock.
            since_ms: as ``SteadyClock.since_ms``.

        Returns:
            The step that holds the card to it, to stand behind the advice; None where the
            payment may not be approved.
        """
        if entry.card is None or entry.amount_minor > rule.floor_limit_minor:
            return None
        known_at = self._known.get((entry.bank, entry.card.pan_token))
        if rule.known_cards_only and (known_at is None or now_s - known_at > WINDOW_S):
            return None
        return LimitAdvised(
            entry.card.pan_token,
            since_ms(WINDOW_S * 1000),
            rule.daily_count_max,
            rule.daily_amount_max_minor,
        )


def stand_in_code(entry: Entry) -> str:
    """An approval code of our own making: ``S`` and five digits."""
    return f"S{entry.id % 100_000:05d}"


def advice_step(
    entry: Entry, number: int, now_ms: int, icc: str = "", kind: BankMessage = BankMessage.ADVICE
) -> QueueSaf:
    """The step that owes the bank an advice.

    It bears the numbers of the request that did not leave, so that a reversal or void names it.

    Args:
        number: a fresh one, for the item.
        icc: what a chip said, sealed; empty for none.
        kind: an advice, or the completion of a pre-authorisation.
    """
    return QueueSaf(
        SafItem(
            id=number,
            bank=entry.bank,
            kind=kind,
            original_id=entry.id,
            reason="00",
            created_at_ms=now_ms,
            next_at_ms=now_ms,
            stan=entry.bank_stan,
            transmission_at=entry.transmission_at,
            icc=icc,
        )
    )
