"""Stand-in authorisation: approving small payments in the place of a bank that cannot be reached.

Off by default. Only where nothing of the request has left, so that no doubt about it is possible;
never with a PIN, which only the bank can verify. What was approved is owed to the bank as an
advice under the request's own numbers, queued in the commit that approves. The merchant's side
bears the risk that the bank refuses it: see docs/operations.md, alarm ``stood_in``.
Source: ISO 8583:1987, 4.4 (advices).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.book import Book
from acquirer.ledger.entries import Entry, QueueSaf, SafItem
from acquirer.ledger.kinds import Kind
from acquirer.switch.settings import StandInRule
from acquirer.switch.turns import Turns

KNOWN_CARDS_MAX = 100_000
WINDOW_MS = 86_400_000


class StandIn:
    """The rules, and the cards that are known.

    A card is known for a day after its bank last approved it here; knowledge does not outlive the
    process, which errs on the safe side.

    Args:
        rules: the first that names the bank and the kind decides.
    """

    def __init__(self, rules: Sequence[StandInRule] = ()) -> None:
        self._rules = tuple(rules)
        self._known: OrderedDict[tuple[str, bytes], int] = OrderedDict()
        self.turns = Turns()

    def rule_for(self, bank: str, kind: Kind) -> StandInRule | None:
        """The rule for a payment, or None where there is no standing in."""
        return next(
            (
                rule
                for rule in self._rules
                if (not rule.banks or bank in rule.banks) and kind in rule.kinds
            ),
            None,
        )

    def note_approved(self, entry: Entry) -> None:
        """A bank has approved a card."""
        if not self._rules or entry.card is None:
            return
        key = entry.bank, entry.card.pan_token
        self._known[key] = entry.created_at_ms
        self._known.move_to_end(key)
        if len(self._known) > KNOWN_CARDS_MAX:
            self._known.popitem(last=False)

    async def allows(self, book: Book, entry: Entry) -> bool:
        """Whether a payment whose request did not leave may be approved here.

        Raises:
            BookError: the card's advices could not be counted.
        """
        rule = self.rule_for(entry.bank, entry.kind)
        if rule is None or entry.card is None or entry.amount_minor > rule.floor_limit_minor:
            return False
        known_at = self._known.get((entry.bank, entry.card.pan_token))
        if rule.known_cards_only and (
            known_at is None or entry.created_at_ms - known_at > WINDOW_MS
        ):
            return False
        since_ms = entry.created_at_ms - WINDOW_MS
        count, sum_minor = await book.advised(entry.card.pan_token, since_ms)
        return (
            count < rule.daily_count_max
            and sum_minor + entry.amount_minor <= rule.daily_amount_max_minor
        )


def approval_code_of(entry: Entry) -> str:
    """An approval code of our own making: ``S`` and five digits."""
    return f"S{entry.id % 100_000:05d}"


def advice_step(entry: Entry, number: int, now_ms: int) -> QueueSaf:
    """The step that owes the bank an advice.

    It bears the numbers of the request that did not leave, so that a reversal or void names it.

    Args:
        number: a fresh one, for the item.
    """
    return QueueSaf(
        SafItem(
            id=number,
            bank=entry.bank,
            kind=BankMessage.ADVICE,
            original_id=entry.id,
            reason="00",
            created_at_ms=now_ms,
            next_at_ms=now_ms,
            stan=entry.bank_stan,
            transmission_at=entry.transmission_at,
        )
    )
