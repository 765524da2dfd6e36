"""From a terminal's message to the command of a sale: to a card, to a code, in parts, by mail.

Source: docs/interfaces/terminal.md, part 4.
"""

from __future__ import annotations

from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.instalments import InstalmentTerms
from acquirer.payments.cards.instalment import InstalmentRequested
from acquirer.payments.cards.sale import SaleRequested
from acquirer.payments.kernel.commands import PresentedCard
from acquirer.switch.terminals.commands import CODE_SHOWN, CODE_TAG, card_of, digits_of
from acquirer.switch.terminals.request import Request

CODE_DIGITS = 19
_OF_CARD = (2, 14, 23, 35, 36, 52, 55)


def sale_requested(request: Request) -> SaleRequested:
    """MTI 0200, DE3 000000, type 22."""
    return SaleRequested(request.origin, _shown(request))


def mail_sale_requested(request: Request) -> SaleRequested:
    """The same with DE25 08: the card's number is keyed in."""
    card = card_of(request)
    if not card.is_keyed:
        raise RemoteFormatError("an order by mail or telephone has entry mode 01x", field="22")
    return SaleRequested(request.origin, card)


def instalment_requested(request: Request) -> InstalmentRequested:
    """MTI 0200, DE3 000000, type 22, DE25 64; DE62 has the plan."""
    terms = InstalmentTerms.parse(request.message.binary(62).decode("latin-1"))
    return InstalmentRequested(request.origin, card_of(request), terms)


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
