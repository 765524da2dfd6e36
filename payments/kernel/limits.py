"""Limits by merchant, terminal, merchant category and card: what may be asked, and for how much.

What one request says is held against them before anything else is done (:meth:`Limits.refusal`);
sums and counts of a business date are decided in the payment's first commit, to which
:meth:`Limits.daily` adds them. Source: docs/configuration.md, "Limits".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from acquirer.codecs.response_codes import ResponseCode
from acquirer.config.business import LimitRule, MerchantSettings
from acquirer.ledger.journal.entries import Entry
from acquirer.ledger.journal.kinds import KINDS, PAYMENTS, Kind, ruled_as
from acquirer.ledger.journal.limits import LimitDaily

# DE22's first two digits.
ENTRY_MODES: Mapping[str, str] = {
    "01": "keyed",
    "02": "stripe",
    "03": "qr",
    "05": "chip",
    "07": "contactless",
    "90": "stripe",
    "91": "contactless",
    "95": "chip",
}
# What asks a bank for something, or tells it of a payment; what undoes one is never limited.
LIMITED = frozenset(kind for kind, row in KINDS.items() if row.bank_message and not row.undoes)


class Limits:
    """All limits of a configuration; false where there are none.

    Args:
        merchants: of the same configuration, for the categories.
    """

    def __init__(
        self, rules: Iterable[LimitRule] = (), merchants: Iterable[MerchantSettings] = ()
    ) -> None:
        self._rules: dict[tuple[str, str], list[LimitRule]] = {}
        for rule in rules:
            self._rules.setdefault(rule.subject, []).append(rule)
        self._of_category: dict[str, tuple[str, ...]] = {}
        for merchant in merchants:
            others = self._of_category.get(merchant.mcc, ())
            self._of_category[merchant.mcc] = (*others, merchant.merchant_id)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def _on(self, merchant: MerchantSettings, terminal_id: str) -> Iterable[LimitRule]:
        for subject in (
            ("merchant_id", merchant.merchant_id),
            ("terminal_id", terminal_id),
            ("mcc", merchant.mcc),
            ("each_card", ""),
        ):
            yield from self._rules.get(subject, ())

    def refusal(
        self,
        merchant: MerchantSettings,
        terminal_id: str,
        kind: Kind,
        *,
        amount_minor: int,
        currency_code: str,
        entry_mode: str,
    ) -> str:
        """The code that refuses a request whatever else has been paid, or the empty string.

        Args:
            entry_mode: DE22; empty where nothing was presented.
        """
        if kind not in LIMITED:
            return ""
        mode = ENTRY_MODES.get(entry_mode[:2], "")
        gives_back = bool(KINDS[kind].gives_back)
        for rule in self._on(merchant, terminal_id):
            if rule.each_card and mode in ("", "qr"):
                continue
            if rule.transactions is not None and {kind, ruled_as(kind)}.isdisjoint(
                rule.transactions
            ):
                return ResponseCode.NOT_PERMITTED_TO_TERMINAL
            if rule.entry_modes is not None and entry_mode and mode not in rule.entry_modes:
                return ResponseCode.NOT_PERMITTED_TO_TERMINAL
            if rule.currencies is not None and currency_code not in rule.currencies:
                return ResponseCode.INVALID_TRANSACTION
            highest = rule.amount_max_minor
            if highest is not None and amount_minor > highest and not gives_back:
                return ResponseCode.OVER_AMOUNT_LIMIT
        return ""

    def daily(self, entry: Entry, merchant: MerchantSettings) -> tuple[LimitDaily, ...]:
        """What holds a payment that is being begun to the sums and counts of its date."""
        if entry.kind not in PAYMENTS:
            return ()
        found: list[LimitDaily] = []
        for rule in self._on(merchant, entry.terminal_id):
            if rule.each_card and entry.card is None:
                continue
            for measure, maximum, code in _maxima(rule):
                found.append(
                    LimitDaily(
                        entry.business_date,
                        entry.currency_code,
                        measure,
                        maximum,
                        code,
                        self._merchants(rule, merchant),
                        rule.terminal_id,
                        entry.card.pan_token if rule.each_card and entry.card else b"",
                    )
                )
        return tuple(found)

    def _merchants(self, rule: LimitRule, merchant: MerchantSettings) -> tuple[str, ...]:
        return self._of_category[rule.mcc] if rule.mcc else (merchant.merchant_id,)


def _maxima(
    rule: LimitRule,
) -> Iterable[tuple[Literal["count", "amount"], int, ResponseCode]]:
    if rule.amount_max_daily_minor is not None:
        yield "amount", rule.amount_max_daily_minor, ResponseCode.OVER_AMOUNT_LIMIT
    if rule.count_max_daily is not None:
        yield "count", rule.count_max_daily, ResponseCode.OVER_COUNT_LIMIT


NO_LIMITS = Limits()
