"""What an answer, or its absence, does to a terminal's state. Pure functions.

The rule of thumb is a terminal's own: money counts as taken only on an approval whose MAC verifies
and whose echoed fields fit; whatever is in doubt is reversed (98 no answer, A0 bad MAC, 06 other
faults) or, for confirmations, sent again. Source: docs/interfaces/terminal.md, parts 3 to 5.
"""

from __future__ import annotations

from dataclasses import replace

from acquirer.codecs.de59 import De59
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.private_fields import De60, De61, WorkingKeys
from acquirer.codecs.response_codes import APPROVING, ResponseCode
from acquirer.codecs.tpdu import ProcessingDemand
from acquirer.terminals_sim import kinds
from acquirer.terminals_sim.errors import KeyCheckError
from acquirer.terminals_sim.identity import Identity
from acquirer.terminals_sim.messages import Reply, Request
from acquirer.terminals_sim.results import Outcome
from acquirer.terminals_sim.security import unwrap
from acquirer.terminals_sim.state import (
    EntryState,
    JournalEntry,
    OrderPayment,
    Stage,
    StoredRequest,
    TerminalState,
)

SIGN_ON_AGAIN = "77"
BAD_MAC = "A0"
NOT_SIGNED_ON_HERE = "58"
OTHER_REASON = "06"
MAC_ERROR = "A0"
ORDER_TAGS = ("ON", *(f"N{place}" for place in range(2, 10)))
REVERSAL_DONE = frozenset({"00", "25"})
# Nothing is undone, today or any day; any other code leaves the reversal to be sent again.
REVERSAL_REFUSED = frozenset({"03", "12", "30", "40", "64"})
TRY_LATER = frozenset({"68", "77", "90", "91", "96", "97", "98", "A0", "A7"})

_STAGES: dict[str, Stage] = {
    kinds.ORDER_CONFIRM.name: "confirmed",
    kinds.ORDER_RECEIPT.name: "signed",
    kinds.ORDER_CANCEL.name: "cancelled",
    kinds.ORDER_CANCEL_CONFIRM.name: "cancel_confirmed",
}


def settle(
    before: TerminalState, identity: Identity, request: Request, reply: Reply
) -> tuple[TerminalState, Outcome]:
    """The state after an answer, and what the answer amounts to.

    Args:
        before: the state with the request in it.
        identity: for the master key, to check keys that a sign-on brings, and the encoding.
        request: what was sent.
        reply: what answers it.
    """
    trusted = not request.kind.mac or reply.mac == "good"
    outcome = _judge(reply, trusted)
    after = before
    if not trusted or reply.response_code == SIGN_ON_AGAIN or _demands_sign_on(reply):
        after = replace(after, sign_on_due=True)
    if request.kind == kinds.REVERSAL:
        return _after_reversal(after, request, reply, trusted, outcome)
    if request.kind.name == kinds.SIGN_ON.name:
        return _after_sign_on(after, identity, request, reply, outcome)
    if request.kind.reversible:
        after = _after_reversible(after, reply, trusted, outcome)
    elif request.kind.repeated:
        after = _after_repeated(after, identity.encoding, request, reply, trusted, outcome)
    after = _in_journal(after, request, reply, trusted, outcome)
    if trusted and reply.response_code == NOT_SIGNED_ON_HERE:
        after = _without_courier(after, identity.encoding, request)
    if outcome == "approved":
        after = _effect(after, identity.encoding, request, reply)
    return after, outcome


def lose(before: TerminalState, request: Request) -> TerminalState:
    """The state after a request that no usable answer came for: one more attempt is counted."""
    if request.kind == kinds.REVERSAL:
        return _reversal_tried(before)
    return _advice_tried(before, request) if request.kind.repeated else before


def _judge(reply: Reply, trusted: bool) -> Outcome:
    if reply.response_code in APPROVING:
        return "approved" if trusted and not reply.faults else "invalid"
    return "declined" if reply.response_code in set(ResponseCode) else "invalid"


def _demands_sign_on(reply: Reply) -> bool:
    return reply.demand == ProcessingDemand.SIGN_ON


def _after_sign_on(
    after: TerminalState, identity: Identity, request: Request, reply: Reply, outcome: Outcome
) -> tuple[TerminalState, Outcome]:
    if outcome != "approved":
        return after, outcome
    wrapped = reply.message.get(62)
    network_code = request.kind.network_code
    try:
        if identity.scheme == "tmk":
            unwrap(identity.tmk, WorkingKeys.parse(bytes.fromhex(wrapped), network_code))
        elif wrapped:
            return after, "invalid"
        batch = De60.parse(reply.message.get(60)).batch
    except (KeyCheckError, RemoteFormatError):
        return after, "invalid"
    signed_on = replace(
        after,
        batch=batch,
        network_code=network_code,
        wrapped_keys=wrapped.upper() or identity.ksn,
        sign_on_due=False,
    )
    return signed_on, outcome


def _after_reversal(
    after: TerminalState, request: Request, reply: Reply, trusted: bool, outcome: Outcome
) -> tuple[TerminalState, Outcome]:
    code = reply.response_code
    if not trusted or reply.faults or code not in REVERSAL_DONE | REVERSAL_REFUSED:
        # A reply with other fields than were sent answers what was mangled on its way.
        return _reversal_tried(after), outcome
    after = replace(after, reversal=None)
    if code not in REVERSAL_DONE:
        return after, outcome
    batch, stan = request.batch, request.stan
    entry = after.entry(batch, stan)
    after = after.with_entry_changed(batch, stan, state="reversed")
    after = after.with_stage(batch, stan, "reversed")
    if entry is not None and entry.kind in kinds.VOIDING:
        after = _moved(after, entry, "voided", "approved")
    if entry is not None and entry.kind == kinds.COMPLETION.name:
        after = _moved(after, entry, "completed", "approved")
    if entry is not None and entry.kind == kinds.COMPLETION_VOID.name:
        made = after.entry(entry.original_batch, entry.original_stan)
        after = after if made is None else _moved(after, made, "approved", "completed")
    last = after.last_reversible
    if last is not None and _names(last, batch, stan):
        after = replace(after, last_reversible=None)
    return after, "approved"


def _after_reversible(
    after: TerminalState, reply: Reply, trusted: bool, outcome: Outcome
) -> TerminalState:
    undo = after.reversal
    if undo is None:
        return after
    if outcome == "approved":
        return replace(after, reversal=None, last_reversible=undo)
    if outcome == "declined" and trusted:
        return replace(after, reversal=None)
    reason = OTHER_REASON if trusted else BAD_MAC
    return replace(after, reversal=replace(undo, fields={**undo.fields, 39: reason}))


def _after_repeated(
    after: TerminalState,
    encoding: str,
    request: Request,
    reply: Reply,
    trusted: bool,
    outcome: Outcome,
) -> TerminalState:
    later = request.kind.mti in ("0220", "0620") and reply.response_code in TRY_LATER
    if reply.response_code == MAC_ERROR:
        # This copy was mangled on its way; it says nothing of one that was sent before.
        later = later or any(a.attempts for a in after.advices if a.fields[11] == request.stan)
    if outcome == "invalid" or not trusted or later:
        return _advice_tried(after, request)
    after = after.without_advice(request.stan)
    if request.kind == kinds.ORDER_CONFIRM and reply.response_code == "12":
        paid = De61.parse(request.message.get(61))
        batch, stan = paid.original_batch, paid.original_stan
        after = after.with_stage(batch, stan, "reversed", _orders_in(request, encoding)[0])
        # One of several orders may have been cancelled alone; the others still stand then.
        stages = {o.stage for o in after.orders if (o.batch, o.stan) == (batch, stan)}
        if stages <= {"reversed"}:
            after = after.with_entry_changed(batch, stan, state="reversed")
    return after


def _in_journal(
    after: TerminalState, request: Request, reply: Reply, trusted: bool, outcome: Outcome
) -> TerminalState:
    if not request.kind.journaled:
        return after
    message = reply.message
    settled = outcome == "approved" or (outcome == "declined" and trusted)
    waits = any(advice.fields.get(11) == request.stan for advice in after.advices)
    changes: dict[str, str | int] = {
        "response_code": reply.response_code,
        "rrn": message.get(37).strip(),
        "approval_code": message.get(38).strip(),
        "date": message.get(13),
        "state": outcome if settled and not waits else "unknown",
    }
    if reply.response_code == "10" and message.get(4):
        changes["amount_minor"] = int(message.get(4))
    return after.with_entry_changed(request.batch, request.stan, **changes)


def _effect(after: TerminalState, encoding: str, request: Request, reply: Reply) -> TerminalState:
    kind, sent = request.kind, request.message
    if kind == kinds.SIGN_OFF:
        return replace(after, wrapped_keys="", network_code="", sign_on_due=False)
    if kind == kinds.COURIER_SIGN_ON:
        return replace(after, courier_id=De59.parse(sent.binary(59)).text("OC", encoding))
    if kind == kinds.COURIER_SIGN_OFF:
        return replace(after, courier_id="")
    if kind.name == kinds.ORDER_CARD.name:
        entry = after.entry(request.batch, request.stan)
        if entry is not None:
            paid = OrderPayment(
                "",
                sent.processing_code,
                entry.amount_minor,
                entry.batch,
                entry.stan,
                entry.date,
                entry.rrn,
                entry.approval_code,
            )
            for order_no in _orders_in(request, encoding):
                after = after.with_order(replace(paid, order_no=order_no))
    if 61 in sent.fields:
        original = De61.parse(sent.get(61))
        batch, stan = original.original_batch, original.original_stan
        if kind.name in _STAGES:
            order_no = _orders_in(request, encoding)[0]
            after = after.with_stage(batch, stan, _STAGES[kind.name], order_no)
        if kind.name in kinds.VOIDING:
            after = after.with_entry_changed(batch, stan, state="voided")
            made = after.entry(batch, stan)
            if made is not None and made.kind in kinds.COMPLETIONS:
                after = _moved(after, made, "completed", "approved")
        elif kind.name in kinds.COMPLETIONS:
            after = after.with_entry_changed(batch, stan, state="completed")
        elif kind == kinds.TIP:
            after = after.with_entry_changed(batch, stan, amount_minor=int(sent.get(4)))
        elif kind == kinds.ORDER_CANCEL:
            after = _given_back(after, batch, stan, reply)
        elif kind.name in kinds.REFUNDING:
            after = _refunded(after, batch, stan, int(sent.get(4)))
    return after


def _moved(
    after: TerminalState, entry: JournalEntry, was: EntryState, now: EntryState
) -> TerminalState:
    """What an entry names, in another state, if it is in the one that it should be in."""
    original = after.entry(entry.original_batch, entry.original_stan)
    if original is None or original.state != was:
        return after
    return after.with_entry_changed(original.batch, original.stan, state=now)


def _given_back(after: TerminalState, batch: str, stan: str, reply: Reply) -> TerminalState:
    """Of a payment for several orders, DE4 of the reply says what the card gets back."""
    entry = after.entry(batch, stan)
    part_minor = int(reply.message.get(4) or 0)
    if entry is None or not 0 < part_minor < entry.amount_minor:
        return after.with_entry_changed(batch, stan, state="voided")
    return after.with_entry_changed(batch, stan, amount_minor=entry.amount_minor - part_minor)


def _refunded(after: TerminalState, batch: str, stan: str, amount_minor: int) -> TerminalState:
    """What is left of a payment of this terminal's own, and of its order."""
    entry = after.entry(batch, stan)
    if entry is None:
        return after
    for paid in after.orders:
        if (paid.batch, paid.stan, paid.amount_minor) == (batch, stan, amount_minor):
            # All of it at once: the order is cancelled, and no slip of that is to be confirmed.
            after = after.with_stage(batch, stan, "cancel_confirmed", paid.order_no)
    left_minor = entry.amount_minor - amount_minor
    if not left_minor:
        return after.with_entry_changed(batch, stan, state="refunded")
    return after.with_entry_changed(batch, stan, amount_minor=left_minor)


def _orders_in(request: Request, encoding: str) -> list[str]:
    """The orders that a request names, the one in ``ON`` first."""
    items = De59.parse(request.message.binary(59))
    return [number for tag in ORDER_TAGS if (number := items.text(tag, encoding))]


def _without_courier(after: TerminalState, encoding: str, request: Request) -> TerminalState:
    """The courier signed on elsewhere meanwhile, so this terminal must ask for one again."""
    named = De59.parse(request.message.binary(59)).text("OC", encoding)
    if named and named == after.courier_id:
        return replace(after, courier_id="")
    return after


def _names(stored: StoredRequest, batch: str, stan: str) -> bool:
    return stored.fields.get(11) == stan and stored.fields.get(60, "")[2:8] == batch


def _reversal_tried(after: TerminalState) -> TerminalState:
    undo = after.reversal
    if undo is None:
        return after
    return replace(after, reversal=replace(undo, attempts=undo.attempts + 1))


def _advice_tried(after: TerminalState, request: Request) -> TerminalState:
    advices = tuple(
        replace(advice, attempts=advice.attempts + 1)
        if advice.fields.get(11) == request.stan
        else advice
        for advice in after.advices
    )
    return replace(after, advices=advices)
