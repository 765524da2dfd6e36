"""How a terminal makes a request: what every message has, and what the state keeps of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

from acquirer.codecs.de59 import De59
from acquirer.codecs.ksn import Ksn
from acquirer.codecs.private_fields import De61, WorkingKeys
from acquirer.config.estate import Card
from acquirer.terminals_sim import state
from acquirer.terminals_sim.cards import Presented, card_fields
from acquirer.terminals_sim.derived_keys import keys_of
from acquirer.terminals_sim.errors import KeyCheckError, LocalRefusal
from acquirer.terminals_sim.identity import Identity
from acquirer.terminals_sim.kinds import Kind
from acquirer.terminals_sim.messages import Request, assemble, de60
from acquirer.terminals_sim.security import KeyRing, unwrap
from acquirer.terminals_sim.software_card import REVERSAL_TAGS, chosen
from acquirer.terminals_sim.state import (
    JournalEntry,
    StoredRequest,
    TerminalState,
)

CURRENCY = "156"
NO_ANSWER = "98"
_NOT_IN_REVERSAL = frozenset({2, 14, 23, 26, 35, 36, 37, 38, 41, 42, 52, 53, 55, 61, 62, 64})


class Requests:
    """A terminal's numbers, state and working keys.

    Args:
        identity: its numbers, master key and profile.
        saved: what it remembers.
        today: gives the local date, for the chip's data.
        journal_max: entries of its own journal that it keeps.
    """

    def __init__(
        self,
        identity: Identity,
        saved: TerminalState,
        *,
        today: Callable[[], date] = date.today,
        journal_max: int = state.JOURNAL_MAX,
    ) -> None:
        if saved.terminal_id != identity.terminal_id:
            raise LocalRefusal(f"this state belongs to terminal {saved.terminal_id}")
        self.identity = identity
        self.state = saved
        self._today = today
        self._journal_max = journal_max
        self._keys: tuple[str, KeyRing] | None = None
        self._chip: Card | None = None

    @property
    def keys(self) -> KeyRing:
        """The working keys in clear; those of the next message where keys are derived.

        Raises:
            LocalRefusal: none, none that this terminal's master key opens, or they are used up.
        """
        wrapped = self.state.wrapped_keys
        if not wrapped:
            raise LocalRefusal("no working keys: sign on first")
        if self.identity.scheme != "tmk":
            return self._derived()
        if self._keys is None or self._keys[0] != wrapped:
            found = WorkingKeys.parse(bytes.fromhex(wrapped), self.state.network_code)
            try:
                self._keys = wrapped, unwrap(self.identity.tmk, found)
            except KeyCheckError as error:
                raise LocalRefusal(f"{error}: sign on again") from None
        return self._keys[1]

    def _derived(self) -> KeyRing:
        try:
            ksn = Ksn.of(self.state.ksn or self.identity.ksn).next()
        except ValueError as error:
            raise LocalRefusal(str(error)) from None
        if self._keys is None or self._keys[0] != ksn.digits:
            found = keys_of(self.identity.scheme, self.identity.initial_key, ksn)
            self._keys = ksn.digits, found
        return self._keys[1]

    def take_keys(self) -> KeyRing:
        """The keys of a message that is made now; derived ones serve for no other."""
        keys = self.keys
        if keys.ksn:
            self.state = replace(self.state, ksn=keys.ksn)
        return keys

    def _request(self, kind: Kind, fields: dict[int, str], *, order_no: str = "") -> Request:
        values = {60: de60(kind, self.state.batch), **fields}
        if kind.processing_code:
            values.setdefault(3, kind.processing_code)
        if kind.condition_code:
            values[25] = kind.condition_code
        if kind.stan:
            values[11] = self.state.stan
        keys = self.take_keys() if kind.mac else None
        request = assemble(self.identity, kind, values, keys)
        self.state = self._with_request(request, order_no)
        return request

    def _with_request(self, request: Request, order_no: str) -> TerminalState:
        kind, values = request.kind, dict(request.message.fields)
        if request.ksn:
            # A reversal or a repeat of it is under the next key.
            values[62] = values[62][len(request.ksn) :]
            if not values[62]:
                del values[62]
        after = self.state.with_stan_taken() if kind.stan else self.state
        if kind.journaled:
            original = De61.parse(values[61]) if 61 in values else De61("")
            entry = JournalEntry(
                kind.name,
                request.batch,
                request.stan,
                int(values.get(4, "0")),
                order_no=order_no,
                original_batch=original.original_batch,
                original_stan=original.original_stan,
            )
            after = after.with_entry(entry, self._journal_max)
        if kind.reversible:
            # Of DE59 only what names an order: no CVN2 is kept, and a code is used up.
            dropped = _NOT_IN_REVERSAL if order_no else _NOT_IN_REVERSAL | {59}
            kept = {n: v for n, v in values.items() if n not in dropped}
            if 55 in values:
                kept[55] = chosen(values[55], REVERSAL_TAGS)
            undo = StoredRequest(kind.name, "0400", {**kept, 39: NO_ANSWER})
            after = replace(after, reversal=undo)
        if kind.repeated:
            kept = {n: v for n, v in values.items() if n not in (41, 42, 64)}
            after = after.with_advice(StoredRequest(kind.name, kind.mti, kept))
        return after

    def _card(self, presented: Presented, amount_minor: int) -> dict[int, str]:
        self._chip = presented.card if presented.by_chip else None
        return card_fields(
            presented,
            self.keys,
            amount_minor=amount_minor,
            stan=self.state.stan,
            today=self._today(),
            currency_code=CURRENCY,
            terminal_id=self.identity.terminal_id,
        )

    def _items(self, texts: dict[str, str]) -> str:
        return De59.build(texts, self.identity.encoding).hex


def money(amount_minor: int) -> dict[int, str]:
    """Amount and currency.

    Raises:
        LocalRefusal: more than a message can hold.
    """
    if not 0 <= amount_minor < 10**12:
        raise LocalRefusal("an amount is 0 to 12 digits of minor units")
    return {4: f"{amount_minor:012d}", 49: CURRENCY}
