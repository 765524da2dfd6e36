"""The table of transactions that this terminal plays.

One row each, as the terminal interface has them: message type, processing code, condition code,
DE60 parts, whether a MAC is due and what happens when no answer comes (reversal, or the same
request again). Source: docs/interfaces/terminal.md, parts 4 and 5.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table.

    Attributes:
        name: how journals and traces call it.
        mti: the request's message type, 4 digits.
        processing_code: DE3, empty where the row has none or it is as the original's.
        transaction_type: DE60.1.
        network_code: DE60.3.
        condition_code: DE25, empty where the row has none.
        mac: whether DE64 is due.
        stan: whether DE11 is.
        reversible: no answer is followed by a 0400.
        repeated: no answer is followed by the same request, until it is answered.
        journaled: whether it stands in the terminal's own journal.
    """

    name: str
    mti: str
    processing_code: str
    transaction_type: str
    network_code: str = "000"
    condition_code: str = ""
    mac: bool = True
    stan: bool = True
    reversible: bool = False
    repeated: bool = False
    journaled: bool = True

    @property
    def management(self) -> bool:
        """Whether DE60 ends at 60.3."""
        return self.mti[1] == "8"


def _management(name: str, mti: str, code: str, *, mac: bool = False, stan: bool = True) -> Kind:
    return Kind(name, mti, "", "00", code, mac=mac, stan=stan, journaled=False)


SIGN_ON = _management("sign_on", "0800", "003")
SIGN_OFF = _management("sign_off", "0820", "002")
ECHO = _management("echo", "0820", "301", stan=False)
DOWNLOAD = _management("download", "0800", "360")
DOWNLOAD_QUERY = _management("download_query", "0820", "372")
COURIER_SIGN_ON = _management("courier_sign_on", "0820", "402", mac=True)
COURIER_SIGN_OFF = _management("courier_sign_off", "0820", "403", mac=True)
BALANCE = Kind("balance", "0200", "310000", "01", condition_code="00", journaled=False)
SALE = Kind("sale", "0200", "000000", "22", condition_code="00", reversible=True)
VOID = Kind("void", "0200", "200000", "23", condition_code="00", reversible=True)
REFUND = Kind("refund", "0220", "200000", "25", condition_code="00", repeated=True)
OFFLINE_SALE = Kind("offline_sale", "0220", "000000", "30", condition_code="00", repeated=True)
INSTALMENT = Kind("instalment", "0200", "000000", "22", condition_code="64", reversible=True)
INSTALMENT_VOID = Kind(
    "instalment_void", "0200", "200000", "23", condition_code="64", reversible=True
)
QR = Kind("qr", "0200", "000000", "22", condition_code="00", reversible=True)
MOTO = Kind("moto", "0200", "000000", "22", condition_code="08", reversible=True)
MOTO_VOID = Kind("moto_void", "0200", "200000", "23", condition_code="08", reversible=True)
MOTO_REFUND = Kind("moto_refund", "0220", "200000", "25", condition_code="08", repeated=True)
PREAUTH = Kind("preauth", "0100", "030000", "10", condition_code="06", reversible=True)
PREAUTH_VOID = Kind("preauth_void", "0100", "200000", "11", condition_code="06", reversible=True)
COMPLETION = Kind("completion", "0200", "000000", "20", condition_code="06", reversible=True)
COMPLETION_ADVICE = Kind(
    "completion_advice", "0220", "000000", "24", condition_code="06", repeated=True
)
COMPLETION_VOID = Kind(
    "completion_void", "0200", "200000", "21", condition_code="06", reversible=True
)
TIP = Kind("tip", "0220", "000000", "34", condition_code="00", repeated=True)
SCRIPT_RESULT = Kind(
    "script_result", "0620", "", "00", network_code="951", repeated=True, journaled=False
)
REVERSAL = Kind("reversal", "0400", "", "", journaled=False)
ORDER_QUERY = Kind("order_query", "0200", "380000", "71", journaled=False)
ORDER_CARD = Kind("order_payment", "0200", "000000", "72", condition_code="00", reversible=True)
ORDER_CASH = Kind("order_payment", "0200", "900000", "72", reversible=True)
ORDER_DELIVERY = Kind("order_payment", "0200", "910000", "72", reversible=True)
ORDER_CONFIRM = Kind("order_confirmation", "0220", "", "73", repeated=True)
ORDER_RECEIPT = Kind("order_receipt", "0220", "920000", "74", repeated=True)
ORDER_CANCEL = Kind("order_cancellation", "0200", "200000", "75", repeated=True)
ORDER_CANCEL_CONFIRM = Kind("order_cancel_confirmation", "0220", "200000", "76", repeated=True)
ORDER_EXCEPTION = Kind("order_exception", "0220", "930000", "77", repeated=True)

REPEATED = {
    kind.name: kind
    for kind in (
        REFUND,
        MOTO_REFUND,
        OFFLINE_SALE,
        COMPLETION_ADVICE,
        TIP,
        SCRIPT_RESULT,
        ORDER_CONFIRM,
        ORDER_RECEIPT,
        ORDER_CANCEL,
        ORDER_CANCEL_CONFIRM,
        ORDER_EXCEPTION,
    )
}
# Kinds of payments that a refund gives back; the last of a till's own is a sale.
SALES = frozenset({SALE.name, OFFLINE_SALE.name, INSTALMENT.name, QR.name, MOTO.name})
COMPLETIONS = frozenset({COMPLETION.name, COMPLETION_ADVICE.name})
REFUNDABLE = SALES | COMPLETIONS | {ORDER_CARD.name}
# By what each kind of payment is voided and refunded.
VOIDS = {SALE.name: VOID, QR.name: VOID, INSTALMENT.name: INSTALMENT_VOID, MOTO.name: MOTO_VOID}
# What undoes an earlier transaction, which may stand again.
VOIDING = frozenset({kind.name for kind in (*VOIDS.values(), PREAUTH_VOID, COMPLETION_VOID)})
REFUNDS = {MOTO.name: MOTO_REFUND}
REFUNDING = frozenset({REFUND.name, MOTO_REFUND.name})
WAYS = {"card": ORDER_CARD, "cash": ORDER_CASH, "delivery": ORDER_DELIVERY}
