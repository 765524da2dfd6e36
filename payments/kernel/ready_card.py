"""A card that a bank can be asked about: its bank is up, its PIN under that bank's key.

Route and protect, the first legs that all card transactions share; nothing has been recorded yet
but refusals, and nothing has left. Source: ARCHITECTURE.md, "One payment, from wire to books".
"""

from __future__ import annotations

import msgspec
import structlog

from acquirer.codecs.pan import Pan
from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.journal.entries import Entry
from acquirer.ledger.journal.kinds import KINDS, Kind, ruled_as
from acquirer.payments.kernel.commands import Origin, Outcome, PresentedCard
from acquirer.payments.kernel.errors import CardUnreadable, HsmRefused, response_code_for
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.records import refuse
from acquirer.payments.kernel.stand_in import rule_for
from acquirer.routing.banks.choice import Route, RouteFacts, choose
from acquirer.routing.banks.messages import CardFields
from acquirer.routing.banks.strategies import LinkFacts

log = structlog.get_logger("acquirer.switch")


def stored_pan(ports: Ports, entry: Entry) -> Pan | None:
    """The card number that an entry has; None, and a log line, where it does not open."""
    if entry.card is None:
        return None
    try:
        return ports.vault.open(entry.card)
    except CardUnreadable as error:
        log.error("card_unreadable", rrn=entry.rrn, reason=str(error))
        return None


class ProtectedPin(msgspec.Struct, frozen=True):
    """A PIN block as a bank link takes it.

    Attributes:
        block: 8 bytes.
        zpk: the key under the LMK that it is under; another link may not know it.
    """

    block: bytes
    zpk: str

    def __repr__(self) -> str:
        return "ProtectedPin()"


class ReadyCard(msgspec.Struct, frozen=True):
    """What a bank is asked with.

    Attributes:
        pin: None where the card was presented without one.
    """

    presented: PresentedCard
    bank: str
    pin: ProtectedPin | None

    def __repr__(self) -> str:
        return f"ReadyCard({self.presented!r}, {self.bank!r})"


async def ready_card(
    ports: Ports,
    origin: Origin,
    card: PresentedCard,
    kind: Kind,
    order_no: str = "",
    bank: str = "",
) -> ReadyCard | Outcome:
    """A presented card, routed and protected, or the answer of a recorded refusal.

    Refused are a PIN in another format (99), a chip card's stripe (45), a card that the merchant
    may not take so (58) or that no route covers (92), a field that the bank's dialect cannot hold
    (30), a bank that is not up (91), and a PIN that does not open (as the module says).

    Args:
        bank: that must be asked; empty for the one that the card leads to.

    Raises:
        HsmUnavailable, BookBusy, BookUnavailable: nothing was recorded.
    """

    async def refused(code: str) -> Outcome:
        return await refuse(ports, origin, kind, code, pan=card.pan, order_no=order_no)

    if card.is_pin_unfit:
        return await refused(ResponseCode.PIN_FORMAT)
    if card.is_fallback and not (card.is_chip_unread and origin.merchant.fallback):
        return await refused(ResponseCode.USE_CHIP)
    found = (
        carried_by(ports, origin, kind, bank, card) if bank else bank_for(ports, origin, kind, card)
    )
    if isinstance(found, ResponseCode):
        return await refused(found)
    zpk = _zpk_for(ports, origin, kind, found, card)
    if zpk is None:
        return await refused(ResponseCode.UNAVAILABLE)
    try:
        pin = await _protect_pin(ports, origin, zpk, card)
    except HsmRefused as error:
        return await refused(response_code_for(error))
    return ReadyCard(card, found, pin)


def bank_for(ports: Ports, origin: Origin, kind: Kind, card: PresentedCard) -> str | ResponseCode:
    """The bank for this card and transaction, or why there is none.

    The merchant may not take it as it was presented (58), no rule covers it (92), or the bank's
    dialect cannot hold what was presented (30).
    """
    if not origin.may_key(card.condition_code, is_keyed=card.is_keyed):
        return ResponseCode.NOT_PERMITTED_TO_TERMINAL
    facts = RouteFacts(card.routed_by, ruled_as(kind), origin.merchant_id)
    chosen = choose(facts, origin.business.routes)
    if not isinstance(chosen, Route):
        return ResponseCode.NO_ROUTE
    return carried_by(ports, origin, kind, chosen.first_up(ports.banks.is_up), card)


def carried_by(
    ports: Ports, origin: Origin, kind: Kind, bank: str, card: PresentedCard
) -> str | ResponseCode:
    """The bank, if its dialect has room for what was presented, or else 30.

    The rest of what a bank is asked is ours, and was held against its dialect at the start.
    """
    asked = KINDS[kind].bank_message
    if asked is None:
        return bank
    fields = CardFields(
        card.pan.digits if card.pan else "",
        card.expiry,
        card.track.format() if card.track else "",
        card.entry_mode,
        card.sequence,
        card.condition_code,
        card.icc.hex().upper(),
    )
    unfit = ports.banks.unfit(bank, asked, fields)
    if unfit is not None:
        terminal_id = origin.terminal_id
        log.warning("bank_cannot_carry", bank=bank, field=unfit, terminal_id=terminal_id)
    return bank if unfit is None else ResponseCode.FORMAT_ERROR


def _zpk_for(
    ports: Ports, origin: Origin, kind: Kind, bank: str, card: PresentedCard
) -> str | None:
    """The key of the link that will take this transaction; None where the bank is not up.

    Empty where it is not, but the payment has no PIN to translate and may be stood in for.
    """
    zpk = ports.banks.zpk(bank, LinkFacts(card.routed_by.digits, origin.named_minor))
    if zpk is None and not card.pin_block and rule_for(origin.business.stand_in, bank, kind):
        return ""
    return zpk


async def _protect_pin(
    ports: Ports, origin: Origin, zpk: str, card: PresentedCard
) -> ProtectedPin | None:
    """The PIN block under the bank's key, or None where there is no PIN.

    Raises:
        HsmRefused: the block does not open under the asker's key, or holds no PIN.
        HsmUnavailable: no module answers.
    """
    if not card.pin_block or card.pan is None:
        return None
    block = await ports.module.translate_pin(origin.pin_key, zpk, card.pin_block, card.pan)
    return ProtectedPin(block, zpk)
