"""What of a bank's reply goes on: to whoever asked, to the merchant, into the journal.

Decided before commit 2: what nobody could be shown, print or send on is left out and logged, and
costs no payment. What the reply says of money is read elsewhere.
Source: docs/interfaces/terminal.md, parts 2 and 4.
"""

from __future__ import annotations

import structlog

from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.icc import answer_of
from acquirer.codecs.private_fields import Balance
from acquirer.routing.outcomes import BankOutcome, Replied

log = structlog.get_logger("acquirer.switch")

APPROVAL_CODE_CHARACTERS = 6
_BALANCE_CHARACTERS = 20
ICC_BYTES_MAX = 255


def approval_code_of(outcome: BankOutcome) -> str:
    """The approval code of a bank's reply, or the empty string."""
    code = outcome.approval_code if isinstance(outcome, Replied) else ""
    return code if is_approval_code(code) else ""


def brought_by(replied: Replied) -> tuple[str, str]:
    """The approval code and the first balance of a bank's reply, each empty where it has none."""
    code = replied.approval_code if is_approval_code(replied.approval_code) else ""
    balance = replied.balances[:_BALANCE_CHARACTERS]
    balance = balance if _is_balance(balance) else ""
    for field, sent, shown in ((38, replied.approval_code, code), (54, replied.balances, balance)):
        if sent.strip() and not shown:
            log.warning("bank_field_not_shown", field=field, rrn=replied.message.get(37))
    return code, balance


def icc_of(replied: Replied) -> bytes:
    """What the issuer answers a chip, BER-TLV; empty where it answers nothing that can be read."""
    if not replied.icc:
        return b""
    try:
        said = answer_of(bytes.fromhex(replied.icc))
    except (RemoteFormatError, ValueError):
        said = b""
    if not 0 < len(said) <= ICC_BYTES_MAX:
        log.warning("bank_field_not_shown", field=55, rrn=replied.message.get(37))
        return b""
    return said


def is_approval_code(code: str) -> bool:
    """Whether anybody can be sent an approval code, and show and print it.

    >>> [is_approval_code(code) for code in ("A12345", "Á12345", "A1234", " " * 6)]
    [True, False, False, False]
    """
    return len(code) == APPROVAL_CODE_CHARACTERS and _is_plain(code)


def _is_balance(text: str) -> bool:
    if not text:
        return False
    try:
        Balance.parse(text)
    except RemoteFormatError:
        return False
    return _is_plain(text)


def _is_plain(text: str) -> bool:
    return bool(text.strip()) and text.isascii() and text.isprintable()
