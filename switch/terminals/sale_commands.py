"""From a terminal's message to the command of a sale: to a card, to a code, in parts, by mail.

Source: docs/interfaces/terminal.md, part 4.
"""

from __future__ import annotations

from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.instalments import InstalmentTerms
from acquirer.codecs.private_fields import De61
from acquirer.payments.cards.instalment import InstalmentRequested
from acquirer.payments.cards.offline_sale import OfflineSaleTold
from acquirer.payments.cards.sale import SaleRequested
from acquirer.payments.cards.tip import TipTold
from acquirer.payments.kernel.bank_reply import is_approval_code
from acquirer.payments.kernel.commands import PresentedCard
from acquirer.switch.terminals.commands import (
    CODE_SHOWN,
    CODE_TAG,
    card_of,
    digits_of,
    has_card,
    pan_of,
    reference_of,
)
from acquirer.switch.terminals.request import Request

CODE_DIGITS = 19
# DE61.4 of an offline sale: approved by phone, or by the terminal in its bank's place.
OFFLINE_MODES = frozenset({"01", "02"})
TIP_DIGITS = 12
_OF_CARD = (2, 14, 23, 35, 36, 52, 55)


def sale_requested(request: Request) -> SaleRequested:
    """MTI 0200, DE3 000000, type 22."""
    return SaleRequested(request.origin, _shown(request))


def instalment_requested(request: Request) -> InstalmentRequested:
    """MTI 0200, DE3 000000, type 22, DE25 64; DE62 has the plan."""
    terms = InstalmentTerms.parse(request.message.binary(62).decode("latin-1"))
    return InstalmentRequested(request.origin, card_of(request), terms)


def offline_sale_told(request: Request) -> OfflineSaleTold:
    """MTI 0220, DE3 000000, type 30; DE61 names no payment, and says how it was approved.

    Raises:
        RemoteFormatError: it has a PIN, no such DE38, or another DE61.
    """
    message, card = request.message, card_of(request)
    de61 = De61.parse(message.get(61))
    if (de61.original_batch + de61.original_stan).strip("0"):
        raise RemoteFormatError("an offline sale names no other payment", field="61.1")
    if de61.auth_mode not in OFFLINE_MODES:
        raise RemoteFormatError("approved by phone is 01, in the bank's place 02", field="61.4")
    if card.pin_block:
        raise RemoteFormatError("an offline sale has no PIN", field="52")
    approval_code = message.get(38)
    if not is_approval_code(approval_code):
        raise RemoteFormatError("an approval code is printable and not blank", field="38")
    return OfflineSaleTold(request.origin, card, approval_code)


def _shown(request: Request) -> PresentedCard:
    """The card, or the code that its holder shows instead.

    Raises:
        RemoteFormatError: neither, both, or one that cannot be read.
    """
    message, code = request.message, digits_of(request, CODE_TAG, CODE_DIGITS)
    is_code = message.get(22).startswith(CODE_SHOWN)
    if not (code or is_code):
        return card_of(request)
    if not (code and is_code) or any(message.get(number) for number in _OF_CARD):
        raise RemoteFormatError("a code comes with entry mode 03x and no card", field="59.A3")
    return PresentedCard(
        None, entry_mode=message.get(22), condition_code=message.get(25), code=code
    )


def tip_told(request: Request) -> TipTold:
    """MTI 0220, DE3 000000, type 34; DE48 is the tip.

    Raises:
        RemoteFormatError: DE48 is not 12 digits.
    """
    digits = request.message.get(48)
    if len(digits) != TIP_DIGITS:
        raise RemoteFormatError("a tip is 12 digits", field="48")
    pan = pan_of(request)[0] if has_card(request) else None
    return TipTold(request.origin, reference_of(request), int(digits), pan)
