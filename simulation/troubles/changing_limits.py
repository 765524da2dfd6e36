"""An operator who changes what a merchant may take in a day, while it is being taken.

However limits follow each other, and whatever else goes wrong: what stands of a business date is
never more than the loosest of them, and nothing was approved above the limit that it began under.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import msgspec
import trio

from acquirer.ledger.journal.kinds import PAYMENTS
from acquirer.simulation.troubles.base import Trouble

KIND = "limits_change"
COUNTS = ("1", "2", "4", "7")
AMOUNTS = ("2000", "20000", "200000")
RETRY_S = 0.5
OK = 200
COUNTED = ", ".join(f"'{kind}'" for kind in sorted(PAYMENTS))


class ChangingLimits(Trouble):
    """The limits of such a day, all of one merchant."""

    async def run(self) -> None:
        """Set other limits, again and again."""
        faults = self.world.faults
        merchants = tuple(one.merchant_id for one in self.world.settings.merchants)
        merchant_id = faults.choice(KIND, merchants)
        while True:
            await self._set(
                {
                    "merchant_id": merchant_id,
                    "count_max_daily": int(faults.choice(KIND, COUNTS)),
                    "amount_max_minor": int(faults.choice(KIND, AMOUNTS)),
                }
            )
            await trio.sleep(faults.between(KIND, 0.1, 5.0))

    async def mend(self) -> None:
        """All is allowed again."""
        await self._set()

    def findings(self) -> Iterable[str]:
        """Payments that no limit could have let through."""
        rules = self._rules()
        limited = {rule["merchant_id"] for rule in rules.values() if rule}
        rows = self.world.auditor.rows(
            "SELECT merchant_id, business_date, epoch, rrn, amount_minor, state,"
            " (SELECT count(*) FROM journal v WHERE v.original_id = j.id AND v.state = 'reversed')"
            f" FROM journal j WHERE response_code = '00' AND kind IN ({COUNTED})"
            " ORDER BY merchant_id, business_date"
        )
        for (merchant_id, date), found in groupby(rows, key=lambda row: row[:2]):
            if merchant_id not in limited:
                continue
            payments = [(rules.get(row[2], {}), row) for row in found]
            for rule, (*_, rrn, amount_minor, _, _) in payments:
                if rule and amount_minor > rule["amount_max_minor"]:
                    yield f"limits: {rrn} is of {amount_minor}, above {rule}"
            # A void that was undone gives back nothing: what it had made room for may be there.
            standing = [
                rule
                for rule, row in payments
                if rule and row[5] in ("approved", "refunded") and not row[6]
            ]
            most = max((rule["count_max_daily"] for rule in standing), default=0)
            if len(standing) > most:
                yield f"limits: {len(standing)} stand of {date} at {merchant_id}, above {most}"

    def _rules(self) -> dict[object, dict[str, Any]]:
        """The limit of each epoch; empty where there was none."""
        rules: dict[object, dict[str, Any]] = {}
        for epoch, body in self.world.auditor.rows(
            "SELECT j.epoch, (SELECT c.body FROM config_versions c WHERE c.kind = 'limit'"
            " AND c.epoch <= j.epoch ORDER BY c.epoch DESC LIMIT 1)"
            " FROM (SELECT DISTINCT epoch FROM journal) j"
        ):
            rules[epoch] = msgspec.json.decode(str(body)) if body else {}
        return rules

    async def _set(self, *rules: dict[str, object]) -> None:
        """Let these be all limits, as soon as a switch takes them."""
        body = msgspec.json.encode({"document": {"limit": rules}, "reason": "new limits"})
        self.world.faults.note(KIND)
        self.world.trace.note("operator", f"sets limits: {rules}")
        while True:
            operators = [switch.operator for switch in self.world.switches]
            for operator in filter(None, operators):
                if await operator.post("/operator/config/import", body) == OK:
                    return
            await trio.sleep(RETRY_S)
