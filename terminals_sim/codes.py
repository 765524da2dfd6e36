"""Response codes in words, as a terminal prints them. Source: terminal interface, part 4."""

from __future__ import annotations

APPROVED = frozenset({"00", "10"})

RESPONSES = {
    "00": "approved",
    "01": "refer to the issuer",
    "03": "invalid merchant",
    "04": "capture the card",
    "05": "not honoured",
    "10": "approved in part",
    "12": "invalid transaction",
    "13": "invalid amount",
    "14": "invalid card",
    "15": "no such issuer",
    "25": "no such original or order",
    "30": "format error",
    "34": "suspected fraud",
    "38": "PIN tries exceeded",
    "40": "not supported",
    "41": "lost card",
    "43": "stolen card",
    "45": "use the chip",
    "51": "insufficient funds",
    "54": "expired card",
    "55": "wrong PIN",
    "57": "not permitted to this card",
    "58": "not permitted to this terminal",
    "61": "over the amount limit",
    "62": "restricted card",
    "64": "amount differs from the original",
    "65": "over the count limit",
    "68": "issuer timed out",
    "75": "PIN tries exceeded",
    "77": "sign on again",
    "90": "cut-over in progress",
    "91": "issuer or order system unavailable",
    "92": "no route to the issuer",
    "94": "duplicate",
    "96": "switch fault",
    "97": "unknown terminal",
    "98": "no answer from the issuer",
    "99": "PIN format error",
    "A0": "MAC error",
    "A7": "security processing failed",
}

ORDER_STATUS = {
    "00": "to pay",
    "01": "paid",
    "02": "payment confirmed",
    "03": "signed for",
    "04": "cancelled",
    "05": "exception",
    "06": "nothing to pay",
}

EXCEPTION_REASONS = {
    "01": "address unknown",
    "02": "nobody there",
    "03": "refused",
    "04": "damaged",
    "05": "wrong goods",
    "06": "rescheduled",
    "99": "other",
}


def in_words(response_code: str) -> str:
    """What a response code means, or that it is not in the table."""
    return RESPONSES.get(response_code, "code not in the interface")
