"""From a terminal's message to a command of the pre-authorisation's family.

Source: docs/interfaces/terminal.md, part 4 ("Pre-authorisation", "Completion").
"""

from __future__ import annotations

from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.pan import Pan
from acquirer.payments.cards.completion import (
    CompletionRequested,
    CompletionTold,
    CompletionVoidRequested,
)
from acquirer.payments.cards.preauth import PreauthRequested, PreauthVoidRequested
from acquirer.switch.terminals.commands import card_of, has_card, pan_of, reference_of
from acquirer.switch.terminals.request import Request


def preauth_requested(request: Request) -> PreauthRequested:
    """MTI 0100, DE3 030000, type 10."""
    return PreauthRequested(request.origin, card_of(request))


def preauth_void_requested(request: Request) -> PreauthVoidRequested:
    """MTI 0100, DE3 200000, type 11."""
    pan = _pan_or_none(request)
    return PreauthVoidRequested(request.origin, reference_of(request), pan, request.message.get(25))


def completion_requested(request: Request) -> CompletionRequested:
    """MTI 0200, DE3 000000, type 20."""
    card = card_of(request) if has_card(request) else None
    return CompletionRequested(request.origin, reference_of(request), card, request.message.get(25))


def completion_told(request: Request) -> CompletionTold:
    """MTI 0220, DE3 000000, type 24.

    Raises:
        RemoteFormatError: it has a PIN.
    """
    if request.message.get(52):
        raise RemoteFormatError("a completion advice has no PIN", field="52")
    card = card_of(request) if has_card(request) else None
    return CompletionTold(request.origin, reference_of(request), card, request.message.get(25))


def completion_void_requested(request: Request) -> CompletionVoidRequested:
    """MTI 0200, DE3 200000, type 21."""
    pan = _pan_or_none(request)
    return CompletionVoidRequested(
        request.origin, reference_of(request), pan, request.message.get(25)
    )


def _pan_or_none(request: Request) -> Pan | None:
    return pan_of(request)[0] if has_card(request) else None
