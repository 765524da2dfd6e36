"""What a bank holds of a card for a pre-authorisation: held, completed, released.

``transactions.state`` of a pre-authorisation is one of these. What is held is off the account;
a completion gives it back and takes what was paid, up to 115 % of it; a void or a reversal
releases it. Where a completion is undone, it is held again.
Source: docs/interfaces/bank-link.md, "Pre-authorisation" and "Completion".
"""

from __future__ import annotations

from acquirer.hosts_sim.bank.entries import Entry, Result
from acquirer.hosts_sim.bank.rows import Row, Rows

COMPLETION_PERCENT_MAX = 115
HELD, COMPLETED, RELEASED = "held", "completed", "released"
_PIN_CODES = {"wrong": "55", "unreadable": "A7"}


class Holds(Rows):
    """The part of the books that knows what is held."""

    def _hold(self, entry: Entry) -> Result:
        if entry.amount_minor <= 0:
            return self._store(entry, "13")
        self._move(entry.token, -entry.amount_minor)
        return self._store(entry, "00", state=HELD)

    def _complete(self, entry: Entry) -> Result:
        preauth = self._original(entry)
        if preauth is None:
            return self._store(entry, "25")
        refusal = _PIN_CODES.get(entry.pin, "") or _completion_refusal(preauth, entry)
        if refusal:
            return self._store(entry, refusal, original_id=preauth.id)
        self._put_state(preauth.id, COMPLETED)
        self._move(entry.token, preauth.amount_minor - entry.amount_minor)
        return self._store(entry, "00", original_id=preauth.id)

    def _release(self, entry: Entry, preauth: Row) -> Result:
        """A void of a pre-authorisation."""
        refusal = _void_refusal(preauth, entry)
        if refusal:
            return self._store(entry, refusal, original_id=preauth.id)
        result = self._store(entry, "00", original_id=preauth.id)
        self._note_void(preauth.id, RELEASED)
        self._move(preauth.token, preauth.amount_minor)
        return result

    def _undo_hold(self, preauth: Row) -> None:
        """A pre-authorisation is reversed; undone later, its completion holds nothing again."""
        if preauth.state in (HELD, COMPLETED):
            self._put_state(preauth.id, RELEASED)
        if preauth.state == HELD:
            self._move(preauth.token, preauth.amount_minor)

    def _turn(self, preauth_id: int | None, before: str, after: str) -> None:
        """A pre-authorisation is held again, or completed again, if it is as it was."""
        preauth = self._by_id(preauth_id)
        if preauth is None or preauth.state != before:
            return
        self._put_state(preauth.id, after)
        sign = -1 if after == HELD else 1
        self._move(preauth.token, sign * preauth.amount_minor)


def _completion_refusal(preauth: Row, entry: Entry) -> str:
    if preauth.kind != "preauth" or preauth.state != HELD:
        return "12"
    if entry.token != preauth.token:
        return "14"
    if entry.amount_minor <= 0:
        return "13"
    most_minor = preauth.amount_minor * COMPLETION_PERCENT_MAX // 100
    return "61" if entry.amount_minor > most_minor else ""


def _void_refusal(preauth: Row, entry: Entry) -> str:
    if preauth.state != HELD:
        return "12"
    if entry.token and entry.token != preauth.token:
        return "14"
    return "" if entry.amount_minor in (0, preauth.amount_minor) else "64"
