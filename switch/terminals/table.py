"""The table from a message to the function that handles it: start here.

Key: MTI, DE3 and DE60.1 for financial messages, and DE25 where another one than 00 means another
transaction; MTI and DE60.3 for management. What the table does not list is answered 40 and does
nothing.
Source: docs/interfaces/terminal.md, parts 4 and 5.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from acquirer.codecs.message import Message
from acquirer.codecs.private_fields import De60
from acquirer.ledger.journal.entries import (
    Role,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.cards.balance import balance
from acquirer.payments.cards.completion import completion, completion_advice, completion_void
from acquirer.payments.cards.instalment import instalment
from acquirer.payments.cards.offline_sale import offline_sale
from acquirer.payments.cards.preauth import preauth, preauth_void
from acquirer.payments.cards.refund import refund
from acquirer.payments.cards.reversal import reversal
from acquirer.payments.cards.sale import sale
from acquirer.payments.cards.script_result import script_result
from acquirer.payments.cards.tip import tip
from acquirer.payments.cards.void import void
from acquirer.payments.kernel.commands import Command, Outcome, Repeat
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.orders.cancel_confirmation import cancel_confirmation
from acquirer.payments.orders.cancellation import order_cancellation
from acquirer.payments.orders.confirmation import payment_confirmation, receipt_confirmation
from acquirer.payments.orders.couriers import courier_sign_off, courier_sign_on
from acquirer.payments.orders.exception import order_exception
from acquirer.payments.orders.payment import order_payment
from acquirer.payments.orders.query import order_query
from acquirer.switch.context import Context
from acquirer.switch.terminals import commands, downloads, preauth_commands, sale_commands
from acquirer.switch.terminals.catalogue import BLACKLIST, CA_KEYS, IC_PARAMETERS
from acquirer.switch.terminals.management import echo, sign_off, sign_on
from acquirer.switch.terminals.request import Request, Told
from acquirer.switch.terminals.settlement import settlement, upload, upload_end

# DE25: at the counter, or left out; what belongs to a pre-authorisation.
PLAIN, PREAUTH = ("", "00"), ("06", "18")

Handler = Callable[[Context, Request], Awaitable[Told | Repeat]]
C = TypeVar("C", bound=Command)


def _pays(
    handler: Callable[[Ports, C], Awaitable[Outcome]], command: Callable[[Request], C]
) -> Handler:
    """A handler of payments, behind what makes its command of a terminal's request."""

    async def handle(context: Context, request: Request) -> Told | Repeat:
        outcome = await handler(context.ports, command(request))
        return outcome if isinstance(outcome, Repeat) else Told.of(outcome)

    return handle


@dataclass(frozen=True, slots=True)
class Transaction:
    """How the session treats a kind of message before its handler sees it.

    Attributes:
        name: for logs and metrics; the journal's kind where it is journaled.
        needs: data elements without which it is no such message (30).
        mac: whether request and reply carry DE64.
        mac_counts: whether one that need not be there counts where it is right.
        journaled: whether (terminal, batch, STAN) names it, with the duplicate rules.
        role: as what.
        looks_back: whether its rules depend on what happened before, so that a repeat must be
            found before they are applied.
        any_batch: whether it may belong to an earlier batch.
        conditions: what DE25 may be; any where there are none.
    """

    name: str
    handler: Handler
    needs: tuple[int, ...]
    mac: bool = True
    mac_counts: bool = False
    journaled: bool = True
    role: Role = Role.ORIGINAL
    looks_back: bool = False
    any_batch: bool = False
    conditions: tuple[str, ...] = PLAIN


_NUMBERED = (11, 41, 42)


def _unsealed(
    name: str,
    handler: Handler,
    needs: tuple[int, ...] = _NUMBERED,
    *,
    mac_counts: bool = False,
) -> Transaction:
    return Transaction(
        name, handler, needs, mac=False, mac_counts=mac_counts, journaled=False, any_batch=True
    )


def _sealed(kind: Kind, handler: Handler) -> Transaction:
    return Transaction(
        kind, handler, _NUMBERED, role=Role.MANAGEMENT, looks_back=True, any_batch=True
    )


_COURIER_SIGN_ON = _pays(courier_sign_on, commands.courier_sign_on_requested)
_COURIER_SIGN_OFF = _pays(courier_sign_off, commands.courier_sign_off_requested)
_BALANCE = _pays(balance, commands.balance_requested)
_SALE = _pays(sale, sale_commands.sale_requested)
_VOID = _pays(void, commands.void_requested)
_INSTALMENT = _pays(instalment, sale_commands.instalment_requested)
_REFUND = _pays(refund, commands.refund_requested)
_PREAUTH = _pays(preauth, preauth_commands.preauth_requested)
_PREAUTH_VOID = _pays(preauth_void, preauth_commands.preauth_void_requested)
_COMPLETION = _pays(completion, preauth_commands.completion_requested)
_COMPLETION_ADVICE = _pays(completion_advice, preauth_commands.completion_told)
_COMPLETION_VOID = _pays(completion_void, preauth_commands.completion_void_requested)
_TIP = _pays(tip, sale_commands.tip_told)
_OFFLINE_SALE = _pays(offline_sale, sale_commands.offline_sale_told)
_ORDER_QUERY = _pays(order_query, commands.order_queried)
_ORDER_PAYMENT = _pays(order_payment, commands.order_payment_requested)
_PAYMENT_CONFIRMATION = _pays(payment_confirmation, commands.payment_confirmed)
_RECEIPT_CONFIRMATION = _pays(receipt_confirmation, commands.receipt_confirmed)
_ORDER_CANCELLATION = _pays(order_cancellation, commands.order_cancellation_requested)
_CANCEL_CONFIRMATION = _pays(cancel_confirmation, commands.cancellation_confirmed)
_ORDER_EXCEPTION = _pays(order_exception, commands.order_not_delivered)
_SCRIPT_RESULT = _pays(script_result, commands.script_result_told)
_REVERSAL = _pays(reversal, commands.reversal_requested)

# Kind of download to the codes of its query, of one item, and of its end.
_DOWNLOADS = {
    CA_KEYS: ("372", "370", "371"),
    IC_PARAMETERS: ("382", "380", "381"),
    BLACKLIST: ("390", "", "391"),
}

MANAGEMENT: dict[tuple[str, str], Transaction] = {
    ("0800", "001"): _unsealed("sign_on", sign_on),
    ("0800", "003"): _unsealed("sign_on", sign_on),
    ("0800", "004"): _unsealed("sign_on", sign_on),
    ("0820", "002"): _unsealed("sign_off", sign_off, mac_counts=True),
    ("0820", "301"): _unsealed("echo", echo, (41, 42)),
    ("0800", "360"): _unsealed("download", downloads.parameters),
    **{
        key: transaction
        for kind, (asks, fetches, ends) in _DOWNLOADS.items()
        for key, transaction in (
            (("0820", asks), _unsealed("download", downloads.query(kind), (*_NUMBERED, 62))),
            (("0800", fetches), _unsealed("download", downloads.download(kind), (*_NUMBERED, 62))),
            (("0800", ends), _unsealed("download", downloads.end(kind))),
        )
        if key[1]
    },
    ("0820", "402"): _sealed(Kind.COURIER_SIGN_ON, _COURIER_SIGN_ON),
    ("0820", "403"): _sealed(Kind.COURIER_SIGN_OFF, _COURIER_SIGN_OFF),
}

SETTLEMENT: dict[tuple[str, str], Transaction] = {
    ("0500", "201"): _unsealed("settlement", settlement, (*_NUMBERED, 48)),
    ("0320", "201"): _unsealed("batch_upload", upload, (*_NUMBERED, 48)),
    **{
        ("0320", code): _unsealed("batch_upload", upload, (*_NUMBERED, 55))
        for code in ("203", "204", "205", "206")
    },
    **{
        ("0320", code): _unsealed("batch_upload_end", upload_end, (*_NUMBERED, 48))
        for code in ("202", "207")
    },
}

_CARD = (3, 4, 11, 22, 25, 41, 42, 49)
_ORDER = (3, 11, 41, 42)


def _referring(kind: Kind, handler: Handler, *, any_batch: bool = False) -> Transaction:
    """One of a pre-authorisation's family that names an earlier one."""
    return Transaction(
        kind,
        handler,
        (3, 4, 11, 25, 38, 41, 42, 49, 61),
        looks_back=True,
        any_batch=any_batch,
        conditions=PREAUTH,
    )


FINANCIAL: dict[tuple[str, str, str], Transaction] = {
    ("0200", "310000", "01"): Transaction(Kind.BALANCE, _BALANCE, (3, 11, 22, 25, 41, 42)),
    ("0200", "000000", "22"): Transaction(Kind.SALE, _SALE, _CARD),
    ("0200", "200000", "23"): Transaction(
        Kind.VOID, _VOID, (3, 4, 11, 37, 41, 42, 61), looks_back=True
    ),
    ("0220", "200000", "25"): Transaction(
        Kind.REFUND, _REFUND, (3, 4, 11, 25, 41, 42, 49), looks_back=True, any_batch=True
    ),
    ("0220", "000000", "30"): Transaction(
        Kind.OFFLINE_SALE, _OFFLINE_SALE, (*_CARD, 38, 61), any_batch=True
    ),
    ("0220", "000000", "34"): Transaction(
        Kind.TIP, _TIP, (3, 4, 11, 38, 41, 42, 48, 49, 61), looks_back=True, any_batch=True
    ),
    ("0100", "030000", "10"): Transaction(Kind.PREAUTH, _PREAUTH, _CARD, conditions=PREAUTH),
    ("0100", "200000", "11"): _referring(Kind.PREAUTH_VOID, _PREAUTH_VOID),
    ("0200", "000000", "20"): _referring(Kind.COMPLETION, _COMPLETION),
    ("0220", "000000", "24"): _referring(
        Kind.COMPLETION_ADVICE, _COMPLETION_ADVICE, any_batch=True
    ),
    ("0200", "200000", "21"): _referring(Kind.COMPLETION_VOID, _COMPLETION_VOID),
    ("0200", "380000", "71"): Transaction(Kind.ORDER_QUERY, _ORDER_QUERY, (*_ORDER, 59)),
    ("0200", "000000", "72"): Transaction(
        Kind.ORDER_PAYMENT,
        _ORDER_PAYMENT,
        (*_ORDER, 4, 22, 59),
        looks_back=True,
    ),
    ("0200", "900000", "72"): Transaction(
        Kind.ORDER_PAYMENT,
        _ORDER_PAYMENT,
        (*_ORDER, 4, 59),
        looks_back=True,
    ),
    ("0200", "910000", "72"): Transaction(
        Kind.ORDER_PAYMENT,
        _ORDER_PAYMENT,
        (*_ORDER, 59),
        looks_back=True,
    ),
    **{
        ("0220", code, "73"): Transaction(
            Kind.ORDER_CONFIRMATION,
            _PAYMENT_CONFIRMATION,
            (*_ORDER, 59, 61),
            looks_back=True,
            any_batch=True,
        )
        for code in ("000000", "900000", "910000")
    },
    ("0220", "920000", "74"): Transaction(
        Kind.RECEIPT_CONFIRMATION,
        _RECEIPT_CONFIRMATION,
        (*_ORDER, 59),
        looks_back=True,
        any_batch=True,
    ),
    ("0200", "200000", "75"): Transaction(
        Kind.ORDER_CANCELLATION,
        _ORDER_CANCELLATION,
        (*_ORDER, 37, 59, 61),
        looks_back=True,
    ),
    ("0220", "200000", "76"): Transaction(
        Kind.ORDER_CANCEL_CONFIRMATION,
        _CANCEL_CONFIRMATION,
        (*_ORDER, 59, 61),
        looks_back=True,
        any_batch=True,
    ),
    ("0220", "930000", "77"): Transaction(
        Kind.ORDER_EXCEPTION,
        _ORDER_EXCEPTION,
        (*_ORDER, 59),
        looks_back=True,
        any_batch=True,
    ),
}

_VOIDED = FINANCIAL["0200", "200000", "23"]
_REFUNDED = FINANCIAL["0220", "200000", "25"]
# The fourth is DE25.
BY_CONDITION: dict[tuple[str, str, str, str], Transaction] = {
    ("0200", "000000", "22", commands.IN_PARTS): Transaction(
        Kind.INSTALMENT, _INSTALMENT, (*_CARD, 62), conditions=()
    ),
    ("0200", "200000", "23", commands.IN_PARTS): replace(_VOIDED, conditions=()),
    ("0200", "000000", "22", commands.BY_MAIL): Transaction(
        Kind.SALE, _SALE, (*_CARD, 2, 14), conditions=()
    ),
    ("0200", "200000", "23", commands.BY_MAIL): replace(_VOIDED, conditions=()),
    ("0220", "200000", "25", commands.BY_MAIL): replace(_REFUNDED, conditions=()),
}

REVERSAL = Transaction(
    Kind.REVERSAL,
    _REVERSAL,
    (3, 11, 41, 42),
    journaled=False,
    any_batch=True,
    conditions=(),
)


SCRIPT_RESULT = Transaction(
    Kind.SCRIPT_RESULT,
    _SCRIPT_RESULT,
    (11, 37, 41, 42, 55, 61),
    journaled=False,
    any_batch=True,
    conditions=(),
)
SCRIPT_RESULT_CODE = "951"


def find_transaction(message: Message, de60: De60) -> Transaction | None:
    """The table's row for a message, or None where it is not supported (40)."""
    if message.mti[1] == "8":
        return MANAGEMENT.get((message.mti, de60.network_code))
    if message.mti == "0400":
        return REVERSAL
    if message.mti[1] in "35":
        return SETTLEMENT.get((message.mti, de60.network_code))
    if message.mti == "0620":
        return SCRIPT_RESULT if de60.network_code == SCRIPT_RESULT_CODE else None
    key = message.mti, message.processing_code, de60.transaction_type
    return BY_CONDITION.get((*key, message.get(25))) or FINANCIAL.get(key)
