"""A card that a bank can be asked about: its bank is up, its PIN under that bank's key.

Route and protect, the first legs that all card transactions share; nothing has been recorded yet
but refusals, and nothing has left. Source: ARCHITECTURE.md, "One payment, from wire to books".
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from acquirer.codecs.pan import Pan
from acquirer.codecs.track2 import Track2
from acquirer.ledger.journal.kinds import KINDS, Kind, ruled_as
from acquirer.payments.kernel.errors import HsmRefused, response_code_for
from acquirer.payments.kernel.ports import Context
from acquirer.payments.kernel.records import refuse
from acquirer.routing.banks.choice import Route, RouteFacts, choose
from acquirer.routing.banks.strategies import LinkFacts
from acquirer.switch.terminals.request import Outcome, Request

log = structlog.get_logger("acquirer.switch")


@dataclass(frozen=True, slots=True, repr=False)
class ProtectedPin:
    """A PIN block as a bank link takes it.

    Attributes:
        block: 8 bytes.
        zpk: the key under the LMK that it is under; another link may not know it.
    """

    block: bytes
    zpk: str


@dataclass(frozen=True, slots=True, repr=False)
class ReadyCard:
    """What a bank is asked with.

    Attributes:
        pin: None where the request has no PIN.
    """

    pan: Pan
    track: Track2 | None
    bank: str
    pin: ProtectedPin | None


async def ready_card(
    context: Context, request: Request, kind: Kind, order_no: str = ""
) -> ReadyCard | Outcome:
    """The request's card, routed and protected, or the answer of a recorded refusal.

    Refused are a PIN in another format (99), a card that no route covers (92), a field that the
    bank's dialect cannot hold (30), a bank that is not up (91), and a PIN that does not open (as
    the module says).

    Raises:
        RemoteFormatError: no card in the message.
        HsmUnavailable, BookBusy, BookUnavailable: nothing was recorded.
    """
    pan, track = request.card()

    async def refused(code: str) -> Outcome:
        return await refuse(context, request, kind, code, pan=pan, order_no=order_no)

    if request.pin_format_wrong():
        return await refused("99")
    bank = _route(context, request, kind, pan)
    if bank is None:
        return await refused("92")
    if _cannot_carry(context, request, kind, bank, pan, track):
        return await refused("30")
    zpk = _zpk_for(context, request, kind, bank, pan)
    if zpk is None:
        return await refused("91")
    try:
        pin = await _protect_pin(context, request, zpk, pan)
    except HsmRefused as error:
        return await refused(response_code_for(error))
    return ReadyCard(pan, track, bank, pin)


def _route(context: Context, request: Request, kind: Kind, pan: Pan) -> str | None:
    """The bank for this card and transaction, or None where no rule covers it (92)."""
    facts = RouteFacts(pan, ruled_as(kind), request.terminal.settings.merchant_id)
    chosen = choose(facts, context.routes)
    return chosen.first_up(context.banks.is_up) if isinstance(chosen, Route) else None


def _cannot_carry(
    context: Context, request: Request, kind: Kind, bank: str, pan: Pan, track: Track2 | None
) -> bool:
    """Whether something that the terminal sent has no room in the bank's dialect.

    The rest of what a bank is asked is ours, and was held against its dialect at the start.
    """
    asked = KINDS[kind].bank_message
    if asked is None:
        return False
    values = {number: request.message.get(number) for number in (22, 23, 25, 55)}
    values |= {2: pan.digits, 14: expiry_of(request, track), 35: track.format() if track else ""}
    unfit = context.banks.unfit(bank, asked, values)
    if unfit is not None:
        terminal_id = request.terminal.terminal_id
        log.warning("bank_cannot_carry", bank=bank, field=unfit, terminal_id=terminal_id)
    return unfit is not None


def expiry_of(request: Request, track: Track2 | None) -> str:
    """A card's expiry YYMM, from the track or keyed, or empty."""
    return (track.expiry if track else "") or request.message.get(14)


def _zpk_for(context: Context, request: Request, kind: Kind, bank: str, pan: Pan) -> str | None:
    """The key of the link that will take this transaction; None where the bank is not up.

    Empty where it is not, but the payment has no PIN to translate and may be stood in for.
    """
    zpk = context.banks.zpk(bank, LinkFacts(pan.digits, request.amount_minor))
    if zpk is None and not request.message.get(52) and context.stand_in.rule_for(bank, kind):
        return ""
    return zpk


async def _protect_pin(
    context: Context, request: Request, zpk: str, pan: Pan
) -> ProtectedPin | None:
    """The PIN block under the bank's key, or None where the request has no PIN.

    Raises:
        HsmRefused: the block does not open under the terminal's key, or holds no PIN.
        HsmUnavailable: no module answers.
    """
    pin_block = request.message.binary(52)
    if not pin_block:
        return None
    block = await context.hsm.translate_pin(request.keys.tpk, zpk, pin_block, pan.account_number)
    return ProtectedPin(block, zpk)
