"""Who may ask for what now, before a transaction's own rules: holds, settlement, limits. Pure.

Source: docs/operations.md, "Merchants and terminals"; docs/configuration.md, "limit".
"""

from __future__ import annotations

from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.journal.kinds import UNDOING, Kind
from acquirer.payments.kernel.limits import LIMITED
from acquirer.switch.terminals.request import Request
from acquirer.switch.terminals.table import Transaction

# What asks for something new.
ASKING = frozenset({"0100", "0200"})


def not_allowed(transaction: Transaction, request: Request) -> str:
    """The code for what may not be asked for now; empty where it may."""
    return _closed(transaction, request) or _above_limit(transaction, request)


def _closed(transaction: Transaction, request: Request) -> str:
    """The code for a terminal on hold or in settlement, or a suspended merchant; empty where they
    may ask for this.

    What undoes, confirms or tells something goes on; a terminal on hold gives no money back either.
    """
    if request.message.mti not in ASKING and transaction.name != Kind.REFUND:
        return ""
    if request.message.mti in ASKING and request.terminal.row.settling:
        return ResponseCode.CUT_OVER
    if request.terminal.settings.on_hold:
        return ResponseCode.NOT_PERMITTED_TO_TERMINAL
    is_undoing = transaction.name in UNDOING
    is_closed = request.terminal.merchant.suspended and not is_undoing
    return ResponseCode.INVALID_MERCHANT if is_closed else ""


def _above_limit(transaction: Transaction, request: Request) -> str:
    """The code for what is not allowed here, whatever else has been paid; empty where it is."""
    origin, limits = request.origin, request.origin.business.limits
    if not limits or transaction.name not in LIMITED:
        return ""
    return limits.refusal(
        origin.merchant,
        origin.terminal_id,
        Kind(transaction.name),
        amount_minor=origin.named_minor,
        currency_code=origin.currency_code or origin.merchant.currency_code,
        entry_mode=request.message.get(22),
    )
