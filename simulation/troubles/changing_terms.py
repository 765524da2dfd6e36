"""An operator who changes fees, suspends merchants and holds terminals while they are paying.

A payment is decided by the configuration with which it began, to its end: what it cost, and that
its terminal and merchant were free to take it, must be what that epoch says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from acquirer.simulation.troubles.base import Trouble

if TYPE_CHECKING:
    from acquirer.simulation.world import World

KIND = "terms_change"
FEES = ("0", "1", "38", "60", "125", "10000")
HOLDS_MAX_S = 3.0
RETRY_S = 0.5
OK = 200
# Kinds that a terminal on hold, or one of a suspended merchant, is refused.
ASKED = "('sale', 'instalment', 'order_payment', 'order_payment_group')"


class ChangingTerms(Trouble):
    """The merchants' and terminals' terms on such a day."""

    async def run(self) -> None:
        """Change something, again and again."""
        faults, settings = self.world.faults, self.world.settings
        merchants = tuple(one.merchant_id for one in settings.merchants)
        terminals = tuple(one.terminal_id for one in settings.terminals)
        while True:
            await trio.sleep(faults.between(KIND, 0.1, 2.0))
            what = faults.choice(KIND, ("fee", "fee", "fee", "suspends", "holds"))
            if what == "fee":
                fee = int(faults.choice(KIND, FEES))
                await self._change("merchant", faults.choice(KIND, merchants), mdr_basis_points=fee)
                continue
            if what == "holds":
                kind, key, member = "terminal", faults.choice(KIND, terminals), "on_hold"
            else:
                kind, key, member = "merchant", faults.choice(KIND, merchants), "suspended"
            await self._change(kind, key, **{member: True})
            await trio.sleep(faults.between(KIND, 0.0, HOLDS_MAX_S))
            await self._change(kind, key, **{member: False})

    async def mend(self) -> None:
        """All may take payments again."""
        for merchant in self.world.settings.merchants:
            await self._change("merchant", merchant.merchant_id, suspended=False)
        for terminal in self.world.settings.terminals:
            await self._change("terminal", terminal.terminal_id, on_hold=False)

    def findings(self) -> Iterable[str]:
        """Payments that were not decided by the configuration with which they began."""
        terms = _Terms(self.world)
        posted = dict(terms.fees())
        for rrn, id, epoch, terminal_id, merchant_id, amount, card, state in terms.payments():
            terminal = terms.of("terminal", terminal_id, epoch)
            merchant = terms.of("merchant", merchant_id, epoch)
            if terminal.get("on_hold") or merchant.get("suspended"):
                yield f"terms: {rrn} was taken, though epoch {epoch} did not let it"
            fee = (amount * merchant["mdr_basis_points"] + 5_000) // 10_000 if card else 0
            if state == "approved" and posted.get(id, 0) != fee:
                yield f"terms: {rrn} cost {posted.get(id, 0)}, and by epoch {epoch} costs {fee}"

    async def _change(self, kind: str, key: str, **members: object) -> None:
        """Change members of a body, as soon as a switch takes it."""
        told = {"kind": kind, "key": key, "members": members, "reason": "new terms"}
        body = msgspec.json.encode(told)
        self.world.faults.note(KIND)
        self.world.trace.note("operator", f"changes {kind} {key}: {members}")
        while True:
            operators = [switch.operator for switch in self.world.switches]
            for operator in filter(None, operators):
                if await operator.post("/operator/config/change", body) == OK:
                    return
            await trio.sleep(RETRY_S)


class _Terms:
    """The configuration of each epoch, as the books have it."""

    def __init__(self, world: World) -> None:
        self._rows = world.auditor.rows
        self._versions: dict[tuple[object, object], list[tuple[Any, Any]]] = {}
        for kind, key, epoch, body in self._rows(
            "SELECT kind, key, epoch, body FROM config_versions ORDER BY epoch"
        ):
            self._versions.setdefault((kind, key), []).append((epoch, body))

    def of(self, kind: str, key: object, epoch: int) -> dict[str, Any]:
        """A body as it was then."""
        body = [body for since, body in self._versions[kind, key] if since <= epoch][-1]
        found: dict[str, Any] = msgspec.json.decode(body)
        return found

    def fees(self) -> Iterable[tuple[Any, ...]]:
        """Ids of payments, each with its fee."""
        return self._rows(
            "SELECT t.event_id, t.amount_minor FROM transfers t"
            f" JOIN journal j ON j.id = t.event_id AND j.kind IN {ASKED} WHERE t.code = 'mdr'"
        )

    def payments(self) -> Iterable[tuple[Any, ...]]:
        """Approved payments of terminals, whatever became of them."""
        return self._rows(
            "SELECT rrn, id, epoch, terminal_id, merchant_id, amount_minor,"
            " bank <> '', state FROM journal WHERE response_code = '00'"
            f" AND role = 'original' AND mti = '0200' AND kind IN {ASKED}"
        )
